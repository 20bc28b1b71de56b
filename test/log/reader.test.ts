import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry, EventLog } from '../../src/log/log.ts';
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
const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('a reader that keeps up never touches the disk', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk, { segmentBytes: 1_000 });
  const reader = log.reader(positionOf(0));
  let reads = 0;
  disk.before = (kind) => {
    if (kind === 'read') reads++;
  };
  for (let i = 0; i < 50; i++) {
    await log.append(readingsOf(i * 10, 10));
    expect((await readToEnd(reader, 7)).map(numberOf)).toEqual(numbers(i * 10, i * 10 + 9));
  }
  expect(reads).toBe(0);
  reader.close();
  await log.close();
});

test('a reader behind what is in memory sees the same as one that kept up', async () => {
  const disk = new SimDisk();
  // Room in memory for some ten entries.
  const { log } = await openLog(disk, { tailBytes: 5_000, segmentBytes: 3_000 });
  const quick = log.reader(positionOf(0));
  const slow = log.reader(positionOf(0));
  const seen: Entry[] = [];
  for (let i = 0; i < 40; i++) {
    await log.append(readingsOf(i * 5, 5));
    seen.push(...(await readToEnd(quick)));
  }
  expect(await readToEnd(slow, 13)).toStrictEqual(seen);
  expect(await readAll(log, 0, 1)).toStrictEqual(seen);
  expect(seen.map(numberOf)).toEqual(numbers(0, 199));
  await log.close();
});

test(`readers at any pace and place see every event once, in order (TIDEGATE_SEED=${seed})`, async () => {
  const step = fc.oneof(
    fc.record({ append: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ read: fc.nat(3), limit: fc.integer({ min: 1, max: 30 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(20), async (steps, start) => {
      const { log } = await openLog(new SimDisk(), { tailBytes: 6_000, segmentBytes: 1_500 });
      const readers = [0, start, 0, start * 2].map((after) => ({
        after,
        reader: log.reader(positionOf(after)),
        seen: [] as number[],
      }));
      let next = 1;
      for (const each of steps) {
        if ('append' in each) {
          await log.append(readingsOf(next, each.append));
          next += each.append;
          continue;
        }
        const { reader, seen } = readers[each.read]!;
        if (reader.caughtUp) continue;
        const entries = await reader.next(each.limit, never);
        expect(entries.length).toBeLessThanOrEqual(each.limit);
        seen.push(...entries.map(numberOf));
        expect(reader.position).toBe(entries.at(-1)!.position);
      }
      for (const { after, reader, seen } of readers) {
        for (const entry of await readToEnd(reader)) seen.push(numberOf(entry));
        expect(seen).toEqual(numbers(after + 1, Math.max(next - 1, after)));
      }
      await log.close();
    }),
    { seed, numRuns: 200 },
  );
});

test('reading while writing gives every event once, from whatever place', async () => {
  const { log } = await openLog(new SimDisk(), { tailBytes: 10_000, segmentBytes: 5_000 });
  await log.append(readingsOf(1, 500));
  const stop = new AbortController();
  const runs = [0, 250, 499].map((after) => follow(log, after, 3_000, stop.signal));
  for (let i = 501; i <= 3_000; i += 50) await log.append(readingsOf(i, 50));
  const seen = await Promise.all(runs);
  expect(seen).toEqual([numbers(1, 3_000), numbers(251, 3_000), numbers(500, 3_000)]);
  await log.close();
});

async function follow(log: EventLog, after: number, last: number, signal: AbortSignal) {
  const reader = log.reader(positionOf(after));
  const seen: number[] = [];
  while (seen.at(-1) !== last) seen.push(...(await reader.next(17, signal)).map(numberOf));
  reader.close();
  return seen;
}

test('waiting ends with the reason of the signal, and the reader can be used again', async () => {
  const { log, clock } = await openLog(new SimDisk());
  const reader = log.reader(positionOf(0));
  expect(reader.caughtUp).toBe(true);
  const stop = new AbortController();
  const waiting = reader.next(10, stop.signal);
  stop.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(reader.next(10, stop.signal)).rejects.toThrow('enough');
  const read = watch(reader.next(10, never));
  await clock.settle();
  expect(read.settled).toBe(false);
  await log.append([readingOf(1)]);
  await clock.settle();
  expect(read.value!.map(numberOf)).toEqual([1]);
  await log.close();
});

test('waiting again and again leaves no listener behind', async () => {
  const { log } = await openLog(new SimDisk());
  const reader = log.reader(positionOf(0));
  const signals = [new AbortController().signal, new AbortController().signal];
  for (let i = 0; i < 30; i++) {
    const read = reader.next(10, signals[i % 2]!);
    await log.append([readingOf(i)]);
    await read;
  }
  reader.close();
  for (const signal of signals) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  await log.close();
});

test('a reader that is closed while it waits says so', async () => {
  const { log } = await openLog(new SimDisk());
  const reader = log.reader(positionOf(0));
  const waiting = reader.next(10, never);
  reader.close();
  await expect(waiting).rejects.toThrow('closed');
  await log.close();
});

test('an entry that nobody is waiting for is not kept in memory', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  for (let i = 0; i < 10; i++) await log.append(readingsOf(i * 10, 10));
  let reads = 0;
  disk.before = (kind) => {
    if (kind === 'read') reads++;
  };
  expect((await readAll(log, 50)).map(numberOf)).toEqual(numbers(50, 99));
  expect(reads).toBeGreaterThan(0);
  await log.close();
});

test('several readers far behind hold one chunk each, not what they have read', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk, { tailBytes: 10_000 });
  for (let i = 0; i < 100; i++) await log.append(readingsOf(i * 1_000, 1_000));
  let largest = 0;
  const part = disk.readPart.bind(disk);
  disk.readPart = (path, offset, length) => {
    largest = Math.max(largest, length);
    return part(path, offset, length);
  };
  const readers = Array.from({ length: 5 }, () => log.reader(positionOf(0)));
  for (const reader of readers) expect((await reader.next(10, never)).length).toBe(10);
  for (const reader of readers) {
    const entries = await readToEnd(reader, 500);
    expect(entries.map(numberOf)).toEqual(numbers(10, 99_999));
  }
  expect(largest).toBeLessThanOrEqual(2 ** 16);
  await log.close();
});
