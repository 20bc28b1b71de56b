import { expect, test } from 'vitest';
import { segmentHeaderBytes } from '../../src/log/format.ts';
import { type EntryRange, type LogProblem, openLogInspector } from '../../src/log/inspect.ts';
import type { Entry } from '../../src/log/log.ts';
import type { Disk } from '../../src/platform/disk.ts';
import { SimDisk } from '../sim/disk.ts';
import { numberOf, openLog, positionOf, readAll, readingOf, readingsOf } from './opened.ts';

const hour = 3_600_000;
const firstPath = 'log/00000000000000000001.seg';
const writing = ['append', 'replace', 'rename', 'remove', 'truncate', 'open', 'sync', 'syncFolder'];

async function entriesOf(disk: Disk, range?: EntryRange): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const some of (await openLogInspector(disk)).entries(range)) entries.push(...some);
  return entries;
}

async function problemsOf(disk: Disk): Promise<LogProblem[]> {
  const problems: LogProblem[] = [];
  for await (const each of (await openLogInspector(disk)).verify()) problems.push(each);
  return problems;
}

/** Ten readings an hour for forty hours, in some twenty segments. */
async function openWritten(disk: SimDisk) {
  const opened = await openLog(disk, { segmentBytes: 500 });
  const began = opened.clock.now();
  for (let i = 0; i < 40; i++) {
    await opened.log.append(readingsOf(i * 10 + 1, 10));
    await opened.clock.advance(hour);
  }
  return { ...opened, began };
}

test('a log is looked at while it is being written, and nothing is changed', async () => {
  const disk = new SimDisk();
  const { log, began } = await openWritten(disk);
  const paths = disk.paths();
  const kinds = new Set<string>();
  disk.before = (kind) => void kinds.add(kind);
  const inspector = await openLogInspector(disk);
  expect(await inspector.stat()).toEqual({
    first: 1,
    last: 400,
    segments: paths.length,
    bytes: log.bytes,
    firstTime: began,
    lastTime: began + 39 * hour,
    thinned: [],
  });
  expect(await entriesOf(disk)).toStrictEqual(await readAll(log));
  expect(await problemsOf(disk)).toEqual([]);
  expect([...kinds].filter((kind) => writing.includes(kind))).toEqual([]);
  disk.before = undefined;
  await log.append([readingOf(401)]);
  expect((await inspector.stat()).last).toBe(401);
  expect((await entriesOf(disk, { after: positionOf(398) })).map(numberOf)).toEqual([
    399, 400, 401,
  ]);
  await log.close();
});

test('entries are chosen by the time of recording, without reading other segments', async () => {
  const disk = new SimDisk();
  const { log, began } = await openWritten(disk);
  let bytes = 0;
  const part = disk.readPart.bind(disk);
  disk.readPart = async (path, offset, length) => {
    const read = await part(path, offset, length);
    bytes += read?.length ?? 0;
    return read;
  };
  for (const [from, to] of [
    [0, 39],
    [10, 12],
    [0, 0],
    [38, 50],
    [20, 20],
  ] as const) {
    const range = { fromTime: began + from * hour, toTime: began + to * hour };
    const found = (await entriesOf(disk, range)).map(numberOf);
    const last = Math.min(to, 39) * 10 + 10;
    expect(found).toEqual(Array.from({ length: last - from * 10 }, (_, i) => from * 10 + 1 + i));
  }
  expect(await entriesOf(disk, { fromTime: began + 100 * hour })).toEqual([]);
  expect(await entriesOf(disk, { toTime: began - hour })).toEqual([]);
  bytes = 0;
  await entriesOf(disk, { fromTime: began + 20 * hour, toTime: began + 20 * hour });
  // The beginning of every segment, and two or three segments whole.
  expect(bytes).toBeLessThan(disk.paths().length * 80 + 2_000);
  await log.close();
});

test('there may be no log, or nothing in it', async () => {
  const disk = new SimDisk();
  const none = { first: 1, last: 0, segments: 0, bytes: 0, thinned: [] };
  expect(await (await openLogInspector(disk)).stat()).toEqual(none);
  expect(await entriesOf(disk)).toEqual([]);
  expect(await problemsOf(disk)).toEqual([]);
  disk.put(firstPath, Buffer.alloc(0));
  expect(await (await openLogInspector(disk)).stat()).toEqual({ ...none, segments: 1 });
  expect(await problemsOf(disk)).toEqual([]);
});

