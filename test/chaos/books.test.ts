import { cp, rm } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import type { Disk, DiskFile } from '../../src/platform/disk.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { openLog } from '../log/opened.ts';
import { eventually, temporaryFolder } from '../services/child.ts';
import { createBooks, keyOf } from './books.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function dataFolder(): Promise<string> {
  folders.push(await temporaryFolder('books'));
  return folders.at(-1)!;
}

const messageOf = (seq: number): Draft => ({
  type: 'reading',
  source: '/gateways/chaos/broker',
  subject: 'd1',
  time: 1_795_183_740_000 + seq,
  data: { measurement: 'climate', tags: {}, fields: { boot: 1, seq } },
});

/** Appends messages one by one to the log in that folder, which keeps what fits into `maxBytes`. */
async function record(folder: string, seqs: readonly number[], maxBytes = 2 ** 20): Promise<void> {
  const { log } = await openLog(createFileDisk(folder), { segmentBytes: 500, maxBytes });
  for (const seq of seqs) await log.append([messageOf(seq)]);
  await log.close();
}

/** While it takes nothing, what is written is there and cannot be synced, as on a disk that is failing. */
function readOnlyAtWill(disk: Disk): { disk: Disk; take(may: boolean): void } {
  let takes = true;
  const sync = async (file: DiskFile): Promise<void> => {
    if (!takes) throw Object.assign(new Error('EROFS: read-only'), { code: 'EROFS' });
    await file.sync();
  };
  const open = async (path: string): Promise<DiskFile> => {
    const file = await disk.open(path);
    return Object.create(file, { sync: { value: () => sync(file) } }) as DiskFile;
  };
  const take = (may: boolean): void => {
    takes = may;
  };
  return { disk: { ...disk, open }, take };
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

test('what leaves the log between two readings of it is known by a glance', async () => {
  const folder = await dataFolder();
  const books = createBooks();
  await record(folder, range(1, 20));
  await books.glance(folder);
  expect(books.positions.size).toBe(0);
  await record(folder, range(21, 60), 2_000);
  await books.read(folder);
  for (const seq of range(1, 20)) {
    expect(books.positions.get(keyOf('d1', 1, seq)), `message ${seq}`).toEqual([seq]);
  }
  expect(books.positions.has(keyOf('d1', 1, 21)), 'nobody has looked').toBe(false);
  expect(books.positions.get(keyOf('d1', 1, 60))).toEqual([60]);
});

test('what a power cut has taken was never there, though a glance has met it', async () => {
  const folder = await dataFolder();
  const durable = await dataFolder();
  const books = createBooks();
  await record(folder, range(1, 10));
  await cp(folder, durable, { recursive: true });
  await record(folder, range(11, 15));
  await books.glance(folder);
  // Sent again in another order: the positions are now those of others.
  await record(durable, [15, 14, 13]);
  await books.read(durable);
  expect(books.positions.get(keyOf('d1', 1, 10))).toEqual([10]);
  expect(books.positions.get(keyOf('d1', 1, 15))).toEqual([11]);
  expect(books.positions.get(keyOf('d1', 1, 13))).toEqual([13]);
  expect(books.positions.has(keyOf('d1', 1, 11))).toBe(false);
  expect(books.last).toBe(13);
});

test('what could not be synced was never there, though a glance has met it', async () => {
  const folder = await dataFolder();
  const books = createBooks();
  const { disk, take } = readOnlyAtWill(createFileDisk(folder));
  const options = { segmentBytes: 500, maxBytes: 2_000 };
  const { log } = await openLog(disk, options, createSystemClock());
  await log.append([messageOf(1)]);
  take(false);
  const waiting = log.append([messageOf(2)]);
  await eventually(() => expect(log.blocked).toBeDefined());
  await books.glance(folder);
  // What is urgent goes first when there is leave to write again, under the position of the other.
  const data = { reader: 'archive/readings', from: 1, to: 1, reason: 'retention' } as const;
  const urgent = log.append([{ type: 'gap', source: '/gw', subject: 'gw', time: 0, data }]);
  take(true);
  expect([await urgent, await waiting]).toEqual([2, 3]);
  await books.glance(folder);
  for (const seq of range(3, 40)) await log.append([messageOf(seq)]);
  await log.close();
  await books.read(folder);
  expect(books.positions.get(keyOf('d1', 1, 2))).toEqual([3]);
  expect(books.gaps).toHaveLength(1);
});

test('between closing and the next reading nobody glances at the files', async () => {
  const folder = await dataFolder();
  const books = createBooks();
  await record(folder, [1]);
  await books.close();
  await books.glance(folder);
  await rm(`${folder}/log`, { recursive: true });
  await books.read(folder);
  expect(books.positions.size).toBe(0);
});
