import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Draft, eventTypes } from '../../src/event/event.ts';
import { type Append, AppendTooLarge, BatchWriter } from '../../src/log/batch.ts';
import { EventDecoder } from '../../src/log/event-decoder.ts';
import { groupBytesMax } from '../../src/log/format.ts';
import { type GroupPlace, groupAt } from '../../src/log/group.ts';
import type { Entry } from '../../src/log/log.ts';
import { SimClock } from '../sim/clock.ts';
import { readingOf, readingsOf } from './opened.ts';

const logId = 0xdecafbad;
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    'a',
    'temperature',
    '__proto__',
    'constructor',
    '1',
    '',
    '\ud800',
    'grün',
    '温度',
  ),
);
const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 127, 128, 2 ** 31, -(2 ** 31), 2 ** 53, 1e-7),
  fc.tuple(fc.integer(), fc.integer({ min: 0, max: 12 })).map(([m, k]) => m / 10 ** k),
);
const value = fc.oneof(number, fc.bigInt(), fc.boolean(), name, fc.string({ minLength: 60 }));
const words = fc.dictionary(name, name, { maxKeys: 4 });
const json = fc.jsonValue();
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));

/** fast-check makes objects without a prototype as well, which no codec does. */
function ordinary(made: unknown): unknown {
  if (typeof made !== 'object' || made === null || Buffer.isBuffer(made)) return made;
  if (Array.isArray(made)) return made.map(ordinary);
  return Object.fromEntries(Object.entries(made).map(([key, each]) => [key, ordinary(each)]));
}

const dataOf = {
  reading: fc.record({
    measurement: name,
    tags: words,
    fields: fc.dictionary(name, value, { maxKeys: 6 }),
  }),
  alert: fc.record(
    {
      rule: name,
      state: fc.constantFrom('firing' as const, 'resolved' as const),
      incident: name,
      severity: fc.constantFrom('info' as const, 'critical' as const),
      value,
      threshold: number,
      since: name,
      summary: name,
    },
    { requiredKeys: ['rule', 'state', 'incident', 'severity', 'since', 'summary'] },
  ),
  command: fc.record({ name, payload: name }),
  undecodable: fc.record({
    topic: name,
    codec: name,
    reason: name,
    encoding: fc.constant('utf8' as const),
    payload: fc.string({ unit: 'binary' }),
  }),
  rejected: fc.record({
    sink: name,
    reason: name,
    attempt: fc.nat(),
    event: fc.dictionary(name, fc.oneof(json, fc.constant(['$', 'n', '1']))),
  }),
  gap: fc.record({ reader: name, from: fc.maxSafeNat(), to: fc.maxSafeNat(), reason: name }),
  clock: fc.record({ boot: name, offsetMs: number, reason: name }),
  heartbeat: fc.record({ lag: fc.dictionary(name, number) }),
  message: fc.record(
    {
      payload: bytes,
      qos: fc.constantFrom(0, 1, 2),
      retain: fc.boolean(),
      properties: fc.record(
        {
          correlationData: bytes,
          contentType: name,
          userProperties: fc.array(fc.tuple(name, name)),
        },
        { requiredKeys: [] },
      ),
      from: name,
      to: name,
      topic: name,
      incomingId: fc.integer({ min: 1, max: 65_535 }),
    },
    { requiredKeys: ['payload', 'qos', 'retain'] },
  ),
  session: fc.record({ kind: name, details: fc.dictionary(name, json) }),
};

const time = fc.oneof(fc.integer({ min: 0, max: 2 ** 45 }), number);
const draft = fc
  .oneof(
    ...eventTypes.map((type) =>
      fc.record(
        {
          type: fc.constant(type),
          source: name,
          subject: name,
          time,
          data: dataOf[type] as fc.Arbitrary<unknown>,
          id: name,
          extensions: words,
        },
        { requiredKeys: ['type', 'source', 'subject', 'time', 'data'] },
      ),
    ),
  )
  .map(ordinary) as fc.Arbitrary<Draft>;

const clocks = (): SimClock => new SimClock(1_795_000_000_000);

function decode(bytes: Buffer): Entry[] {
  const decoder = new EventDecoder(logId);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const place = groupAt(bytes, at, logId) as GroupPlace;
    expect(place).toMatchObject({ offset: at });
    decoder.open(bytes, place);
    decoder.take(Number.POSITIVE_INFINITY, 0, entries);
    at = place.end;
  }
  return entries;
}

const appendOf = (drafts: readonly Draft[]): Append => ({
  drafts,
  resolve: () => {},
  reject: () => {},
});

