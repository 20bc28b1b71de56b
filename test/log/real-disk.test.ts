import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLogInspector } from '../../src/log/inspect.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { never, numberOf, openLog, positionOf, readAll, readingsOf } from './opened.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-log-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const open = (options = {}) => openLog(createFileDisk(folder), options, createSystemClock());

test('a log on a real disk takes, keeps and gives back what it was given', async () => {
  const segmentBytes = 20_000;
  const first = await open({ segmentBytes });
  const reader = first.log.reader(positionOf(0));
  const seen: number[] = [];
  const reading = (async () => {
    while (seen.length < 5_000) seen.push(...(await reader.next(100, never)).map(numberOf));
  })();
  await Promise.all(readingsOf(1, 2_000).map((each) => first.log.append([each])));
  for (let i = 2_001; i <= 5_000; i += 100) await first.log.append(readingsOf(i, 100));
  await reading;
  expect(seen).toEqual(numbers(1, 5_000));
  const cursor = first.cursors.open('sink', () => positionOf(0));
  cursor.begin();
  cursor.commit(positionOf(4_000), () => ({ sum: 8 }));
  await first.cursors.close();
  await first.log.close();

  const names = await readdir(join(folder, 'log'));
  expect(names.length).toBeGreaterThan(3);
  const second = await open({ segmentBytes });
  expect(second.log.last).toBe(5_000);
  const again = second.cursors.open('sink', () => positionOf(0));
  expect([again.position, again.state]).toEqual([4_000, { sum: 8 }]);
  expect((await readAll(second.log, again.position)).map(numberOf)).toEqual(numbers(4_001, 5_000));
  const inspector = await openLogInspector(createFileDisk(folder));
  expect(await inspector.stat()).toMatchObject({ first: 1, last: 5_000, segments: names.length });
  for await (const problem of inspector.verify()) expect(problem).toBe(undefined);
  await second.log.close();
});

test('a torn and a flipped file on a real disk cost no more than they must', async () => {
  const first = await open();
  for (let i = 1; i <= 100; i += 10) await first.log.append(readingsOf(i, 10));
  await first.log.close();
  const path = join(folder, 'log', '00000000000000000001.seg');
  await truncate(path, first.log.bytes - 1);
  const second = await open();
  expect((await readAll(second.log)).map(numberOf)).toEqual(numbers(1, 90));
  expect(await second.log.append(readingsOf(91, 1))).toBe(91);
  await second.log.close();
  const bytes = await readFile(path);
  bytes[200]! ^= 1;
  await writeFile(path, bytes);
  const third = await open();
  const found = (await readAll(third.log)).map(numberOf);
  expect(found).toHaveLength(81);
  expect(await third.log.append(readingsOf(92, 1))).toBe(92);
  await third.log.close();
  expect(third.logger.messages('error')).toEqual([
    'A log segment is damaged; what it held there cannot be read.',
  ]);
});
