import { afterEach, expect, test } from 'vitest';
import type { JournalRecord } from '../../src/broker/journal.ts';
import { brokerOptions } from '../../src/broker/options.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createBrokerSource } from '../../src/source/mqtt-broker.ts';
import type { OwnRecord } from '../../src/source/source.ts';
import { began, Life, left, message, subscribed } from '../broker/durable-life.ts';
import { connectPacket, openRawClient, stopAll } from '../broker/harness.ts';
import { eventually } from '../services/child.ts';

let end: (() => Promise<void>) | undefined;
afterEach(async () => {
  await stopAll();
  await end?.();
  end = undefined;
});

/** A broker that begins with what a log held, on a machine whose clocks stand where the log ends. */
async function openOn(life: Life, ...records: JournalRecord[]) {
  const entries = records.map((record) => life.entry(record));
  return {
    async open() {
      const { now, monotonic, boot, quality } = life.clock;
      const system = createSystemClock();
      const start = system.monotonic();
      const since = () => system.monotonic() - start;
      const clock: Clock = {
        ...{ boot, now: () => now + since(), monotonic: () => monotonic + since() },
        ...{ quality: () => quality, sleep: system.sleep },
      };
      const source = createBrokerSource(brokerOptions.parse({ listeners: [{ port: 0 }] }), {
        ...{ gateway: 'gw', version: '1', clock, random: seededRandom(7), logger: silentLogger },
        ...{ metrics: createMetrics(), secrets: openSecrets('.') },
      });
      const memory = source.memory!;
      memory.restore(null);
      for (const entry of entries) memory.step(entry);
      const appended: OwnRecord[] = [];
      memory.begin({
        async append(more) {
          appended.push(...more);
          return more.map((_, index) => life.position + appended.length + index);
        },
        messages: async (positions) =>
          entries.filter(
            (entry) => entry.type === 'message' && positions.includes(entry.position),
          ) as never,
      });
      const ending = new AbortController();
      let ended!: Promise<void>;
      await new Promise<void>((resolve, reject) => {
        ended = source.run(async () => {}, ending.signal, resolve);
        ended.catch(reject);
      });
      end = async () => {
        ending.abort(new Error('The test is over.'));
        await ended;
      };
      const { port } = source.addresses[0]!;
      return { port, appended };
    },
  };
}

async function connectAs(port: number, id: string) {
  const client = await openRawClient(port, 5);
  client.send(connectPacket(5, { id, clean: false, properties: { sessionExpiryInterval: 60 } }));
  const { sessionPresent } = await client.next('connack');
  return { client, sessionPresent };
}

const kept = [began('a'), subscribed('a', 't/#'), left('a')];

test('a session is there within its expiry after a restart, with what waits for it', async () => {
  const life = new Life();
  const log = await openOn(life, ...kept, message('t/1'), message('other'), message('t/2'));
  life.pass(40_000);
  const { port } = await log.open();
  const { client, sessionPresent } = await connectAs(port, 'a');
  expect(sessionPresent).toBe(true);
  expect((await client.next('publish')).topic).toBe('t/1');
  expect((await client.next('publish')).topic).toBe('t/2');
});

test('a session whose expiry has passed while the gateway was down is not there', async () => {
  const life = new Life();
  const log = await openOn(life, ...kept, message('t/1'));
  life.pass(61_000);
  const { port, appended } = await log.open();
  expect((await connectAs(port, 'a')).sessionPresent).toBe(false);
  const kinds = appended.map((record) => (record.type === 'session' ? record.data.kind : ''));
  expect(kinds.slice(0, 2)).toEqual(['ended', 'began']);
});

test('a night without power ends a session only where the clock is known to be right', async () => {
  for (const quality of ['synchronised', 'unsynchronised'] as const) {
    const life = new Life();
    const log = await openOn(life, ...kept);
    life.reboot(86_400_000, quality);
    const { port } = await log.open();
    const { sessionPresent } = await connectAs(port, 'a');
    expect(sessionPresent, quality).toBe(quality === 'unsynchronised');
    await end!();
    end = undefined;
  }
});

test('a client that was connected when the gateway was killed is away from the restart on, on record', async () => {
  const life = new Life();
  const log = await openOn(life, began('a'), subscribed('a', 't/#'), message('t/1'));
  life.reboot(86_400_000);
  const { port, appended } = await log.open();
  const [first] = appended;
  expect(first).toMatchObject({ subject: 'a', data: { kind: 'left', details: { sentUpTo: 3 } } });
  const { client, sessionPresent } = await connectAs(port, 'a');
  expect(sessionPresent).toBe(true);
  expect(await client.next('publish')).toMatchObject({ topic: 't/1', dup: true });
});

test('the will of a client that has not come back is published once its delay is over', async () => {
  const life = new Life();
  const will = message('t/dead', { from: 'gone' });
  const log = await openOn(
    life,
    began('gone'),
    {
      ...{ kind: 'will', client: 'gone', delaySeconds: 30, message: will },
    },
    left('gone'),
    ...kept,
  );
  life.pass(29_500);
  const { port } = await log.open();
  const { client } = await connectAs(port, 'a');
  expect((await client.next('publish')).topic).toBe('t/dead');
});

test('a retained message is there until its expiry, counted over the restart', async () => {
  const life = new Life();
  const expiring = (topic: string, seconds: number) =>
    message(topic, { retain: true, properties: { messageExpiryInterval: seconds } });
  const log = await openOn(life, expiring('r/short', 30), expiring('r/long', 3_000));
  life.pass(40_000);
  const { port } = await log.open();
  const { client } = await connectAs(port, 'b');
  client.send({
    ...{ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] },
  } as never);
  const { topic, properties } = await client.next('publish');
  expect(topic).toBe('r/long');
  expect(properties?.messageExpiryInterval).toBeLessThanOrEqual(2_961);
  await eventually(() =>
    expect(client.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(1),
  );
});
