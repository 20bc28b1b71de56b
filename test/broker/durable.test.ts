import { expect, test } from 'vitest';
import { Durable } from '../../src/broker/durable.ts';
import type { MessageRecord, SessionRecord } from '../../src/broker/journal.ts';
import {
  acknowledged,
  began,
  bounds,
  Life,
  left,
  message,
  noon,
  parts,
  request,
  subscribed,
} from './durable-life.ts';

test('a message waits for every session that wants it, once each, until it is acknowledged', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', 'x/#', 'x/y'), began('b'), subscribed('b', 'x/+'));
  const first = life.record(message('x/y'));
  const second = life.record(message('x/z'));
  const third = life.record(message('x/y'));
  life.record(message('other'), message('x/y', { qos: 0 }));
  expect(life.session('a')!.waiting).toEqual([first, second, third]);
  expect(life.session('b')!.waiting).toEqual([first, second, third]);
  expect(life.durable.oldest).toBe(first);
  life.record(acknowledged('a', first, third), acknowledged('b', third));
  expect(life.session('a')!.waiting).toEqual([second]);
  expect(life.session('b')!.waiting).toEqual([]);
  expect(life.durable.oldest).toBe(second);
});

test('what a subscription at QoS 0, a local one, or one that is over asks for does not wait', () => {
  const life = new Life();
  life.record(began('a'), {
    ...{ kind: 'subscribed', client: 'a' },
    requests: [
      request('zero', { qos: 0 }),
      request('local', { noLocal: true }),
      request('gone'),
      request('again'),
    ],
  });
  life.record({ kind: 'unsubscribed', client: 'a', filters: ['gone'] });
  life.record({ kind: 'subscribed', client: 'a', requests: [request('again', { qos: 0 })] });
  life.record(message('zero'), message('local', { from: 'a' }), message('gone'), message('again'));
  expect(life.session('a')!.waiting).toEqual([]);
  const position = life.record(message('local', { from: 'b' }));
  expect(life.session('a')!.waiting).toEqual([position]);
});

test('of a session that is away the newest wait, and of one that is connected all that may be on their way', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', '#'));
  const positions = Array.from({ length: 9 }, () => life.record(message('x')));
  expect(life.session('a')!.waiting).toEqual(positions);
  life.record(left('a', positions[6]));
  expect(life.session('a')!.waiting).toEqual(positions.slice(-4));
  positions.push(life.record(message('x')));
  expect(life.session('a')!.waiting).toEqual(positions.slice(-4));
});

test('what was sent is known exactly after a stop, and after a kill all of it may have been', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', '#'));
  const [one, two] = [1, 2].map(() => life.record(message('x')));
  life.record(left('a', one));
  const stopped = new Life(new Durable(parts));
  stopped.durable.restore(JSON.parse(JSON.stringify(life.durable.snapshot())));
  expect(stopped.session('a')!.sentUpTo).toBe(one);
  stopped.record(message('y', { qos: 0 }));
  expect(stopped.session('a')!.sentUpTo).toBe(two);
});

test('a session that begins anew, or ends, has nothing of what was before', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', '#'), message('x'), began('a'));
  expect(life.session('a')).toMatchObject({ waiting: [], subscriptions: [] });
  life.record(message('x'));
  expect(life.session('a')!.waiting).toEqual([]);
  life.record(subscribed('a', '#'), message('x'), { kind: 'ended', client: 'a' });
  expect(life.state).toEqual({ sessions: [], groups: [], wills: [], retained: [] });
  expect(life.durable.oldest).toBe(Number.POSITIVE_INFINITY);
});

test('what waits for a group is emptied by any member, and ends with the last one', () => {
  const life = new Life();
  const filter = '$share/g/x/+';
  life.record(began('a'), subscribed('a', filter), began('b'), subscribed('b', filter));
  const [one, two, three] = [1, 2, 3].map(() => life.record(message('x/y')));
  expect(life.session('a')!.waiting).toEqual([]);
  const by = (client: string, ...positions: number[]): SessionRecord => ({
    ...{ kind: 'acknowledged', client, upTo: three!, beyond: [] },
    shared: { [filter]: positions },
  });
  life.record(by('a', two!), by('somebody', three!));
  expect(life.state.groups).toEqual([{ filter, waiting: [one] }]);
  // PUBREC: from now on it is the member's own.
  life.record({ kind: 'recorded', client: 'b', position: one! });
  expect(life.state.groups).toEqual([{ filter, waiting: [] }]);
  expect(life.session('b')).toMatchObject({ waiting: [one], recorded: [one] });
  const four = life.record({ kind: 'ended', client: 'a' }, message('x/y'));
  expect(life.state.groups).toEqual([{ filter, waiting: [four] }]);
  life.record({ kind: 'unsubscribed', client: 'b', filters: [filter] }, message('x/y'));
  expect(life.state.groups).toEqual([]);
});

