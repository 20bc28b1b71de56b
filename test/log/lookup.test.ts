import { expect, test } from 'vitest';
import type { Position } from '../../src/log/log.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimDisk } from '../sim/disk.ts';
import { numberOf, openLog, readingsOf } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const small = { segmentBytes: 2 ** 14, tailBytes: 2 ** 14 };

async function filled(disk: SimDisk, count: number, options: object = {}) {
  const opened = await openLog(disk, { ...small, ...options });
  // Holds what is newest in memory, as readers that keep up do.
  const reader = opened.log.reader(0 as Position);
  for (let from = 1; from <= count; from += 50) {
    await opened.log.append(readingsOf(from, Math.min(50, count - from + 1)));
  }
  reader.close();
  return opened;
}

test(`entries are found by their positions, wherever they are (TIDEGATE_SEED=${seed})`, async () => {
  const { log } = await filled(new SimDisk(), 5_000);
  const random = seededRandom(seed);
  const asked = Array.from({ length: 30 }, async () => {
    const from = 1 + Math.floor(random.next() * 5_200);
    const step = 1 + Math.floor(random.next() * 90);
    const positions = Array.from({ length: 1 + random.next() * 40 }, (_, i) => from + i * step);
    const found = await log.entriesAt(positions);
    expect(found.map(({ position }) => position)).toEqual(
      positions.filter((position) => position <= 5_000),
    );
    expect(found.map(numberOf)).toEqual(found.map(({ position }) => position));
  });
  // Many at once: places in the log are shared between those who ask one after the other only.
  await Promise.all(asked);
});

test('one way through a segment is enough for all that is asked of it, also bit by bit', async () => {
  const disk = new SimDisk();
  const opened = await filled(disk, 5_000, { segmentBytes: 2 ** 20 });
  let bytes = 0;
  const { readPart } = disk;
  disk.readPart = async (path, offset, length) => {
    const part = await readPart.call(disk, path, offset, length);
    bytes += part?.length ?? 0;
    return part;
  };
  for (let from = 1; from < 4_000; from += 40) {
    const positions = Array.from({ length: 10 }, (_, index) => from + index * 4);
    expect(await opened.log.entriesAt(positions)).toHaveLength(10);
  }
  expect(bytes).toBeLessThan(opened.log.bytes * 1.5);
});

test('what the log no longer has is missing, and the rest is there', async () => {
  const disk = new SimDisk();
  const { log, cursors } = await filled(disk, 2_000, { maxBytes: 2 ** 16 });
  cursors.open('reader', () => log.last);
  await cursors.save();
  for (let from = 2_001; from <= 6_000; from += 50) await log.append(readingsOf(from, 50));
  expect(log.first).toBeGreaterThan(1_000);
  const positions = [1, 500, log.first - 1, log.first, log.first + 700, 6_000, 9_000];
  const found = await log.entriesAt(positions);
  expect(found.map(({ position }) => position)).toEqual([log.first, log.first + 700, 6_000]);
});

test('what is appended while somebody looks is found when it is asked for', async () => {
  const { log } = await filled(new SimDisk(), 1_000);
  expect(await log.entriesAt([1, 1_001])).toHaveLength(1);
  await log.append(readingsOf(1_001, 3_000));
  const found = await log.entriesAt([1, 999, 1_000, 1_001, 2_345, 4_000]);
  expect(found.map(numberOf)).toEqual([1, 999, 1_000, 1_001, 2_345, 4_000]);
});
