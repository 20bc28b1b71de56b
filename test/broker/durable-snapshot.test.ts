import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Durable } from '../../src/broker/durable.ts';
import { decodePositions, encodePositions } from '../../src/broker/durable-queue.ts';
import type { JournalRecord, SessionRecord } from '../../src/broker/journal.ts';
import { Life, parts, request } from './durable-life.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

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

test(`records that a snapshot lacks are those that the log tells of, laid under it (TIDEGATE_SEED=${seed})`, () => {
  const list = fc.constantFrom('sessions', 'groups', 'wills', 'retained');
  const lost = fc.array(fc.tuple(list, fc.nat(5)), { maxLength: 4 });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), lost, (steps, losses) => {
      const whole = new Life();
      const again = new Durable(parts);
      for (const each of steps) {
        if ('rebootMs' in each) {
          whole.reboot(each.rebootMs, each.isSet ? 'synchronised' : 'unsynchronised');
          continue;
        }
        const entry = whole.entry(placed(each.record, whole.position));
        whole.durable.step(entry);
        again.step(entry);
      }
      const saved = JSON.parse(JSON.stringify(whole.durable.snapshot()));
      for (const [name, at] of losses) saved[name].splice(at, 1);
      again.restore(saved);
      const snapshotOf = (durable: Durable) => {
        const { sessions, groups, wills, retained, ...rest } = durable.snapshot();
        const byClient = sessions.map(({ client, ...session }) => [client, session] as const);
        return {
          ...rest,
          sessions: Object.fromEntries(byClient),
          groups: Object.fromEntries(groups),
          wills: Object.fromEntries(wills.map(([client, ...will]) => [client, will])),
          retained: Object.fromEntries(retained.map(([topic, ...row]) => [topic, row])),
        };
      };
      expect(snapshotOf(again)).toEqual(snapshotOf(whole.durable));
      expect(again.oldest).toBe(whole.durable.oldest);
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
