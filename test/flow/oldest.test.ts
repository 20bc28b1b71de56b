import { expect, test } from 'vitest';
import { createOldestAges } from '../../src/flow/oldest.ts';
import type { Position } from '../../src/log/log.ts';
import { openLog, readingsOf } from '../log/opened.ts';
import { SimDisk } from '../sim/disk.ts';

/** A log on the disk, one append of `each` readings every second. */
async function recorded(count: number, each: number) {
  const disk = new SimDisk();
  const { log: written, clock } = await openLog(disk);
  for (let from = 1; from <= count; from += each) {
    await written.append(readingsOf(from, each));
    await clock.advance(1_000);
  }
  await written.close();
  const { log } = await openLog(disk, {}, clock);
  const read = { bytes: 0 };
  const { readPart } = disk;
  disk.readPart = async (path, offset, length) => {
    const part = await readPart.call(disk, path, offset, length);
    read.bytes += part?.length ?? 0;
    return part;
  };
  return { log, clock, read, ageMsOfOldest: createOldestAges(log, clock) };
}

test('a reader is as far behind as the oldest event it has not done with is old', async () => {
  const { log, clock, ageMsOfOldest } = await recorded(100, 10);
  expect(await ageMsOfOldest('one', 0)).toBeGreaterThanOrEqual(10_000);
  expect(await ageMsOfOldest('one', 0)).toBeLessThan(10_100);
  expect(await ageMsOfOldest('one', 50)).toBeLessThan(5_100);
  await clock.advance(60_000);
  expect(await ageMsOfOldest('one', 50)).toBeGreaterThanOrEqual(65_000);
  expect(await ageMsOfOldest('one', log.last)).toBe(0);
  expect(await ageMsOfOldest('one', 0), 'a cursor that went back').toBeGreaterThanOrEqual(70_000);
  await log.close();
});

test('to ask again and again how far behind a reader is reads the log once, not every time', async () => {
  const { log, read, ageMsOfOldest } = await recorded(20_000, 500);
  for (let position = 10_000; position < 20_000; position += 100) {
    await ageMsOfOldest('drain', position);
    await ageMsOfOldest('drain', position);
    await ageMsOfOldest('stuck', 5_000);
  }
  expect(read.bytes).toBeLessThan(log.bytes * 2);
  await log.close();
});

test('where the next event is missing the one behind it counts', async () => {
  const disk = new SimDisk();
  const { log, cursors, clock } = await openLog(disk, { maxBytes: 2 ** 16, segmentBytes: 2 ** 14 });
  cursors.open('reader', () => 0 as Position);
  for (let from = 1; from <= 4_000; from += 50) {
    await log.append(readingsOf(from, 50));
    await clock.advance(1_000);
  }
  expect(log.first).toBeGreaterThan(100);
  const ageMs = await createOldestAges(log, clock)('reader', 0);
  const [first] = await log.entriesAt([log.first]);
  expect(ageMs).toBe(clock.monotonic() - first!.monotonic);
  await log.close();
});
