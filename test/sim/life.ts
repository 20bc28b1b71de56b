/**
 * The whole gateway in a world that can be taken apart: simulated clock and disk, far sides that
 * are arrays, and devices that remember what was acknowledged to them.
 */

import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createFilter } from '../../src/event/filter.ts';
import type { CatchUp } from '../../src/flow/catch-up.ts';
import { laneUsesOf } from '../../src/flow/lanes.ts';
import { type Gateway, type GatewayParts, startGateway } from '../../src/gateway.ts';
import { type Keyring, noKeys } from '../../src/log/keyring.ts';
import type { Entry } from '../../src/log/log.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Disk } from '../../src/platform/disk.ts';
import { type Logger, silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { type Random, seededRandom } from '../../src/platform/random.ts';
import { ruleKinds } from '../../src/rule/index.ts';
import type { Rule } from '../../src/rule/rule.ts';
import type { Connection, Sink } from '../../src/sink/sink.ts';
import type { Ingest, Memory, Source } from '../../src/source/source.ts';
import { SimClock } from './clock.ts';
import { SimDisk } from './disk.ts';
import { createSimSink, type SimSink } from './sink.ts';

export const mappings = [
  ingestMappingOptions.parse({ topic: 'sensors/{device}/{measurement}', identity: ['seq'] }),
];

export function createRules(): Rule[] {
  return [
    ruleKinds.threshold.create(
      ruleKinds.threshold.options.parse({ field: 'temperature', above: 30, clearBelow: 28 }),
      { name: 'hot' },
    ),
    ruleKinds.threshold.create(
      ruleKinds.threshold.options.parse({ field: 'temperature', above: 30, for: '25s' }),
      { name: 'hot-for-long' },
    ),
  ];
}

/** A message a device has sent, and whether the gateway has acknowledged it. */
export interface Sent {
  readonly device: string;
  readonly seq: number;
  readonly payload: string;
  acknowledged: boolean;
  /** When it was offered, by a clock that is never wrong. */
  readonly offeredAt: number[];
}

export class World {
  readonly clock = new SimClock();
  readonly random: Random;
  readonly sinks: SimSink[] = [createSimSink('one', { depth: 2 }), createSimSink('two')];
  readonly sent: Sent[] = [];
  rules = createRules;
  /** Where a sink begins that is new. */
  from: 'oldest' | 'newest' = 'oldest';
  /** What the source remembers from one life to the next, if it does. */
  memory: (() => Memory) | undefined;
  readonly logOptions: GatewayParts['log'];
  /** How readings that the first sink has missed reach it; the second gets all in order. */
  catchUp: CatchUp = { order: 'liveFirst', behindEvents: 4, behindAgeMs: 5_000 };
  disk: SimDisk = new SimDisk();
  /** What the log and the cursors are encrypted with from the next start on. */
  keys: Keyring = noKeys;
  gateway: Gateway | undefined;
  metrics = createMetrics();
  logger: Logger = silentLogger;
  /** What the wall clock would have to be moved by to be right. */
  clockWrongMs = 0;
  waitForClockMs = 5_000;
  heartbeatMs = 10_000;
  /** Why the last life ended by itself, if it did. */
  ended: Error | undefined;
  private life: { alive: boolean } = { alive: false };
  private ingest: Ingest | undefined;

  constructor(seed: number, logOptions: Partial<GatewayParts['log']> = {}) {
    this.random = seededRandom(seed);
    this.logOptions = {
      maxBytes: 1 << 30,
      whenFull: 'dropOldest',
      commitDelayMs: 0,
      segmentBytes: 2_000,
      ...logOptions,
    };
  }

  async start(disk: Disk = this.disk): Promise<void> {
    const life = { alive: true };
    this.life = life;
    this.ended = undefined;
    this.metrics = createMetrics();
    const source: Source = {
      name: 'devices',
      ...(this.memory !== undefined && { memory: this.memory() }),
      run: async (ingest, signal, opened) => {
        if (life.alive) this.ingest = ingest;
        opened();
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        if (life.alive) this.ingest = undefined;
      },
    };
    const gateway = await whileAlive(
      life,
      startGateway({
        id: 'sim',
        disk,
        clock: clockOf(this.clock, life),
        random: this.random,
        logger: this.logger,
        metrics: this.metrics,
        keys: this.keys,
        log: this.logOptions,
        mappings,
        sources: [source],
        rules: this.rules(),
        sinks: this.sinks.map((sink) => ({
          sink: sinkOf(sink, life),
          accepts: createFilter({ type: [...sink.types] }),
          batch: { events: 5, bytes: 1 << 20, delayMs: 0 },
          retry: { minMs: 100, maxMs: 5_000 },
          from: this.from,
          ...(sink === this.sinks[0] && { catchUp: this.catchUp }),
        })),
        publish: () => {},
        status: {},
        heartbeatMs: this.heartbeatMs,
        waitForClockMs: this.waitForClockMs,
        onBeat: () => {},
      }),
    );
    this.gateway = gateway;
    void gateway.failed.then((error) => {
      if (life.alive) this.ended = error;
    });
    await gateway.opened;
  }

  /** A device sends a message; it is acknowledged when, and only when, ingest resolves. */
  send(device: string, payload: string, seq = this.sent.length): Sent {
    const sent: Sent = { device, seq, payload, acknowledged: false, offeredAt: [] };
    this.sent.push(sent);
    this.offer(sent);
    return sent;
  }

  /** A device that was not answered sends once more what it sent. */
  offer(sent: Sent): void {
    const message = {
      topic: `sensors/${sent.device}/climate`,
      payload: new TextEncoder().encode(sent.payload),
      receivedAt: this.clock.now(),
    };
    sent.offeredAt.push(this.clock.now() + this.clockWrongMs);
    void this.ingest?.([message]).then(() => {
      sent.acknowledged = true;
    });
  }

  async stop(): Promise<void> {
    const { gateway } = this;
    if (gateway === undefined) return;
    let stopped = false;
    const over = (): void => {
      stopped = true;
    };
    // A disk that fails while the gateway stops ends it too.
    gateway.stop(200).then(over, over);
    while (!stopped && this.ended === undefined) await this.clock.advance(50);
    this.end();
    this.disk = this.disk.restart();
  }

  /** `kill -9`: nothing of the old process ever happens again; what it wrote stays. */
  kill(): void {
    this.end();
    this.disk.kill();
    this.disk = this.disk.restart();
  }

  /** Power fails: what was not synced may be gone, wholly or in part. */
  cut(): void {
    this.end();
    this.disk.crash(this.random);
    this.disk = this.disk.restart();
  }

  /** The machine has no clock chip: behind a power cut its wall clock is in 1970. */
  rebootIn1970(): void {
    this.cut();
    this.clock.reboot();
    const wrongMs = this.clock.now() - 10_000;
    this.clock.jump(-wrongMs);
    this.clockWrongMs += wrongMs;
    this.clock.clockQuality = 'unsynchronised';
  }

  /** Somebody sets the wall clock: right, if it was not known to be; and the gateway sees it. */
  async setClock(): Promise<void> {
    this.clock.jump(this.clockWrongMs);
    this.clockWrongMs = 0;
    this.clock.clockQuality = 'synchronised';
    await this.clock.advance(1_100);
  }

  /** Somebody sets it, for no reason, to something else. Only of an unset clock is that known. */
  async stepClock(ms: number): Promise<void> {
    this.clock.jump(ms);
    if (this.clock.clockQuality === 'synchronised') return;
    this.clockWrongMs -= ms;
    await this.clock.advance(1_100);
  }

  /** Somebody has everything that was refused sent once more; the answer may never come. */
  redrive(): void {
    this.gateway?.letters.redrive({}).catch(() => {});
  }

  private end(): void {
    this.life.alive = false;
    this.gateway = undefined;
    this.ingest = undefined;
  }

  /** All far sides work and everything is delivered. */
  async heal(): Promise<void> {
    for (const sink of this.sinks) sink.mood = 'works';
    if (this.ended !== undefined) this.kill();
    if (this.gateway === undefined) await this.start();
    for (let turn = 0; turn < 200; turn++) {
      await this.clock.advance(1_000);
      const { gateway } = this;
      if (gateway === undefined) throw new Error('The gateway is gone.');
      if (Object.values(gateway.lag()).every((lag) => lag === 0)) return;
    }
    throw new Error(`Not everything was delivered: ${JSON.stringify(this.gateway?.lag())}`);
  }

  /** What a lane carries, by its reader's name. */
  acceptsOf(reader: string): ((entry: Entry) => boolean) | undefined {
    const uses = this.sinks.flatMap((sink) =>
      laneUsesOf({ sink, accepts: createFilter({ type: [...sink.types] }) }),
    );
    return uses.find((use) => use.reader === reader)?.accepts;
  }

  /** Everything in the log. */
  async recorded(): Promise<Entry[]> {
    const { log } = this.gateway!;
    const reader = log.reader((log.first - 1) as never);
    const all: Entry[] = [];
    while (reader.position < log.last) {
      all.push(...(await reader.next(100, new AbortController().signal)));
    }
    reader.close();
    return all;
  }
}

/** The dead do not act: whatever they wait for never comes. */
async function whileAlive<T>(life: { alive: boolean }, promise: Promise<T>): Promise<T> {
  const value = await promise.catch(async (error: unknown) => {
    if (!life.alive) await new Promise<never>(() => {});
    throw error;
  });
  return life.alive ? value : await new Promise<never>(() => {});
}

function clockOf(clock: Clock, life: { alive: boolean }): Clock {
  return {
    boot: clock.boot,
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    quality: () => clock.quality(),
    sleep: (ms, signal) => whileAlive(life, clock.sleep(ms, signal)),
  };
}

function sinkOf(sink: SimSink, life: { alive: boolean }): Sink {
  return {
    name: sink.name,
    types: sink.types,
    async connect(signal) {
      const connection: Connection = await whileAlive(life, sink.connect(signal));
      return {
        ...(connection.depth !== undefined && { depth: connection.depth }),
        deliver: (events, abort) => {
          if (!life.alive) return new Promise<never>(() => {});
          return whileAlive(life, connection.deliver(events, abort));
        },
        close: () => connection.close(),
      };
    },
  };
}
