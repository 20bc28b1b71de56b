/** Readings that become fewer before they go, and alerts that go last. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { createAudit, sumOf } from '../../src/flow/audit.ts';
import { openLogInspector } from '../../src/log/inspect.ts';
import { createKeyring, noKeys } from '../../src/log/keyring.ts';
import { lastingTypes } from '../../src/log/lasting.ts';
import type { Entry } from '../../src/log/log.ts';
import type { LogOptions } from '../../src/log/segment-log.ts';
import { createThinning } from '../../src/log/thin.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { otherEvent } from '../event/events.ts';
import { SimDisk } from '../sim/disk.ts';
import { World } from '../sim/life.ts';
import { fill, openHeld, readingAt, small } from './held.ts';
import {
  never,
  numberOf,
  openLog,
  openReserved,
  positionOf,
  readAll,
  readToEnd,
  reserveBytes,
  watch,
} from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const readingsIn = (entries: readonly Entry[]) =>
  entries.filter((entry): entry is Entry<'reading'> => entry.type === 'reading');

test('every n-th reading of a device stays, and those with its lowest and highest values', () => {
  const sample = fc.record({
    device: fc.nat(3),
    a: fc.oneof(fc.double(), fc.constant('text'), fc.bigInt(), fc.boolean()),
    b: fc.option(fc.integer({ min: -5, max: 5 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(sample), fc.integer({ min: 2, max: 6 }), (samples, keepEvery) => {
      const entries = samples.map(({ device, a, b }, index) => {
        const fields = { a, ...(b === undefined ? {} : { b }) };
        const draft = { ...readingAt(index, 0), subject: `device-${device}` };
        const data = { ...draft.data, fields };
        return { ...draft, data, position: index + 1 } as unknown as Entry<'reading'>;
      });
      const thinning = createThinning(keepEvery);
      for (const entry of entries) thinning.look!(entry);
      const left = entries.filter((entry) => thinning.stays(entry));
      for (const device of ['device-0', 'device-1', 'device-2', 'device-3']) {
        const all = entries.filter(({ subject }) => subject === device);
        const kept = left.filter(({ subject }) => subject === device);
        expect(all.filter((_, i) => i % keepEvery === 0).every((each) => kept.includes(each))).toBe(
          true,
        );
        expect(kept.length).toBeLessThanOrEqual(Math.ceil(all.length / keepEvery) + 4);
        for (const field of ['a', 'b']) {
          const values = (some: readonly Entry<'reading'>[]): number[] =>
            some
              .map(({ data }) => data.fields[field])
              .filter((value) => typeof value === 'number' || typeof value === 'bigint')
              .map(Number)
              .filter((value) => !Number.isNaN(value));
          expect(Math.min(...values(kept))).toBe(Math.min(...values(all)));
          expect(Math.max(...values(kept))).toBe(Math.max(...values(all)));
        }
      }
    }),
    { seed },
  );
});

test('everything but readings stays when a segment is thinned; heartbeats become fewer too', () => {
  fc.assert(
    fc.property(fc.array(otherEvent), (events) => {
      const thinning = createThinning(4);
      const left = events.filter((event) => thinning.stays(event as Entry));
      const beats = (all: typeof events) => all.filter(({ type }) => type === 'heartbeat').length;
      expect(beats(left)).toBe(Math.ceil(beats(events) / 4));
      expect(left.length - beats(left)).toBe(events.length - beats(events));
    }),
  );
});

test.each([
  ['in plain', noKeys],
  ['encrypted', createKeyring(Buffer.alloc(32, 7))],
])('what stays is what was, to the last bit: %s', async (_, keys) => {
  const disk = new SimDisk();
  const held = await openHeld(disk, { whenFull: 'thinOut' }, undefined, keys);
  const { log, clock, logger } = held;
  const all = new Map<number, Entry>();
  const remember = async (): Promise<void> => {
    for (const entry of await readAll(log)) {
      const before = all.get(entry.position);
      if (before === undefined) all.set(entry.position, entry);
      else expect(entry).toStrictEqual(before);
    }
  };
  for (let round = 0; round < 40; round++) {
    await fill(held, round * 200, 200);
    // Clocks that step and boots that change make groups of their own.
    if (round % 9 === 4) clock.jump(-5_000);
    await remember();
  }
  expect(log.thinned.length).toBeGreaterThan(0);
  expect(all.size).toBeGreaterThan((await readAll(log)).length + 3_000);
  await log.close();
  const again = await openLog(disk.restart(), { ...small, whenFull: 'thinOut' }, clock, keys);
  for (const entry of await readAll(again.log)) {
    expect(entry).toStrictEqual(all.get(entry.position));
  }
  expect(again.logger.lines).toEqual([]);
  expect(logger.messages('error').every((line) => /^(Left out|Dropped)/.test(line))).toBe(true);
});

test.each(['thinOut', 'dropOldest'] as const)(
  'under %s alerts outlive all readings',
  async (whenFull) => {
    const held = await openHeld(new SimDisk(), { whenFull });
    const { log } = held;
    await fill(held, 1, 10_000);
    expect(log.bytes).toBeLessThanOrEqual(60_000);
    const left = await readAll(log);
    const alerts = left.filter(({ type }) => type === 'alert').map(({ id }) => id);
    // 50 alerts fit, beside the newest readings.
    expect(alerts).toEqual(Array.from({ length: 50 }, (_, i) => `alert-${(i + 1) * 200}`));
    const numbers = readingsIn(left).map(numberOf);
    expect(numbers.at(-1)).toBe(10_000);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    // Without holes at the new end, and with readings of long ago only under thinOut.
    expect(numbers.slice(-30)).toEqual(Array.from({ length: 30 }, (_, i) => 9_971 + i));
    const oldest = numbers[0]!;
    if (whenFull === 'thinOut') expect(oldest).toBeLessThan(8_000 - 2 * numbers.length);
    else expect(10_000 - oldest).toBe(numbers.length - 1);
  },
);

test('the older the fewer: whole at the end, then every n-th, then every n-th of those', async () => {
  const held = await openHeld(new SimDisk(), { whenFull: 'thinOut', maxBytes: 100_000 });
  await fill(held, 1, 30_000);
  const numbers = readingsIn(await readAll(held.log)).map(numberOf);
  const span = numbers.at(-1)! - numbers[0]!;
  const share = (from: number, to: number): number => {
    const [low, high] = [numbers[0]! + span * from, numbers[0]! + span * to];
    return numbers.filter((number) => number >= low && number < high).length / (high - low);
  };
  expect(share(0.95, 1)).toBeGreaterThan(0.9);
  expect(share(0, 0.3)).toBeLessThan(0.35);
  expect(span).toBeGreaterThan(2 * numbers.length);
});

test('what was the hottest stays the hottest for as long as anything is left of its time', async () => {
  const held = await openHeld(new SimDisk(), { whenFull: 'thinOut' });
  const { log } = held;
  const spikes: number[] = [];
  for (let first = 1; first <= 10_000; first += 10) {
    const drafts = Array.from({ length: 10 }, (_, i) => {
      const isSpike = (first + i) % 500 === 0;
      if (isSpike) spikes.push(first + i);
      return readingAt(first + i, isSpike ? 99 : 20 + (i % 10));
    });
    await log.append(drafts);
  }
  const left = readingsIn(await readAll(log));
  const first = numberOf(left[0]!);
  const expected = spikes.filter((spike) => spike > first + 500);
  expect(expected.length).toBeGreaterThan(5);
  expect(left.map(numberOf)).toEqual(expect.arrayContaining(expected));
  expect(left.length).toBeLessThan(5_000);
});

test('a reader in the middle of a segment that is rewritten goes on there, and sees no damage', async () => {
  for (let offset = 0; offset < 12; offset++) {
    const held = await openHeld(new SimDisk(), {
      ...{ whenFull: 'thinOut', tailBytes: 1, maxBytes: 20_000, segmentBytes: 2_000 },
    });
    const { log, logger } = held;
    await fill(held, 1, 600);
    const reader = log.reader(positionOf(0));
    const seen: Entry[] = [];
    let number = 601;
    // Two steps of reading for each of writing, at every offset between them.
    for (let i = 0; i < offset; i++) seen.push(...(await reader.next(1, never)));
    while (number < 6_000) {
      seen.push(...(await reader.next(20, never)));
      const [more] = await Promise.all([reader.next(10, never), fill(held, number, 100)]);
      seen.push(...more);
      number += 100;
    }
    seen.push(...(await readToEnd(reader, 5)));
    const positions = seen.map(({ position }) => position);
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
    const kept = (await readAll(log)).map(({ position }) => position);
    const met = new Set(positions);
    expect(kept.filter((position) => !met.has(position))).toEqual([]);
    expect(logger.messages('error').filter((line) => /damaged/.test(line))).toEqual([]);
    expect(positions.length).toBeLessThan(log.last);
  }
});

const tight = { whenFull: 'thinOut', maxBytes: 12_000, segmentBytes: 1_500 } as const;

test('a power cut at any moment of thinning leaves what was there or what is to be there', async () => {
  let whole = 0;
  for (let operation = 1; operation < 400; operation += 3) {
    const disk = new SimDisk();
    const held = await openHeld(disk, tight);
    await fill(held, 1, 700);
    const before = new Map((await readAll(held.log)).map((entry) => [entry.position, entry]));
    let count = 0;
    const cut = new Promise<void>((resolve) => {
      disk.before = () => {
        count++;
        if (count === operation) resolve();
        return count >= operation ? new Promise<void>(() => {}) : undefined;
      };
    });
    void fill(held, 701, 300);
    await Promise.race([cut, held.clock.advance(60_000)]);
    disk.before = undefined;
    disk.crash(seededRandom(operation));
    const again = await openHeld(disk.restart(), tight, held.clock);
    const after = await readAll(again.log);
    for (const entry of after) {
      if (before.has(entry.position)) expect(entry).toStrictEqual(before.get(entry.position));
    }
    const alerts = (entries: Iterable<Entry>): string[] =>
      [...entries].filter(({ type }) => lastingTypes.has(type)).map(({ id }) => id);
    expect(alerts(after)).toEqual(expect.arrayContaining(alerts(before.values())));
    if (again.log.thinned.length === 0) whole++;
    await fill(again, 1_000, 3);
    expect(numberOf((await readAll(again.log)).at(-1)!)).toBe(1_002);
  }
  expect(whole).toBeLessThan(130);
}, 60_000);

test('a segment that only thinned files are left of does not give its positions out again', async () => {
  const disk = new SimDisk();
  const held = await openHeld(disk, { whenFull: 'dropOldest' });
  await fill(held, 1, 4_000);
  const { last } = held.log;
  await held.log.close();
  // The file that was being written to is lost, and the cursors with it.
  const paths = disk.paths().filter((path) => path.startsWith('log/'));
  const next = disk.restart();
  const stripped = held.log.thinned.at(-1)!.to;
  for (const path of paths) if (Number(path.slice(4, 24)) > stripped) await next.remove(path);
  await next.remove('cursors');
  const again = await openLog(next, small, held.clock);
  expect(again.log.last).toBe(stripped);
  expect(last).toBeGreaterThan(stripped);
  await again.log.close();
});

test('why there is no entry: removed, thinned, or damaged', async () => {
  const disk = new SimDisk();
  const held = await openHeld(disk, { whenFull: 'thinOut' });
  await fill(held, 1, 12_000);
  const { log } = held;
  const { first, thinned } = log;
  if (first > 1) expect(log.absence(1)).toEqual({ reason: 'retention', until: first - 1 });
  const kept = new Set((await readAll(log)).map(({ position }) => position));
  const reasons = new Set<string>();
  for (let position = first; position <= log.last; position++) {
    const { reason, until } = log.absence(position);
    expect(until).toBeGreaterThanOrEqual(position);
    const isThinned = thinned.some(({ from, to }) => position >= from && position <= to);
    expect(reason !== 'damaged').toBe(isThinned);
    if (!kept.has(position)) reasons.add(reason);
  }
  expect([...reasons].sort()).toEqual(['retention', 'thinned']);
  const inspector = await openLogInspector(disk);
  for await (const problem of inspector.verify()) expect.fail(JSON.stringify(problem));
  expect((await inspector.stat()).thinned).toEqual(thinned);
});

test('an event of almost a megabyte outlives rewriting, also into an encrypted segment', async () => {
  const disk = new SimDisk();
  const large: Draft = {
    ...{ type: 'command', source: '/gateways/test', subject: 'device-1', time: 1 },
    data: { name: 'write', payload: 'x'.repeat(2 ** 20 - 300) },
  };
  const options: Partial<LogOptions> = { maxBytes: 3_000_000, segmentBytes: 1_200_000 };
  const first = await openHeld(disk, options);
  let bytes = 2 ** 20 - 300;
  for (; ; bytes++) {
    const draft = { ...large, data: { name: 'write', payload: 'x'.repeat(bytes) } } as Draft;
    const appended = await first.log.append([draft]).then(
      () => true,
      () => false,
    );
    if (!appended) break;
    if (bytes % 50 === 0) await first.log.append([readingAt(bytes, 1)]);
    if (first.log.last > 400) break;
  }
  const kept = (await readAll(first.log)).at(-1)!;
  await first.log.append([readingAt(1, 1)]);
  await first.log.close();
  const keys = createKeyring(Buffer.alloc(32, 9));
  const second = await openHeld(disk.restart(), options, first.clock, keys);
  for (let i = 0; i < 12_000; i++) void second.log.append([readingAt(i, 1)]);
  await second.clock.advance(1_000);
  for (let i = 0; i < 60; i++)
    await second.log.append([
      { ...large, data: { name: 'w', payload: 'y'.repeat(40_000) } } as Draft,
    ]);
  const found = (await readAll(second.log)).find(({ position }) => position === kept.position);
  if (second.log.first <= kept.position && found !== undefined) expect(found).toStrictEqual(kept);
}, 60_000);

test('thinning on a full disk has its own room from the reserve', async () => {
  const disk = new SimDisk();
  const held = await openReserved(disk, { ...small, whenFull: 'thinOut', maxBytes: 2 ** 30 });
  held.cursors.open('sink', () => positionOf(0));
  await fill(held, 1, 2_000);
  disk.capacityBytes = held.log.bytes + reserveBytes + 8_000;
  const appended = [];
  for (let i = 0; i < 200; i++) {
    appended.push(watch(held.log.append([readingAt(i, 1), readingAt(i, 2), readingAt(i, 3)])));
    await held.clock.advance(500);
  }
  await held.clock.advance(10_000);
  expect(appended.every(({ settled }) => settled)).toBe(true);
  expect(held.log.thinned.length).toBeGreaterThan(0);
  const alerts = (await readAll(held.log)).filter(({ type }) => type === 'alert');
  expect(alerts).toHaveLength(10);
});

test(`readers of a thinned log are told once a stretch, and the books balance (TIDEGATE_SEED=${seed})`, async () => {
  for (const whenFull of ['thinOut', 'dropOldest'] as const) {
    const world = new World(seed, {
      maxBytes: 120_000,
      segmentBytes: 12_000,
      whenFull,
      keepEvery: 5,
    });
    await world.start();
    world.sinks[0]!.mood = 'refuses';
    for (let i = 0; i < 6_000; i++) {
      const payload = { temperature: i % 2_000 === 1_999 ? 40 : 20, seq: i, note: 'x'.repeat(20) };
      world.send(`gh-${i % 3}`, JSON.stringify(payload), i);
      if (i % 20 === 19) await world.clock.advance(500);
    }
    const books = async () => {
      const audit = createAudit(world.gateway!.books(), (reader) => world.acceptsOf(reader));
      const inspector = await openLogInspector(world.disk);
      for await (const entries of inspector.entries()) audit.add(entries);
      return audit.lanes();
    };
    /** Both lanes of a sink come past what is gone, and only one of them would have wanted it. */
    const expectCountedOnce = async () => {
      const its = (await books()).filter(({ reader }) => reader.startsWith('one/'));
      expect(its).toHaveLength(2);
      const kept = await world.recorded();
      expect(sumOf(its).dropped).toBeLessThanOrEqual(world.gateway!.books().last - kept.length);
    };
    for (const lane of await books()) expect(lane.difference, lane.reader).toBe(0);
    await expectCountedOnce();
    await world.heal();
    await expectCountedOnce();
    for (const lane of await books()) {
      expect(lane.difference, lane.reader).toBe(0);
      if (lane.reader.startsWith('one/')) expect(lane.dropped).toBeGreaterThan(50);
      expect(lane.waiting).toBe(0);
    }
    const recorded = await world.recorded();
    const gaps = recorded.filter((event) => event.type === 'gap');
    expect(gaps.length).toBeGreaterThan(0);
    const missing = (await books()).reduce((sum, { dropped }) => sum + dropped, 0);
    expect(gaps.length).toBeLessThan(missing / 50);
    const reasons = new Set(gaps.map(({ data }) => data.reason));
    expect(reasons.has('thinned')).toBe(whenFull === 'thinOut');
    // Whoever lacks something can find it in a gap event of its own.
    const [one, two] = world.sinks;
    const has = new Set(one!.taken.map(({ id }) => id));
    const lacks = two!.taken.filter(({ id, type }) => !has.has(id) && one!.types.includes(type));
    expect(lacks.length).toBeGreaterThan(30);
    expect(lacks.filter(({ type }) => type === 'alert')).toEqual([]);
    const ranges = gaps.filter(({ subject }) => subject === 'one/readings').map(({ data }) => data);
    for (const event of lacks as (Entry & { position?: number })[]) {
      const { position } = event;
      expect(ranges.some(({ from, to }) => position >= from && position <= to)).toBe(true);
    }
    await world.stop();
  }
});
