import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Durable, type Recorded } from '../../src/broker/durable.ts';
import { decodePositions, encodePositions } from '../../src/broker/durable-queue.ts';
import { sessionData } from '../../src/broker/durable-records.ts';
import type { JournalRecord, MessageRecord, SessionRecord } from '../../src/broker/journal.ts';
import type { FilterRequest } from '../../src/broker/packets.ts';
import type { ClockQuality } from '../../src/platform/clock.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const bounds = { retainedMessages: 5, retainedBytes: 1_000, inflightMessages: 8 };
const parts = { bounds, queuedMessages: 4 };
const noon = Date.UTC(2026, 10, 21, 12);

/** Hands records to a fold as the log would, each a second after the one before. */
class Life {
  position = 0;
  clock = { now: noon, monotonic: 1_000, boot: 'first', quality: 'synchronised' as ClockQuality };
  readonly durable: Durable;

  constructor(durable = new Durable(parts)) {
    this.durable = durable;
  }

  record(...records: JournalRecord[]): number {
    for (const record of records) this.durable.step(this.entry(record));
    return this.position;
  }

  entry(record: JournalRecord): Recorded {
    this.pass(1_000);
    this.position += 1;
    const { now, monotonic, boot, quality } = this.clock;
    const { kind, ...rest } = record;
    const common = {
      ...{ position: this.position, id: `${this.position}`, source: '/gateways/gw/broker' },
      ...{ time: now, recordedTime: now, monotonic, boot, clock: quality },
    };
    if (kind !== 'message') {
      const data = sessionData(record as SessionRecord);
      const subject = (record as SessionRecord).client;
      // By way of JSON, as everything in the log but a payload.
      return { ...common, type: 'session', subject, data: JSON.parse(JSON.stringify(data)) };
    }
    const { topic, ...data } = rest as MessageRecord;
    return { ...common, type: 'message', subject: topic, data };
  }

  pass(ms: number): void {
    this.clock.now += ms;
    this.clock.monotonic += ms;
  }

  /** A restart of the machine, `offMs` later. */
  reboot(offMs: number, quality: ClockQuality = 'synchronised'): void {
    const now = quality === 'synchronised' ? this.clock.now + offMs : 5_000;
    this.clock = { now, monotonic: 0, boot: `${this.clock.boot}'`, quality };
  }

  get state() {
    const { now, monotonic, boot, quality } = this.clock;
    return this.durable.stateAt({
      ...{ boot, now: () => now, monotonic: () => monotonic, quality: () => quality },
      sleep: async () => {},
    });
  }

  session(client: string) {
    return this.state.sessions.find((session) => session.client === client);
  }
}

