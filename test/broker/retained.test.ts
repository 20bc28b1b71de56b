import { afterEach, describe, expect, test } from 'vitest';
import { type Bounds, defaultBounds } from '../../src/broker/bounds.ts';
import { Message } from '../../src/broker/message.ts';
import { Retained } from '../../src/broker/retained.ts';
import { filterMatches } from '../../src/broker/topic-tree.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { payloads, publish, received, subscribe } from './delivery-clients.ts';
import { connectRaw, createFastClock, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);

function createRetained(bounds: Partial<Bounds> = {}) {
  const state = { now: 0, dropped: 0 };
  const retained = new Retained(
    { ...defaultBounds, ...bounds },
    () => state.now,
    () => {
      state.dropped += 1;
    },
  );
  const store = (topic: string, payload: Buffer | string, expiry?: number): void => {
    const properties = expiry === undefined ? {} : { messageExpiryInterval: expiry };
    const content = {
      topic,
      payload: Buffer.from(payload as string),
      qos: 1,
      retain: true,
    } as const;
    retained.store(new Message({ ...content, properties }, state.now));
  };
  const topics = (filter: string) => [...retained.matching(filter)].map(({ topic }) => topic);
  return { retained, state, store, topics };
}

describe('the messages that are kept', () => {
  test('are bounded in number and bytes; those that are there can still change', () => {
    const bounds = { retainedMessages: 3, retainedBytes: 2950 };
    const { retained, state, store, topics } = createRetained(bounds);
    for (const topic of ['a', 'b', 'c', 'd']) store(topic, Buffer.alloc(100));
    expect([retained.count, state.dropped]).toEqual([3, 1]);
    store('a', Buffer.alloc(1000));
    expect(state.dropped).toBe(2);
    store('a', Buffer.alloc(700));
    store('b', '');
    store('d', Buffer.alloc(200));
    expect(topics('#')).toEqual(['a', 'c', 'd']);
    expect(state.dropped).toBe(2);
    for (const topic of ['a', 'c', 'd']) store(topic, '');
    expect([retained.count, retained.bytes]).toEqual([0, 0]);
  });

  test('have no more levels than allowed: each takes memory', () => {
    const { retained, state, store } = createRetained({ topicLevels: 4 });
    store('a/b/c/d', 'x');
    store('a/b/c/d/e', 'x');
    expect([retained.count, state.dropped]).toEqual([1, 1]);
  });

  test('make room when they expire', () => {
    const { state, store, topics } = createRetained({ retainedMessages: 2 });
    store('a', 'x', 10);
    store('b', 'x', 20);
    state.now = 10_000;
    expect(topics('+')).toEqual(['b']);
    store('c', 'x');
    state.now = 20_000;
    store('d', 'x');
    expect([topics('#'), state.dropped]).toEqual([['c', 'd'], 0]);
  });

  test('are found by exactly the filters that match', () => {
    const seed = 20_261_121;
    const random = seededRandom(seed);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!;
    const levels = (names: readonly string[]): string =>
      Array.from({ length: 1 + Math.floor(random.next() * 4) }, () => pick(names)).join('/');
    const { store, topics } = createRetained();
    const all = new Set<string>();
    for (let index = 0; index < 400; index++) {
      const topic = levels(['a', 'b', '', '$x', 'c']);
      if (topic === '') continue;
      all.add(topic);
      store(topic, 'x');
    }
    for (let index = 0; index < 400; index++) {
      const filter = `${levels(['a', 'b', '', '$x', '+', 'c'])}${pick(['', '', '/#'])}`;
      if (filter === '') continue;
      const expected = [...all].filter((topic) => filterMatches(filter, topic)).sort();
      expect(topics(filter).sort(), `${filter}, seed ${seed}`).toEqual(expected);
    }
    expect(topics('#').sort()).toEqual(
      [...all].filter((topic) => filterMatches('#', topic)).sort(),
    );
  });

  test('may change while a subscriber gets them', () => {
    const { retained, store } = createRetained();
    for (let index = 0; index < 100; index++) store(`a/${index}`, 'x');
    const seen: string[] = [];
    for (const { topic } of retained.matching('a/+')) {
      seen.push(topic);
      store(topic, '');
      if (seen.length < 50) store('a/99', '');
    }
    expect(seen).toHaveLength(99);
    expect(retained.count).toBe(0);
  });
});