test('the identifiers of incoming QoS 2 messages are known from their record to their release', () => {
  const life = new Life();
  life.record(began('pub'), message('x', { qos: 2, incomingId: 7 }));
  life.record(
    { kind: 'received', client: 'pub', id: 9 },
    { kind: 'received', client: 'no', id: 1 },
  );
  expect(life.session('pub')!.receivedIds).toEqual([7, 9]);
  life.record({ kind: 'released', client: 'pub', id: 7 });
  expect(life.session('pub')!.receivedIds).toEqual([9]);
});

test('the last retained message of a topic is kept, and none of the gateway itself', () => {
  const life = new Life();
  const retain = (topic: string, text: string, more: Partial<MessageRecord> = {}) =>
    life.record(message(topic, { retain: true, qos: 0, payload: Buffer.from(text), ...more }));
  retain('a', '1');
  retain('a', '2');
  retain('b', '1');
  retain('b', '');
  retain('tidegate/status', 'online', { from: undefined as unknown as string });
  retain('$SYS/x', '1');
  const kept = () =>
    life.state.retained.map(({ message: { topic, payload } }) => `${topic}=${payload}`);
  expect(kept()).toEqual(['a=2']);
  for (const topic of 'cdefgh') retain(topic, '1');
  expect(kept()).toHaveLength(bounds.retainedMessages);
  retain('a', 'x'.repeat(2_000));
  expect(kept()).toContain('a=2');
});

test('retained messages that have expired make room for others', () => {
  const life = new Life();
  const retain = (topic: string, seconds: number) =>
    life.record(message(topic, { retain: true, properties: { messageExpiryInterval: seconds } }));
  for (const topic of 'abcde') retain(topic, topic === 'c' ? 10 : 1_000);
  retain('f', 1_000);
  const topics = () => life.state.retained.map((kept) => kept.message.topic).join('');
  expect(topics()).toBe('abcde');
  life.pass(20_000);
  retain('f', 1_000);
  expect(topics()).toBe('abdef');
});

test('time away counts while the machine runs, whatever its clock says', () => {
  const life = new Life();
  life.record(began('a'), left('a'));
  life.pass(30_000);
  expect(life.session('a')!.awayMs).toBe(30_000);
  life.clock.now += 10 * 365 * 86_400_000;
  life.record(message('x'));
  expect(life.session('a')!.awayMs).toBe(31_000);
  life.clock.now = 0;
  life.record(message('x'));
  expect(life.session('a')!.awayMs).toBe(32_000);
});

test('a night without power counts by clocks that are set before and after, once they are', () => {
  const life = new Life();
  life.record(began('a'), left('a'), message('x'));
  life.reboot(3_600_000, 'unsynchronised');
  // In 1970.
  expect(life.session('a')!.awayMs).toBe(1_000);
  life.record(message('x'));
  life.pass(20_000);
  expect(life.session('a')!.awayMs).toBe(21_000);
  life.record(message('x'));
  life.clock = { ...life.clock, now: noon + 3 * 3_600_000, quality: 'synchronised' };
  life.record(message('x'));
  const awayMs = noon + 3 * 3_600_000 + 1_000 - (noon + 2_000);
  expect(life.session('a')!.awayMs).toBe(awayMs);
  life.reboot(7_200_000);
  expect(life.session('a')!.awayMs).toBe(awayMs + 7_200_000);
});

test('a client that was connected as the gateway ended is away from then on, and may have been sent all', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', '#'));
  const position = life.record(message('x'));
  life.reboot(86_400_000);
  expect(life.session('a')).toMatchObject({ wasConnected: true, awayMs: 0, sentUpTo: position });
  life.record(left('a', 0), { kind: 'back', client: 'a', expirySeconds: 5 });
  expect(life.session('a')).toMatchObject({ wasConnected: true, expirySeconds: 5 });
});

test('a will is kept with its bytes until it is gone, and knows since when its client is away', () => {
  const life = new Life();
  const will = message('dead', {
    payload: Buffer.from([0, 255, 1]),
    properties: { correlationData: Buffer.from([9, 200]), userProperties: [['a', 'b']] },
  });
  life.record(began('a'), { kind: 'will', client: 'a', delaySeconds: 30, message: will });
  life.record(left('a'), message('x'));
  expect(life.state.wills).toEqual([
    { client: 'a', message: will, delaySeconds: 30, awayMs: 1_000 },
  ]);
  life.record({ kind: 'willGone', client: 'a' });
  expect(life.state.wills).toEqual([]);
});

test('what the log has lost is told by the name of the session, and once it is recorded, no more', () => {
  const life = new Life();
  life.record(began('a'), subscribed('a', '#', '$share/g/#'));
  const positions = [1, 2, 3].map(() => life.record(message('x')));
  const isGone = (position: number) => position <= positions[1]!;
  const loss = { from: positions[0], upTo: positions[1], messages: 2 };
  expect(life.durable.losses(isGone)).toEqual([
    { client: 'a', ...loss },
    { client: '$share/g/#', ...loss },
  ]);
  life.record({ kind: 'lost', client: 'a', upTo: positions[1]! });
  life.record({ kind: 'lost', client: '$share/g/#', upTo: positions[1]! });
  expect(life.durable.losses(isGone)).toEqual([]);
  expect(life.durable.oldest).toBe(positions[2]);
});