const request = (filter: string, more: Partial<FilterRequest> = {}): FilterRequest => ({
  ...{ filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
  ...more,
});
const subscribed = (client: string, ...filters: string[]): SessionRecord => ({
  ...{ kind: 'subscribed', client },
  requests: filters.map((filter) => request(filter)),
});
const began = (client: string): SessionRecord => ({ kind: 'began', client, expirySeconds: 60 });
const left = (client: string, sentUpTo = 0): SessionRecord => ({
  ...{ kind: 'left', client, expirySeconds: 60, sentUpTo },
});
const message = (topic: string, more: Partial<MessageRecord> = {}): MessageRecord => ({
  ...{ kind: 'message', topic, payload: Buffer.from('21.5'), qos: 1, retain: false, from: 'pub' },
  ...more,
});
const acknowledged = (client: string, upTo: number, ...beyond: number[]): SessionRecord => ({
  ...{ kind: 'acknowledged', client, upTo, beyond },
});

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
  stopped.durable.restore(life.durable.snapshot());
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

const client = fc.constantFrom('a', 'b', '__proto__');
const topic = fc.constantFrom('x', 'x/y', '$SYS/a', 'z');
const filter = fc.constantFrom('#', 'x/#', 'x', '+', '$share/g/x/#', '$share/h/#', 'z');
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const payload = fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes));
const published = fc.record(
  {
    kind: fc.constant('message' as const),
    ...{ topic, payload, qos, retain: fc.boolean(), from: client },
    incomingId: fc.integer({ min: 1, max: 9 }),
  },
  { requiredKeys: ['kind', 'topic', 'payload', 'qos', 'retain'] },
);
/** Positions as far back as there are; fixed once it is known where the record stands. */
const back = fc.nat(12);
const of = <K extends SessionRecord['kind']>(kind: K) => ({ kind: fc.constant(kind), client });
const change = fc.oneof(
  fc.record({ ...of('began'), expirySeconds: fc.nat(9) }),
  fc.record({ ...of('back'), expirySeconds: fc.nat(9) }),
  fc.record(of('ended')),
  fc.record({ ...of('left'), expirySeconds: fc.nat(9), sentUpTo: back }),
  fc.record({
    ...of('subscribed'),
    subscriptionId: fc.nat(9),
    requests: fc.array(
      fc.tuple(filter, qos, fc.boolean()).map(([f, q, noLocal]) => request(f, { qos: q, noLocal })),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  fc.record({ ...of('unsubscribed'), filters: fc.array(filter, { maxLength: 2 }) }),
  fc.record({ ...of('received'), id: fc.nat(9) }),
  fc.record({ ...of('released'), id: fc.nat(9) }),
  fc.record({
    ...of('acknowledged'),
    ...{ upTo: back, beyond: fc.array(back, { maxLength: 3 }) },
    shared: fc.dictionary(filter, fc.array(back, { maxLength: 3 })),
  }),
  fc.record({ ...of('lost'), upTo: back }),
  fc.record({ ...of('recorded'), position: back }),
  fc.record({ ...of('will'), delaySeconds: fc.nat(9), message: published }),
  fc.record(of('willGone')),
) as fc.Arbitrary<SessionRecord>;
const step = fc.oneof(
  { weight: 3, arbitrary: published.map((record) => ({ record: record as JournalRecord })) },
  { weight: 3, arbitrary: change.map((record) => ({ record: record as JournalRecord })) },
  { weight: 1, arbitrary: fc.record({ rebootMs: fc.nat(9_999), isSet: fc.boolean() }) },
);

test(`a snapshot at any point and what follows it make the same as everything from the beginning (TIDEGATE_SEED=${seed})`, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, at) => {
      const whole = new Life();
      let resumed: Durable | undefined;
      steps.forEach((each, index) => {
        if (index === at) {
          resumed = new Durable(parts);
          resumed.restore(JSON.parse(JSON.stringify(whole.durable.snapshot())));
        }
        if ('rebootMs' in each) {
          whole.reboot(each.rebootMs, each.isSet ? 'synchronised' : 'unsynchronised');
          return;
        }
        const entry = whole.entry(placed(each.record, whole.position));
        whole.durable.step(entry);
        resumed?.step(entry);
      });
      if (resumed === undefined) return;
      const snapshotOf = (durable: Durable) => {
        const { groups, ...rest } = durable.snapshot();
        return { ...rest, groups: Object.fromEntries(groups) };
      };
      expect(snapshotOf(resumed)).toEqual(snapshotOf(whole.durable));
      expect(resumed.oldest).toBe(whole.durable.oldest);
      const one = new Life(resumed);
      one.clock = whole.clock;
      const stateOf = ({ state: { groups, ...rest } }: Life) => ({
        ...rest,
        groups: new Set(groups),
      });
      expect(stateOf(one)).toEqual(stateOf(whole));
    }),
    { numRuns: 1_000, seed },
  );
});

/** With positions of what has been, instead of how far back they are. */
function placed(record: JournalRecord, position: number): JournalRecord {
  const at = (far: number): number => Math.max(0, position - far);
  switch (record.kind) {
    case 'left':
      return { ...record, sentUpTo: at(record.sentUpTo) };
    case 'lost':
      return { ...record, upTo: at(record.upTo) };
    case 'recorded':
      return { ...record, position: at(record.position) };
    case 'acknowledged':
      return {
        ...record,
        ...{ upTo: at(record.upTo), beyond: record.beyond.map(at) },
        shared: Object.fromEntries(
          Object.entries(record.shared ?? {}).map(([group, list]) => [group, list.map(at)]),
        ),
      };
    default:
      return record;
  }
}

test('positions come back from their compact form, however large', () => {
  const positions = fc.uniqueArray(fc.nat(2 ** 48 - 1)).map((all) => all.sort((a, b) => a - b));
  fc.assert(
    fc.property(positions, (all) => {
      expect(decodePositions(encodePositions(all))).toEqual(all);
    }),
    { seed },
  );
});