test('every damaged byte of a log is found, with the positions it costs', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  for (let i = 0; i < 5; i++) await log.append(readingsOf(i * 10 + 1, 10));
  await log.close();
  const size = disk.bytesOf(firstPath).length;
  for (let at = 0; at < size; at++) {
    const damaged = new SimDisk();
    const bytes = Buffer.from(disk.bytesOf(firstPath));
    bytes[at]! ^= 0x81;
    damaged.put(firstPath, bytes);
    const problems = await problemsOf(damaged);
    const whole = (await entriesOf(damaged)).map(({ position }) => position);
    // A last group of the wrong length is no different from one that is being written.
    if (problems.length === 0) expect(whole.length).toBe(40);
    const missing = problems.find(({ from }) => from !== undefined);
    // Nothing follows the last group, so what it held is not known.
    if (missing === undefined) expect(whole.length).toBeGreaterThanOrEqual(40);
    else {
      for (let position = missing.from!; position <= missing.to!; position++) {
        expect(whole).not.toContain(position);
      }
      expect(whole.length + missing.to! - missing.from! + 1).toBe(50);
    }
  }
});

test('a write that is under way is no damage', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  for (let i = 0; i < 3; i++) await log.append(readingsOf(i * 10 + 1, 10));
  await log.close();
  const whole = Buffer.from(disk.bytesOf(firstPath));
  for (let cut = 1; cut < 60; cut++) {
    const growing = new SimDisk();
    growing.put(firstPath, whole.subarray(0, whole.length - cut));
    expect(await problemsOf(growing)).toEqual([]);
    expect(await (await openLogInspector(growing)).stat()).toMatchObject({ last: 20 });
  }
});

const firstOf = (path: string): number => Number(path.slice(4, 24));

test('a segment that is missing is told', async () => {
  const disk = new SimDisk();
  const { log } = await openWritten(disk);
  await log.close();
  const [first, second, third] = disk.paths() as [string, string, string];
  await disk.remove(second);
  expect(await problemsOf(disk)).toEqual([
    {
      path: first,
      offset: disk.bytesOf(first).length,
      problem: 'its end is missing, or the file behind it',
      from: firstOf(second),
      to: firstOf(third) - 1,
    },
  ]);
});

test('a segment whose end was cut off is named, once, with the byte and what is missing', async () => {
  const disk = new SimDisk();
  const { log } = await openWritten(disk);
  await log.close();
  const [, path, next] = disk.paths() as [string, string, string];
  const whole = Buffer.from(disk.bytesOf(path));
  for (let end = 0; end < whole.length; end++) {
    disk.put(path, whole.subarray(0, end));
    const problems = await problemsOf(disk);
    expect(
      problems.map((each) => each.path),
      `cut off at ${end}`,
    ).toEqual(problems.map(() => path));
    const costly = problems.filter(({ from }) => from !== undefined);
    expect(costly, `cut off at ${end}`).toHaveLength(1);
    expect(costly[0]!.offset).toBeLessThanOrEqual(Math.max(end, segmentHeaderBytes));
    const left = (await entriesOf(disk)).map(({ position }) => position);
    const missing = Array.from({ length: log.last }, (_, i) => i + 1).filter(
      (p) => !left.includes(positionOf(p)),
    );
    expect([costly[0]!.from, costly[0]!.to]).toEqual([missing[0], firstOf(next) - 1]);
    expect(missing.at(-1)).toBe(firstOf(next) - 1);
  }
});

test('what a reader has come to is missed by verify, though nothing in the log shows it', async () => {
  const disk = new SimDisk();
  const { log, cursors } = await openLog(disk);
  for (let i = 0; i < 5; i++) await log.append(readingsOf(i * 10 + 1, 10));
  cursors.open('one/readings', () => positionOf(0)).commit(positionOf(40));
  await cursors.save();
  await log.close();
  expect(await problemsOf(disk)).toEqual([]);
  const whole = Buffer.from(disk.bytesOf(firstPath));
  const problem = 'the end of the log is missing: readers have come further';
  for (let end = whole.length; end >= segmentHeaderBytes; end -= 7) {
    disk.put(firstPath, whole.subarray(0, end));
    const last = (await entriesOf(disk)).length;
    const found = (await problemsOf(disk)).filter((each) => each.problem === problem);
    expect(found.map(({ from, to }) => [from, to])).toEqual(last >= 40 ? [] : [[last + 1, 40]]);
  }
  await disk.remove(firstPath);
  expect(await problemsOf(disk)).toEqual([{ path: 'log', offset: 0, problem, from: 1, to: 40 }]);
});
