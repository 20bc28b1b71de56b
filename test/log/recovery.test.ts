import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatVersion, segmentHeaderBytes } from '../../src/log/format.ts';
import { groupBytesAt } from '../../src/log/group.ts';
import type { Entry } from '../../src/log/log.ts';
import { GatewayError } from '../../src/platform/errors.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { never, numberOf, openLog, positionOf, readAll, readingOf, readingsOf } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const firstPath = 'log/00000000000000000001.seg';

/** Groups of ten readings each, the first numbered 1. */
async function writeGroups(disk: SimDisk, groups: number, segmentBytes = 2 ** 20) {
  const { log, clock } = await openLog(disk, { segmentBytes });
  for (let i = 0; i < groups; i++) await log.append(readingsOf(i * 10 + 1, 10));
  await log.close();
  return clock;
}

/** Where the groups of a segment begin, and where the last one ends. */
function bordersOf(disk: SimDisk, path: string): number[] {
  const bytes = Buffer.from(disk.bytesOf(path));
  const borders = [segmentHeaderBytes];
  while (borders.at(-1)! < bytes.length) {
    borders.push(borders.at(-1)! + groupBytesAt(bytes, borders.at(-1)!));
  }
  return borders;
}

const copyOf = (disk: SimDisk, path: string, change: (bytes: Buffer) => Uint8Array): SimDisk => {
  const copy = new SimDisk();
  for (const each of disk.paths()) copy.put(each, disk.bytesOf(each).slice());
  copy.put(path, change(Buffer.from(disk.bytesOf(path).slice())));
  return copy;
};

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

test(`what was acknowledged survives power cuts, in order (TIDEGATE_SEED=${seed})`, async () => {
  const life = fc.array(
    fc.record({
      appends: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 8 }),
      turns: fc.nat(60),
      end: fc.constantFrom('kill' as const, 'crash' as const, 'close' as const),
    }),
    { minLength: 1, maxLength: 5 },
  );
  await fc.assert(
    fc.asyncProperty(life, fc.nat(), async (lives, chance) => {
      const random = seededRandom(chance);
      const clock = new SimClock();
      let disk = new SimDisk();
      let next = 1;
      const acknowledged = new Map<number, number>();
      for (const { appends, turns, end } of lives) {
        const { log } = await openLog(disk, { segmentBytes: 3_000 }, clock);
        for (const count of appends) {
          const drafts = readingsOf(next, count);
          next += count;
          void log.append(drafts).then((last) => {
            drafts.forEach((_, i) => {
              acknowledged.set(last - count + 1 + i, drafts[i]!.data.fields.number as number);
            });
          });
        }
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        if (end === 'close') await log.close();
        else if (end === 'kill') disk.kill();
        else disk.crash(random);
        disk = disk.restart();
      }
      const { log, logger } = await openLog(disk, {}, clock);
      const found = new Map((await readAll(log)).map((each) => [each.position, numberOf(each)]));
      for (const [position, number] of acknowledged) {
        expect(found.get(positionOf(position))).toBe(number);
      }
      const kept = [...found.values()];
      expect(kept).toEqual([...kept].sort((a, b) => a - b));
      expect([...found.keys()]).toEqual(numbers(1, found.size));
      expect(logger.messages('error')).toEqual([]);
    }),
    { seed, numRuns: 300 },
  );
}, 60_000);

test('a tail torn at any byte costs only what was never acknowledged', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 3);
  const borders = bordersOf(disk, firstPath);
  for (let size = 0; size < borders.at(-1)!; size++) {
    const whole = borders.filter((border) => border <= size).length - 1;
    const torn = copyOf(disk, firstPath, (bytes) => bytes.subarray(0, size));
    const { log, logger } = await openLog(torn, {}, clock);
    expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, Math.max(whole, 0) * 10));
    expect(await log.append([readingOf(99)])).toBe(Math.max(whole, 0) * 10 + 1);
    expect((await readAll(log)).map(numberOf).at(-1)).toBe(99);
    expect([...logger.messages('error'), ...logger.messages('warn')]).toEqual([]);
    await log.close();
  }
});

test('garbage behind the last group is cut, whatever it is', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 2);
  const random = seededRandom(3);
  const size = disk.bytesOf(firstPath).length;
  for (const length of [1, 7, 8, 40, 200, 5_000]) {
    for (const fill of [0, 255, undefined]) {
      const garbage = Buffer.from(
        Array.from({ length }, () => fill ?? Math.floor(random.next() * 256)),
      );
      const torn = copyOf(disk, firstPath, (bytes) => Buffer.concat([bytes, garbage]));
      const { log, logger } = await openLog(torn, {}, clock);
      expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 20));
      expect(logger.messages('error')).toEqual([]);
      expect(torn.bytesOf(firstPath).length).toBe(size);
      await log.close();
    }
  }
});