describe('a new subscription', () => {
  test('gets what is retained behind its SUBACK, with its identifier, at the QoS it was granted', async () => {
    const { port } = await openTestBroker();
    const writer = await connectRaw(port, 4, { id: 'writer' });
    for (const topic of ['a/b', 'a/b/', 'a', '$z'])
      await publish(writer, topic, topic, { retain: true });
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await subscribe(reader, 'a/b/+', 0, 9);
    await subscribe(reader, '#', 2);
    const got = await received(reader);
    expect(reader.received.slice(0, 3).map(({ cmd }) => cmd)).toEqual([
      'connack',
      'suback',
      'publish',
    ]);
    expect(got.map(({ topic, qos, retain }) => `${topic} ${qos} ${retain}`)).toEqual([
      ...['a/b/ 0 true', 'a 1 true', 'a/b 1 true', 'a/b/ 1 true'],
    ]);
    expect(got.map(({ properties }) => properties?.subscriptionIdentifier)).toEqual([
      ...[9, undefined, undefined, undefined],
    ]);
  });

  test('gets them as its retain handling says [MQTT5-3.8.3.1]', async () => {
    const { port } = await openTestBroker();
    const writer = await connectRaw(port, 4, { id: 'writer' });
    await publish(writer, 'a', 'x', { retain: true });
    const reader = await connectRaw(port, 5, { id: 'reader' });
    for (const [rh, count] of [
      [2, 0],
      [1, 0],
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      await subscribe(reader, [{ topic: 'a', rh }]);
      expect(await received(reader)).toHaveLength(count);
    }
    const fresh = await connectRaw(port, 5, { id: 'fresh' });
    await subscribe(fresh, [{ topic: 'a', rh: 1 }]);
    expect(await received(fresh)).toHaveLength(1);
  });

  test.for([0, 1, 2] as const)(
    'right behind a retained PUBLISH on one connection gets it once (QoS %i)',
    async (qos) => {
      const { port } = await openTestBroker();
      const client = await connectRaw(port, 4, { id: 'client' });
      client.send(publishPacket('a', 'x', qos, 1, { retain: true }), {
        ...{ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'a', qos: 1 }] },
      });
      expect(await client.next('publish')).toMatchObject({ retain: true });
      if (qos === 1) await client.next('puback');
      if (qos === 2) await client.next('pubrec');
      expect(await payloads(client)).toEqual(['x']);
    },
  );

  test('tens of thousands come at the pace of the client, whole', async () => {
    const { port } = await openTestBroker({
      bounds: { slowBytes: 16 * 2 ** 10 },
      options: { limits: { messagesPerSecond: 0 } },
    });
    const writer = await connectRaw(port, 4, { id: 'writer' });
    const count = 20_000;
    for (let from = 0; from < count; from += 1000) {
      writer.send(
        ...Array.from({ length: 1000 }, (_, index) =>
          publishPacket(`many/${from + index}`, 'x'.repeat(50), 0, 0, { retain: true }),
        ),
      );
    }
    writer.send({ cmd: 'pingreq' });
    await writer.next('pingresp');
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await publish(writer, 'many/last', 'x', { retain: true });
    await subscribe(reader, 'many/#', 0);
    while ((await received(reader)).length < count + 1);
    const topics = new Set((await received(reader)).map(({ topic }) => topic));
    expect(topics.size).toBe(count + 1);
  });

  test('does not get what has expired', async () => {
    const { port } = await openTestBroker({ clock: createFastClock(20) });
    const writer = await connectRaw(port, 5, { id: 'writer' });
    const properties = { messageExpiryInterval: 1 };
    await publish(writer, 'a', 'short', { retain: true, properties });
    await createFastClock(20).sleep(2000);
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await subscribe(reader, 'a');
    expect(await payloads(reader)).toEqual([]);
  });
});
