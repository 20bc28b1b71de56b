/**
 * Random lives of the broker on a simulated disk: real clients on loopback, QoS 1 and 2, subscribers
 * that come and go, and the power goes, or the process, at any operation of the disk.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { brokerOptions } from '../../src/broker/options.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { type Random, seededRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createBrokerSource } from '../../src/source/mqtt-broker.ts';
import {
  LastingPublisher,
  LastingSubscriber,
  missingOf,
  orderProblems,
  type Problems,
} from '../broker/lasting.ts';
import { createHeard } from '../log/opened.ts';
import { eventually } from '../services/child.ts';
import { SimDisk } from './disk.ts';

const lives = Number(process.env.TIDEGATE_LIVES ?? 8);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** A gateway on a simulated disk that can be killed, or have its power cut, at once. */
class World {
  disk = new SimDisk();
  port = 0;
  boots = 0;
  gateway: Gateway | undefined;
  readonly logger = createHeard();
  readonly random: Random;
  /** Connections to a process end with it. */
  cutOff: () => void = () => {};
  #die: (() => void) | undefined;
  #stopSources = new AbortController();

  constructor(random: Random) {
    this.random = random;
  }

  async start(): Promise<void> {
    this.boots += 1;
    const { disk, logger } = this;
    // So that what clients do comes between operations of the disk.
    disk.before = () => turn();
    let isDead = false;
    this.#die = () => {
      isDead = true;
    };
    const system = createSystemClock();
    const clock: Clock = {
      ...system,
      boot: `00000000-0000-4000-8000-${String(this.boots).padStart(12, '0')}`,
      sleep: (ms, signal) => (isDead ? new Promise(() => {}) : system.sleep(ms, signal)),
    };
    const random = seededRandom(this.boots);
    const metrics = createMetrics();
    const doors = { clock, random, logger, metrics, secrets: openSecrets('.') };
    const broker = createBrokerSource(
      brokerOptions.parse({ listeners: [{ port: 0 }], limits: { queuedMessages: 100_000 } }),
      { ...doors, gateway: 'gw', version: '1' },
    );
    this.#stopSources = new AbortController();
    const killed = this.#stopSources.signal;
    const source: typeof broker = Object.create(broker, {
      run: {
        value: (
          ingest: Parameters<typeof broker.run>[0],
          signal: AbortSignal,
          opened: () => void,
        ) => broker.run(ingest, AbortSignal.any([signal, killed]), opened),
      },
    });
    const starting = startGateway({
      ...{ ...doors, id: 'gw', disk, sources: [source], rules: [], sinks: [] },
      log: { maxBytes: 2 ** 26, segmentBytes: 2 ** 14, whenFull: 'dropOldest', commitDelayMs: 0 },
      mappings: [],
      publish: () => {},
      status: {},
      heartbeatMs: 1_000,
      onBeat: () => {},
    });
    const started = await Promise.race([starting, this.#cutWhileStarting(disk)]);
    if (started === undefined) {
      this.end();
      return await this.start();
    }
    disk.before = () => turn();
    this.gateway = started;
    await started.opened;
    this.port = broker.addresses[0]!.port;
  }

  /** Some starts do not get far. */
  async #cutWhileStarting(disk: SimDisk): Promise<undefined> {
    if (this.boots % 3 !== 0) return await new Promise(() => {});
    const at = 1 + Math.floor(this.random.next() * 15);
    await new Promise<void>((resolve) => {
      disk.before = async () => {
        if (disk.operations >= at) resolve();
        await turn();
      };
    });
    return undefined;
  }

  /** At an operation of the disk that comes soon. */
  async endSoon(): Promise<void> {
    const { disk } = this;
    const at = disk.operations + 1 + Math.floor(this.random.next() * 12);
    await new Promise<void>((resolve) => {
      disk.before = async () => {
        await turn();
        if (disk.operations >= at) resolve();
      };
    });
    this.end();
  }

  end(): void {
    if (this.random.next() < 0.7) this.disk.crash(this.random);
    this.disk = this.disk.restart();
    this.port = 1;
    this.cutOff();
    this.#die?.();
    this.#stopSources.abort(new Error('killed'));
  }
}