test('room made ahead is neither damage nor news, in the newest segment or in others', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk, { segmentBytes: 2_000 });
  for (let i = 0; i < 30; i++) await log.append(readingsOf(i * 10 + 1, 10));
  disk.kill();
  const padded = disk.restart();
  for (const path of padded.paths()) {
    padded.put(path, Buffer.concat([padded.bytesOf(path), Buffer.alloc(300_000)]));
  }
  for (const open of [1, 2]) {
    const { log: opened, logger } = await openLog(padded.restart(), {}, clock);
    expect((await readAll(opened)).map(numberOf)).toEqual(numbers(1, 300 + open - 1));
    await opened.append([readingOf(300 + open)]);
    expect(logger.lines).toEqual([]);
    await opened.close();
  }
});

test('a flipped byte costs its group only, is told, and its positions are not used again', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 4);
  const borders = bordersOf(disk, firstPath);
  for (let at = borders[1]!; at < borders[2]!; at++) {
    const damaged = copyOf(disk, firstPath, (bytes) => {
      bytes[at]! ^= 0xff;
      return bytes;
    });
    const first = await openLog(damaged, {}, clock);
    expect(first.logger.messages('error')).toEqual([
      'A log segment is damaged; what it held there cannot be read.',
    ]);
    const left = [...numbers(1, 10), ...numbers(21, 40)];
    expect((await readAll(first.log)).map(({ position }) => position)).toEqual(left);
    expect((await readAll(first.log, 0, 7)).map(numberOf)).toEqual(left);
    expect(await first.log.append([readingOf(41)])).toBe(41);
    await first.log.close();
    const second = await openLog(damaged.restart(), {}, clock);
    expect((await readAll(second.log)).map(numberOf)).toEqual([...left, 41]);
    await second.log.close();
  }
});

test('damage in an older segment is met by the reader, told once, and stepped over', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 30, 1_200);
  const [, path] = disk.paths().filter((each) => each.startsWith('log/')) as [string, string];
  const [begin, end] = bordersOf(disk, path) as [number, number];
  const damaged = copyOf(disk, path, (bytes) => bytes.fill(0, begin, end));
  const { log, logger } = await openLog(damaged, {}, clock);
  expect(logger.messages('error')).toEqual([]);
  const firstLost = Number(path.slice(4, 24));
  const left = numbers(1, 300).filter((each) => each < firstLost || each >= firstLost + 10);
  for (const limit of [1, 13, 1_000]) {
    expect((await readAll(log, 0, limit)).map(numberOf)).toEqual(left);
  }
  expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([
    {
      level: 'error',
      fields: { path, from: begin, bytes: end - begin },
      message: 'A log segment is damaged; what it held there cannot be read.',
    },
  ]);
  await log.close();
});

test('sectors that cannot be read cost only the groups that lie on them', async () => {
  const disk = new SimDisk();
  const { log: writing, clock } = await openLog(disk);
  for (let i = 0; i < 50; i++) await writing.append(readingsOf(i * 100, 100));
  await writing.append([readingOf(5_000)]);
  await writing.close();
  const again = disk.restart();
  const { log } = await openLog(again, { segmentBytes: 2 ** 20 }, clock);
  const bad = 20_000;
  const part = again.readPart.bind(again);
  again.readPart = (path, offset, length) =>
    offset <= bad && offset + length > bad
      ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
      : part(path, offset, length);
  const found = (await readAll(log)).map(numberOf);
  const lost = numbers(0, 5_000).filter((each) => !found.includes(each));
  expect(lost.length).toBeGreaterThan(0);
  expect(lost.length).toBeLessThanOrEqual(500);
  await log.close();
});

test('whatever files are in the folder, the log opens and takes events', async () => {
  const random = seededRandom(11);
  const garbage = (length: number) =>
    Buffer.from(Array.from({ length }, () => Math.floor(random.next() * 256)));
  for (const length of [0, 1, 31, 32, 33, 100, 10_000]) {
    const disk = new SimDisk();
    disk.put('log/notes.txt', garbage(10));
    disk.put('log/00000000000000000000.seg', garbage(10));
    disk.put('log/00000000000000000500.seg', garbage(length));
    const { log } = await openLog(disk);
    const position = await log.append(readingsOf(1, 3));
    expect((await readAll(log)).map(numberOf)).toEqual([1, 2, 3]);
    await log.close();
    const again = await openLog(disk.restart());
    expect(again.log.last).toBe(position);
    expect((await readAll(again.log)).map(numberOf)).toEqual([1, 2, 3]);
  }
});

