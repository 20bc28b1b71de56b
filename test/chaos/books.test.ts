import { cp, rm } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { openLog } from '../log/opened.ts';
import { temporaryFolder } from '../services/child.ts';
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