test(`any event comes back from its bytes as it was (TIDEGATE_SEED=${seed})`, async () => {
  const jumpMs = fc.constantFrom(0, 0, 0, -5, 5, -60_000, 3_600_000);
  const append = fc.record({
    drafts: fc.array(draft, { maxLength: 5 }),
    passMs: fc.nat(40),
    jumpMs,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(append, { maxLength: 6 }), async (appends) => {
      const clock = clocks();
      const writer = new BatchWriter(logId, clock, 1);
      for (const { drafts, passMs, jumpMs } of appends) {
        if (drafts.length > 0) writer.add(appendOf(drafts));
        await clock.advance(passMs);
        clock.jump(jumpMs);
      }
      const { entries, bytes } = writer.take();
      deepStrictEqual(decode(bytes), entries);
      const drafts = appends.flatMap((each) => each.drafts);
      deepStrictEqual(
        decode(bytes).map(({ type, source, subject, time, data, id, extensions }, i) => ({
          ...{ type, source, subject, time, data },
          ...(drafts[i]!.id !== undefined && { id }),
          ...(extensions !== undefined && { extensions }),
        })),
        drafts.map((each) => ({ ...each })),
      );
    }),
    { seed, numRuns: 500 },
  );
});

test('a device that changes its fields, tags or source half-way is written as it is', () => {
  const base = readingOf(1);
  const data = base.data;
  const drafts: Draft[] = [
    base,
    { ...base, data: { ...data, fields: { number: 1, celsius: 2, extra: 3 } } },
    { ...base, data: { ...data, fields: { celsius: 2, number: 1 } } },
    { ...base, data: { ...data, fields: { number: 1 } } },
    { ...base, data: { ...data, tags: { site: 'south' } } },
    { ...base, data: { ...data, tags: { site: 'north', room: '1' } } },
    { ...base, data: { ...data, tags: {} } },
    { ...base, source: '/gateways/test/other' },
    { ...base, extensions: { replayed: 'true' }, data: { ...data, fields: { other: 1 } } },
    base,
  ];
  const writer = new BatchWriter(logId, clocks(), 1);
  for (const each of drafts) writer.add(appendOf([each]));
  const { bytes } = writer.take();
  expect(decode(bytes)).toMatchObject(drafts);
});

test('what an encoder remembers has a limit and costs nothing when it is reached', () => {
  const writer = new BatchWriter(logId, clocks(), 1);
  const drafts = Array.from({ length: 20_000 }, (_, i) => ({
    ...readingOf(i),
    subject: `subject-${i}`,
  }));
  for (const round of [1, 2]) {
    for (let i = 0; i < drafts.length; i += 100) writer.add(appendOf(drafts.slice(i, i + 100)));
    const { bytes, entries } = writer.take();
    expect(decode(bytes)).toStrictEqual(entries);
    expect(entries).toHaveLength(drafts.length);
    expect(entries[0]!.position).toBe((round - 1) * drafts.length + 1);
  }
});

test('100 readings of one kind take less than a third of their JSON', () => {
  const writer = new BatchWriter(logId, clocks(), 1);
  const drafts = readingsOf(1, 100);
  for (const each of drafts) writer.add(appendOf([each]));
  const json = drafts.reduce((sum, { data }) => sum + JSON.stringify(data).length, 0);
  expect(writer.take().bytes.length).toBeLessThan(json / 3);
});

test('an append is never split between groups and one that is too large leaves nothing behind', () => {
  const writer = new BatchWriter(logId, clocks(), 1);
  const large = (bytes: number): Draft[] => [
    { ...readingOf(1), type: 'command', data: { name: 'write', payload: 'x'.repeat(bytes) } },
  ];
  writer.add(appendOf(readingsOf(1, 10)));
  writer.add(appendOf(large(groupBytesMax - 200)));
  expect(() => writer.add(appendOf(large(groupBytesMax)))).toThrow(AppendTooLarge);
  expect(() => writer.add(appendOf(readingsOf(1, 70_000)))).toThrow(AppendTooLarge);
  writer.add(appendOf(readingsOf(11, 1)));
  const { bytes, groups, ends, entries } = writer.take();
  expect(groups.map(({ last }) => last)).toEqual([10, 11, 12]);
  expect(ends).toEqual([10, 11, 12]);
  expect(decode(bytes)).toStrictEqual(entries);
});

test('data that no event may carry is refused and leaves nothing behind', () => {
  const writer = new BatchWriter(logId, clocks(), 1);
  const bad = { ...readingOf(3), data: { measurement: 'm', tags: {}, fields: { list: [1] } } };
  writer.add(appendOf(readingsOf(1, 2)));
  expect(() => writer.add(appendOf([readingOf(3), bad as unknown as Draft]))).toThrow(TypeError);
  writer.add(appendOf([readingOf(4)]));
  const { bytes, entries } = writer.take();
  expect(entries.map(({ position }) => position)).toEqual([1, 2, 3]);
  expect(decode(bytes)).toStrictEqual(entries);
});

test('ids are ULIDs that ascend with time and position and differ between logs', () => {
  const clock = clocks();
  const ids = [logId, logId + 1].map((id) => {
    const writer = new BatchWriter(id, clock, 2 ** 40 - 2_000);
    writer.add(appendOf(readingsOf(1, 4_000)));
    return writer.take().entries.map((entry) => entry.id);
  });
  const all = ids.flat();
  expect(new Set(all).size).toBe(8_000);
  expect(ids[0]).toEqual([...ids[0]!].sort());
  for (const id of all) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  const digits = [...all[0]!.slice(0, 10)].map((digit) =>
    '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(digit),
  );
  expect(digits.reduce((sum, digit) => sum * 32 + digit, 0)).toBe(clock.now());
});