test('an unreadable newest segment is set aside, and the one before goes on', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 3);
  disk.put('log/00000000000000000031.seg', Buffer.alloc(500, 7));
  const { log, logger } = await openLog(disk.restart(), {}, clock);
  expect(disk.paths()).toContain('quarantine/00000000000000000031.seg');
  expect(logger.messages('error')).toEqual(['A log segment is unreadable and was set aside.']);
  expect(await log.append([readingOf(31)])).toBe(31);
  expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 31));
  await log.close();
});

test('a segment whose header is damaged still gives its groups', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 3);
  const damaged = copyOf(disk, firstPath, (bytes) => bytes.fill(0, 0, segmentHeaderBytes));
  const { log } = await openLog(damaged, {}, clock);
  expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 30));
  expect(await log.append([readingOf(31)])).toBe(31);
  await log.close();
  const again = await openLog(damaged.restart(), {}, clock);
  expect((await readAll(again.log)).map(numberOf)).toEqual(numbers(1, 31));
});

test('a newer log is refused by name, and left alone', async () => {
  const disk = new SimDisk();
  await writeGroups(disk, 1);
  const { crc32 } = await import('node:zlib');
  const newer = copyOf(disk, firstPath, (bytes) => {
    bytes.writeUInt16LE(formatVersion + 1, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
    return bytes;
  });
  const before = Buffer.from(newer.bytesOf(firstPath).slice());
  const error = await openLog(newer).catch((each: unknown) => each);
  expect(error).toBeInstanceOf(GatewayError);
  expect((error as GatewayError).code).toBe('GW_LOG_UNSUPPORTED');
  expect(before.equals(newer.bytesOf(firstPath))).toBe(true);
});

test('what a killed process wrote is made durable before anybody can read it', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  disk.before = (kind) => (kind === 'sync' && log.last > 0 ? new Promise(() => {}) : undefined);
  await log.append([readingOf(1)]);
  void log.append([readingOf(2)]);
  await clock.settle();
  disk.kill();
  const second = disk.restart();
  const { log: opened } = await openLog(second, {}, clock);
  const seen = (await readAll(opened)).map(numberOf);
  expect(seen).toEqual([1, 2]);
  second.crash(seededRandom(5));
  const { log: last } = await openLog(second.restart(), {}, clock);
  expect((await readAll(last)).map(numberOf)).toEqual(seen);
});

test('a cursor ahead of the log is told, and positions go on behind it', async () => {
  const disk = new SimDisk();
  const first = await openLog(disk);
  await first.log.append(readingsOf(1, 20));
  const cursor = first.cursors.open('sink', () => positionOf(0));
  cursor.begin();
  cursor.commit(positionOf(20));
  await first.cursors.close();
  await first.log.close();
  const lost = disk.restart();
  await lost.remove(firstPath);
  const second = await openLog(lost, {}, first.clock);
  expect(second.logger.lines).toMatchObject([{ level: 'error', fields: { from: 1, to: 20 } }]);
  expect([second.log.first, second.log.last]).toEqual([21, 20]);
  const reader = second.log.reader(positionOf(20));
  expect(reader.caughtUp).toBe(true);
  expect(await second.log.append([readingOf(21)])).toBe(21);
  expect((await reader.next(10, never)).map(numberOf)).toEqual([21]);
  expect((await readAll(second.log)).map(({ position }) => position)).toEqual([21]);
  await second.log.close();
});

test('a folder that may not be read is told with its remedy', async () => {
  const disk = new SimDisk();
  disk.list = () => Promise.reject(Object.assign(new Error('EACCES: log'), { code: 'EACCES' }));
  const error = (await openLog(disk).catch((each: unknown) => each)) as GatewayError;
  expect(error.code).toBe('GW_DATA_UNREADABLE');
  expect(error.message).toContain('Give the user that runs Tidegate');
});

test('entries of a damaged checksum never reach a reader, wherever the damage is', async () => {
  const disk = new SimDisk();
  const clock = await writeGroups(disk, 3);
  const { log: whole } = await openLog(disk.restart(), {}, clock);
  const genuine = new Map((await readAll(whole)).map((each) => [each.position, each]));
  const size = disk.bytesOf(firstPath).length;
  const random = seededRandom(seed);
  for (let run = 0; run < 300; run++) {
    const damaged = copyOf(disk, firstPath, (bytes) => {
      for (let i = 0; i < 3; i++) {
        bytes[Math.floor(random.next() * size)] = Math.floor(random.next() * 256);
      }
      return bytes;
    });
    const opened = await openLog(damaged, {}, clock).catch(() => undefined);
    if (opened === undefined) continue;
    const found: Entry[] = await readAll(opened.log);
    for (const each of found) expect(each).toStrictEqual(genuine.get(each.position));
    await opened.log.close();
  }
});
