import { expect, test } from 'vitest';
import { type Bounds, defaultBounds } from '../../src/broker/bounds.ts';
import { Incoming } from '../../src/broker/incoming.ts';
import { Retained } from '../../src/broker/retained.ts';
import { Sessions } from '../../src/broker/sessions.ts';
import type { StoredPacket } from '../../src/broker/stored.ts';

function createSessions(bounds: Partial<Bounds> = {}, connections = 10, queuedMessages = 100) {
  const lost = new Map<string, number>();
  const sessions = new Sessions({
    bounds: { ...defaultBounds, ...bounds },
    connections,
    queuedMessages,
    lost: (reason, messages) => lost.set(reason, (lost.get(reason) ?? 0) + messages),
  });
  return { sessions, lost };
}

let counter = 0;
function packet(topic: string, payload: string | Buffer): StoredPacket {
  counter += 1;
  return {
    ...{ cmd: 'publish', brokerId: 'b', brokerCounter: counter, topic },
    ...{ payload: Buffer.from(payload as string), qos: 1, retain: false, dup: false },
  };
}

test('kept sessions are bounded: the one that was away longest goes, with what it waited for', () => {
  const { sessions, lost } = createSessions({ sessionsPerConnection: 1 }, 3);
  for (const id of ['a', 'b', 'c']) {
    sessions.attach(id, true);
    sessions.subscribe(id, [{ topic: 'x', qos: 1 }]);
    sessions.detach(id, true);
  }
  sessions.enqueue(sessions.wanting('x'), packet('x', 'one'));
  sessions.attach('a', true);
  sessions.attach('d', true);
  expect(['a', 'b', 'c', 'd'].filter((id) => sessions.isKept(id))).toEqual(['a', 'c', 'd']);
  expect(lost.get('session_evicted')).toBe(1);
  expect(sessions.wanting('x').map(({ clientId }) => clientId)).toEqual(['a', 'c']);
});

test('sessions that are not kept leave nothing behind', () => {
  const { sessions } = createSessions();
  for (let round = 0; round < 100; round++) {
    sessions.attach(`client-${round}`, false);
    sessions.incoming(`client-${round}`).arrive(1, false);
    sessions.detach(`client-${round}`, false);
  }
  expect(sessions.count).toBe(0);
});

test('the bytes that wait are bounded, for one session and for all', () => {
  const { sessions, lost } = createSessions({ queuedBytes: 2500, queuedBytesTotal: 4000 });
  for (const id of ['a', 'b']) {
    sessions.attach(id, true);
    sessions.subscribe(id, [{ topic: id, qos: 1 }]);
    sessions.detach(id, true);
  }
  for (let index = 0; index < 4; index++) {
    sessions.enqueue(sessions.wanting('a'), packet('a', Buffer.alloc(999)));
  }
  for (let index = 0; index < 4; index++) {
    sessions.enqueue(sessions.wanting('b'), packet('b', Buffer.alloc(999)));
  }
  expect([sessions.queued('a').length, sessions.queued('b').length]).toEqual([2, 2]);
  expect(lost.get('queue_full')).toBe(4);
  sessions.end('a');
  sessions.attach('a', true);
  sessions.enqueue([{ clientId: 'a' }], packet('a', Buffer.alloc(999)));
  expect(sessions.queued('a')).toHaveLength(1);
});

test('what waits does not hold on to the memory it arrived in', () => {
  const { sessions } = createSessions();
  const chunk = Buffer.alloc(65_536);
  const { payload } = packet('a', '');
  expect(payload).toHaveLength(0);
  sessions.enqueue([{ clientId: 'a' }], { ...packet('a', ''), payload: chunk.subarray(0, 100) });
  const kept = sessions.queued('a')[0]!.payload as Buffer;
  expect(kept).toHaveLength(100);
  expect(kept.buffer).not.toBe(chunk.buffer);
});

test('a session that wants a message twice gets it once, at the higher QoS', () => {
  const { sessions } = createSessions();
  sessions.subscribe('a', [
    { topic: 'x/#', qos: 1 },
    { topic: 'x/y', qos: 2 },
    { topic: '+/y', qos: 1 },
  ]);
  expect(sessions.wanting('x/y')).toEqual([{ clientId: 'a', topic: 'x/y', qos: 2 }]);
  sessions.subscribe('a', [{ topic: 'x/y', qos: 0 }]);
  expect(sessions.wanting('x/y').map(({ qos }) => qos)).toEqual([1]);
});

test('QoS 2 towards a subscriber survives a lost connection at every step', () => {
  const { sessions } = createSessions();
  sessions.attach('a', true);
  const message = packet('x', 'one');
  sessions.enqueue([{ clientId: 'a' }], { ...message, qos: 2 });
  expect(sessions.queued('a')[0]).toMatchObject({ cmd: 'publish', dup: false, qos: 2 });
  sessions.sent('a', { ...message, messageId: 9 });
  expect(sessions.queued('a')[0]).toMatchObject({ cmd: 'publish', dup: true, messageId: 9 });
  sessions.sent('a', { ...message, cmd: 'pubrel', messageId: 9, brokerId: null });
  expect(sessions.queued('a')[0]).toMatchObject({ cmd: 'pubrel', messageId: 9 });
  expect(sessions.done('a', { ...message, messageId: 9 })).toBeDefined();
  expect(sessions.queued('a')).toEqual([]);
});

test('packet identifiers that are open take one bit each', async () => {
  const incoming = new Incoming();
  for (let id = 1; id <= 65_535; id++) {
    incoming.arrive(id, false)!(false);
    expect(await incoming.isKnown(id)).toBe(false);
    await incoming.store(id);
  }
  expect(incoming.count).toBe(65_535);
  expect(incoming.arrive(40_000, false)).toBeUndefined();
  for (let id = 1; id <= 65_535; id++) incoming.release(id);
  expect(incoming.count).toBe(0);
  expect(incoming.arrive(40_000, false)).toBeDefined();
});

test('a message lost on its way may be sent again', async () => {
  const incoming = new Incoming();
  const settle = incoming.arrive(1, false)!;
  expect(await incoming.isKnown(1)).toBe(false);
  const stored = incoming.store(1);
  settle(true);
  await expect(stored).rejects.toThrow();
  expect(incoming.has(1)).toBe(false);
  expect(incoming.arrive(1, true)).toBeDefined();
});

test('retained messages are bounded in number and bytes; those that are kept can still change', () => {
  let dropped = 0;
  const bounds = { ...defaultBounds, retainedMessages: 3, retainedBytes: 1000 };
  const retained = new Retained(bounds, () => {
    dropped += 1;
  });
  const store = (topic: string, bytes: number): void =>
    retained.store({ ...packet(topic, Buffer.alloc(bytes)), retain: true });
  for (const topic of ['a', 'b', 'c', 'd']) store(topic, 100);
  expect([retained.count, dropped]).toEqual([3, 1]);
  store('a', 900);
  expect(dropped).toBe(2);
  store('a', 600);
  store('b', 0);
  store('d', 200);
  expect([...retained.matching(['#'])].map(({ topic }) => topic)).toEqual(['a', 'c', 'd']);
  expect(dropped).toBe(2);
});
