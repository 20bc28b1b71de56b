import fc from 'fast-check';
import { expect, test } from 'vitest';
import { retentionOf, sacrificeOf, segmentsMax } from '../../src/log/retention.ts';
import type { LogOptions } from '../../src/log/segment-log.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import {
  never,
  numberOf,
  openLog,
  positionOf,
  readAll,
  readingOf,
  readingsOf,
  readToEnd,
  watch,
} from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const facts = fc
  .record({
    sizes: fc.array(
      fc.record({ count: fc.integer({ min: 1, max: 9 }), bytes: fc.nat(100), known: fc.boolean() }),
    ),
    otherBytes: fc.nat(200),
    doneWith: fc.oneof(fc.nat(60), fc.constant(Number.POSITIVE_INFINITY)),
    now: fc.nat(200),
  })
  .map(({ sizes, now, ...rest }) => {
    let last = 0;
    const closed = sizes.map(({ count, bytes, known }, i) => {
      last += count;
      return { last, bytes, ageMs: known ? now - i * 10 : undefined };
    });
    return { closed, ...rest };
  });
const rule = fc.record(
  { maxBytes: fc.nat(500), maxAgeMs: fc.nat(100) },
  { requiredKeys: ['maxBytes'] },
);

test(`what a reader needs does not go for age or room (TIDEGATE_SEED=${seed})`, () => {
  fc.assert(
    fc.property(facts, rule, (given, limits) => {
      const { drop, fits } = retentionOf(given, limits);
      const { closed, otherBytes, doneWith } = given;
      const bytesWithout = (count: number): number =>
        closed.slice(count).reduce((sum, { bytes }) => sum + bytes, otherBytes);
      const delivered = closed.filter(({ last }) => last <= doneWith).length;
      expect(drop).toBeLessThanOrEqual(delivered);
      expect(fits).toBe(bytesWithout(drop) <= limits.maxBytes);
      if (!fits) expect(drop).toBe(delivered);
      // Whatever was dropped although it fitted had been delivered and was old.
      for (let i = 0; i < drop; i++) {
        if (bytesWithout(i) > limits.maxBytes) continue;
        const { last, ageMs } = closed[i]!;
        expect(last).toBeLessThanOrEqual(doneWith);
        expect(ageMs!).toBeGreaterThan(limits.maxAgeMs!);
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

const kinds = ['none', 'thinned', 'rethinned', 'stripped'] as const;
const shelf = fc.array(
  fc.record({ bytes: fc.integer({ min: 1, max: 100 }), thinning: fc.constantFrom(...kinds) }),
  { maxLength: 12 },
);

test(`what goes first: readings before the rest, old before new, and it comes to an end (TIDEGATE_SEED=${seed})`, () => {
  fc.assert(
    fc.property(
      shelf,
      fc.constantFrom('dropOldest' as const, 'thinOut' as const),
      (given, whenFull) => {
        let left = [...given];
        for (let steps = 0; left.length > 0; steps++) {
          expect(steps).toBeLessThan(50);
          const { index, act } = sacrificeOf(left, whenFull)!;
          const { thinning, bytes } = left[index]!;
          if (act === 'drop') {
            // Only when there are no readings left anywhere.
            expect(left.every((each) => each.thinning === 'stripped')).toBe(true);
            expect(index).toBe(0);
            left = left.slice(1);
            continue;
          }
          expect(left.findIndex((each) => each.thinning === thinning)).toBe(index);
          if (whenFull === 'dropOldest') expect(act).toBe('strip');
          const after = act === 'strip' ? 'stripped' : kinds[kinds.indexOf(thinning) + 1]!;
          expect(kinds.indexOf(after)).toBeGreaterThan(kinds.indexOf(thinning));
          left[index] = { bytes: Math.ceil(bytes / 5), thinning: after };
        }
        expect(sacrificeOf(given, 'refuseNew')).toBe(undefined);
        expect(sacrificeOf([], whenFull)).toBe(undefined);
      },
    ),
    { seed, numRuns: 500 },
  );
});

test('there is a limit to the number of files, however little is in them', () => {
  const many = Array.from({ length: segmentsMax }, () => ({
    bytes: 90,
    thinning: 'stripped' as const,
  }));
  for (const whenFull of ['dropOldest', 'thinOut'] as const) {
    expect(sacrificeOf(many, whenFull)).toEqual({ index: 0, act: 'drop' });
  }
});

const small: Partial<LogOptions> = { maxBytes: 3_000, segmentBytes: 500 };

/** A log with a reader that is saved before the first event. */
async function openWithCursor(disk: SimDisk, options: Partial<LogOptions>) {
  const opened = await openLog(disk, { ...small, ...options });
  const cursor = opened.cursors.open('sink', () => positionOf(0));
  const done = async (position: number): Promise<void> => {
    cursor.begin();
    cursor.commit(positionOf(position));
    await opened.cursors.save();
  };
  return { ...opened, done };
}

test('the log keeps within maxBytes, dropping what has been delivered first', async () => {
  const disk = new SimDisk();
  const { log, logger, done } = await openWithCursor(disk, { whenFull: 'refuseNew' });
  for (let i = 1; i <= 200; i++) {
    expect(await log.append([readingOf(i)])).toBe(i);
    expect(log.bytes).toBeLessThanOrEqual(3_000);
    await done(i);
  }
  expect(log.first).toBeGreaterThan(150);
  const found = (await readAll(log)).map(numberOf);
  expect(found).toEqual(Array.from({ length: 201 - log.first }, (_, i) => log.first + i));
  expect(logger.lines).toEqual([]);
  await log.close();
  const onDisk = disk.paths().filter((path) => path.startsWith('log/'));
  expect(onDisk.reduce((sum, path) => sum + disk.bytesOf(path).length, 0)).toBe(log.bytes);
});

test('dropOldest makes room by dropping what a reader has not seen, and names the reader', async () => {
  const { log, logger } = await openWithCursor(new SimDisk(), { whenFull: 'dropOldest' });
  const reader = log.reader(positionOf(0));
  const [first] = await Promise.all([reader.next(1, never), log.append([readingOf(1)])]);
  expect(first.map(numberOf)).toEqual([1]);
  for (let i = 2; i <= 300; i++) await log.append([readingOf(i)]);
  expect(log.bytes).toBeLessThanOrEqual(3_000);
  const dropped = logger.lines.filter(({ level }) => level === 'error');
  expect(dropped.length).toBeGreaterThan(3);
  expect(dropped.at(-1)!.fields).toMatchObject({ readers: ['sink'], to: log.first - 1 });
  await log.close();
});

test('a reader that was overtaken goes on at the oldest event kept: it sees a hole', async () => {
  const { log } = await openWithCursor(new SimDisk(), { whenFull: 'dropOldest', tailBytes: 2_000 });
  await log.append([readingOf(1)]);
  const reader = log.reader(positionOf(0));
  expect((await reader.next(10, never)).map(numberOf)).toEqual([1]);
  for (let i = 2; i <= 300; i++) await log.append([readingOf(i)]);
  const [next] = await reader.next(1, never);
  expect(next!.position).toBe(log.first);
  expect(next!.position).toBeGreaterThan(2);
  const rest = (await readToEnd(reader)).map(numberOf);
  expect(rest).toEqual(Array.from({ length: 300 - log.first }, (_, i) => log.first + 1 + i));
  await log.close();
});

test('refuseNew makes appends wait until readers have passed', async () => {
  const { log, clock, done } = await openWithCursor(new SimDisk(), { whenFull: 'refuseNew' });
  const appends = Array.from({ length: 100 }, (_, i) => {
    clock.stall(1);
    clock.jump(1_000);
    return watch(log.append([readingOf(i + 1)]));
  });
  await clock.advance(60_000);
  const taken = appends.filter(({ settled }) => settled).length;
  expect(taken).toBeGreaterThan(10);
  expect(taken).toBeLessThan(100);
  expect(log.blocked).toContain('log.maxBytes');
  expect(log.bytes).toBeLessThanOrEqual(3_000);
  for (let passed = taken; log.last < 100; passed = log.last) {
    expect(log.first).toBe(positionOf((await readAll(log))[0]!.position));
    await done(passed);
    await clock.advance(1_000);
    expect(log.last).toBeGreaterThan(passed);
  }
  expect(appends.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  expect(log.blocked).toBe(undefined);
  await log.close();
});

test('what is larger than the whole log is taken all the same', async () => {
  const { log, clock, done } = await openWithCursor(new SimDisk(), { whenFull: 'refuseNew' });
  const large = { name: 'write', payload: 'x'.repeat(10_000) };
  const first = watch(log.append([{ ...readingOf(1), type: 'command', data: large }]));
  await clock.advance(2_000);
  expect(first.value).toBe(1);
  const second = watch(log.append([{ ...readingOf(2), type: 'command', data: large }]));
  await clock.advance(2_000);
  expect(second.settled).toBe(false);
  await done(1);
  await clock.advance(2_000);
  expect(second.value).toBe(2);
  expect(log.first).toBe(2);
  await log.close();
});

test('what every reader has seen goes when it is too old, and not before', async () => {
  const disk = new SimDisk();
  const hour = 3_600_000;
  const options = { maxBytes: 2 ** 20, maxAgeMs: 10 * hour, segmentBytes: 500 };
  const { log, clock, done } = await openWithCursor(disk, options);
  for (let i = 1; i <= 48; i++) {
    await log.append(readingsOf(i * 10 - 9, 10));
    await clock.advance(hour);
    if (i <= 24) await done(i * 10);
  }
  expect(log.first).toBeGreaterThan(220);
  expect(log.first).toBeLessThanOrEqual(241);
  await done(480);
  await clock.advance(60_000);
  expect(log.first).toBeGreaterThan(360);
  expect(log.first).toBeLessThanOrEqual(381);
  await clock.advance(1_000 * hour);
  // The segment that is being written stays.
  expect(log.first).toBeGreaterThan(440);
  expect(log.first).toBeLessThanOrEqual(480);
  await log.close();
});

test('a wall clock that was wrong does not make events old', async () => {
  const options = { maxBytes: 2 ** 20, maxAgeMs: 3_600_000, segmentBytes: 500 };
  const { log, clock, done } = await openWithCursor(new SimDisk(), options);
  const away = clock.now();
  clock.jump(-away);
  clock.clockQuality = 'unsynchronised';
  for (let i = 1; i <= 10; i++) await log.append(readingsOf(i * 10 - 9, 10));
  await done(100);
  clock.jump(away);
  clock.clockQuality = 'synchronised';
  await log.append([readingOf(101)]);
  await clock.advance(600_000);
  expect(log.first).toBe(1);
  await log.close();
});

const year = 365 * 86_400_000;
const day = 86_400_000;

/** A log of which everything is delivered, a segment an hour. */
async function openAging(disk = new SimDisk(), clock = new SimClock()) {
  const options = { maxBytes: 2 ** 20, maxAgeMs: 3 * day, segmentBytes: 500 };
  const { log } = await openLog(disk, options, clock);
  let next = log.last + 1;
  const work = async (hours: number): Promise<void> => {
    for (let i = 0; i < hours; i++, next += 10) {
      await log.append(readingsOf(next, 10));
      await clock.advance(3_600_000);
    }
  };
  return { log, clock, work, disk };
}

test('a clock that jumps a year forwards and back expires nothing', async () => {
  const { log, clock, work } = await openAging();
  await work(24);
  clock.jump(year);
  await work(24);
  clock.jump(-year);
  await work(12);
  expect(log.first).toBe(1);
  await work(36);
  // Three days, counted by the time that has passed.
  expect(log.first).toBeGreaterThan(200);
  expect(log.first).toBeLessThan(270);
  await log.close();
});

test('a clock that jumps a year back does not keep what is old, and expires nothing when it is put right', async () => {
  const { log, clock, work } = await openAging();
  await work(24);
  clock.jump(-year);
  await work(24);
  clock.jump(year);
  await work(24);
  expect(log.first).toBeLessThan(30);
  await work(24);
  expect(log.first).toBeGreaterThan(200);
  expect(log.first).toBeLessThan(270);
  await log.close();
});

test('what was recorded in 1970 and before a restart expires by the time that has passed', async () => {
  const clock = new SimClock(10_000);
  clock.clockQuality = 'unsynchronised';
  const before = await openAging(new SimDisk(), clock);
  await before.work(24);
  await before.log.close();
  clock.jump(56 * year);
  clock.clockQuality = 'synchronised';
  const { log, work } = await openAging(before.disk.restart(), clock);
  await work(12);
  expect(log.first).toBe(1);
  await work(60);
  expect(log.first).toBeGreaterThan(200);
  expect(log.first).toBeLessThan(270);
  await log.close();
});

test('events of an earlier boot expire by the wall clock, once it has had an hour to be set', async () => {
  const before = await openAging();
  await before.work(24);
  await before.log.close();
  const { clock } = before;
  clock.reboot();
  clock.jump(year);
  const { log, work } = await openAging(before.disk.restart(), clock);
  await clock.advance(1_800_000);
  expect(log.first).toBe(1);
  // It was a year ahead when the machine started.
  clock.jump(-year);
  await work(36);
  expect(log.first).toBe(1);
  await work(36);
  expect(log.first).toBeGreaterThan(200);
  expect(log.first).toBeLessThan(300);
  await log.close();
});

test('an earlier boot under a clock that was a year behind for a while does not make its events old', async () => {
  const before = await openAging();
  await before.work(4);
  before.clock.jump(-year);
  await before.work(4);
  before.clock.jump(year);
  await before.work(4);
  await before.log.close();
  const { clock } = before;
  clock.reboot();
  const { log, work } = await openAging(before.disk.restart(), clock);
  await work(48);
  expect(log.first).toBe(1);
  await work(36);
  expect(log.first).toBeGreaterThan(100);
  await log.close();
});

test('a clock that is known not to be set makes nothing old, whatever it says', async () => {
  const before = await openAging();
  await before.work(24);
  await before.log.close();
  const { clock } = before;
  clock.reboot();
  clock.jump(10 * year);
  clock.clockQuality = 'unsynchronised';
  const { log, work } = await openAging(before.disk.restart(), clock);
  await work(48);
  expect(log.first).toBe(1);
  await log.close();
});

test('age is looked at after a restart as before', async () => {
  const disk = new SimDisk();
  const options = { maxBytes: 2 ** 20, maxAgeMs: 3_600_000, segmentBytes: 500 };
  const first = await openLog(disk, options);
  for (let i = 1; i <= 10; i++) await first.log.append(readingsOf(i * 10 - 9, 10));
  await first.log.close();
  const { log, clock } = await openLog(disk.restart(), options, first.clock);
  await clock.advance(7_200_000);
  expect(log.first).toBeGreaterThan(60);
  await log.close();
});