test(`no kept session misses or repeats what its QoS forbids, over ${lives} lives (TIDEGATE_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const world = new World(random);
  const problems: Problems = [];
  await world.start();
  const place = () => world.port;
  const publishers = ([1, 2] as const).map(
    (qos) =>
      new LastingPublisher({ id: `pub${qos}`, qos, version: qos === 1 ? 4 : 5, place }, problems),
  );
  const sentTimes = (text: string) =>
    publishers.reduce((sum, { times }) => sum + (times.get(text) ?? 0), 0);
  const subscribers = ([4, 5] as const).flatMap((version) =>
    ([1, 2] as const).map(
      (qos) =>
        new LastingSubscriber(
          { id: `sub${version}${qos}`, qos, version, place, filter: 't/#' },
          sentTimes,
          problems,
        ),
    ),
  );
  // Between members a message may go to and fro, for which there is no mark.
  const members = ([4, 5] as const).map(
    (version) =>
      new LastingSubscriber(
        { id: `member${version}`, qos: 1, version, place, filter: '$share/g/t/#' },
        () => Number.POSITIVE_INFINITY,
        problems,
      ),
  );
  const everybody = [...subscribers, ...members];
  world.cutOff = () => {
    for (const each of [...publishers, ...everybody]) each.drop(false);
  };
  for (const subscriber of everybody) await subscriber.visit();
  await eventually(() => expect(everybody.every((each) => each.isSubscribed)).toBe(true));
  const running = publishers.map((publisher) => publisher.run());

  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      for (const publisher of publishers) {
        publisher.publish(`t/${Math.floor(random.next() * 3)}`);
        if (random.next() < 0.1) publisher.publish('r/last', true);
        if (random.next() < 0.005) publisher.drop(random.next() < 0.5);
      }
      for (const subscriber of everybody) {
        if (subscriber.isThere) {
          if (random.next() < 0.01) subscriber.drop(random.next() < 0.5);
        } else if (random.next() < 0.05) void subscriber.visit();
      }
      await turn();
    }
  })();
  for (let life = 1; life < lives; life++) {
    const before = publishers.map(({ acknowledged }) => acknowledged.length);
    await eventually(() => {
      const more = publishers.map(({ acknowledged }, i) => acknowledged.length - before[i]!);
      expect(Math.min(...more)).toBeGreaterThan(20);
    }, 20_000);
    await world.endSoon();
    await world.start();
  }
  isOver = true;
  await publishing;
  const staying = everybody.map((subscriber) => subscriber.stay());
  const lacks = () =>
    subscribers.flatMap((subscriber) =>
      publishers.flatMap((publisher) =>
        missingOf(subscriber, publisher, 0)
          .filter((text) => !retainedTexts.has(text))
          .map((text) => `${subscriber.options.id} lacks ${text}`),
      ),
    );
  // What is published under r/ is not subscribed to.
  const retainedTexts = new Set<string>();
  for (const publisher of publishers) {
    for (const text of publisher.retained) retainedTexts.add(text);
  }
  const nobodyHas = () =>
    publishers.flatMap((publisher) =>
      missingOf(members[0]!, publisher, 0).filter(
        (text) => !retainedTexts.has(text) && !members[1]!.times.has(text),
      ),
    );
  await eventually(() => {
    expect(publishers.flatMap(({ waiting }) => waiting)).toEqual([]);
    expect(lacks().slice(0, 5)).toEqual([]);
    expect(nobodyHas().slice(0, 5)).toEqual([]);
  }, 20_000);

  const late = new LastingSubscriber(
    { id: 'late', qos: 1, version: 4, place, filter: 'r/#' },
    sentTimes,
    problems,
  );
  const lateStays = late.stay();
  await eventually(() => expect(late.got).toHaveLength(1));
  const lasts = publishers.map(({ retained }) => retained.at(-1));
  expect(lasts).toContain(late.got[0]!.text);
  expect([...problems, ...subscribers.flatMap(orderProblems)].slice(0, 5)).toEqual([]);
  expect(world.logger.messages('error')).toEqual([]);
  const repeats = subscribers.reduce((sum, each) => sum + each.repeats, 0);
  const acknowledged = publishers.reduce((sum, each) => sum + each.acknowledged.length, 0);
  process.stderr.write(
    `${world.boots} starts, ${acknowledged} messages acknowledged, ${repeats} repeats, none missing\n`,
  );
  for (const each of [...publishers, ...everybody, late]) each.end();
  await Promise.all([...running, ...staying, lateStays]);
  await world.gateway!.stop(0);
}, 300_000);
