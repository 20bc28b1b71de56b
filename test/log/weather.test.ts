import { expect, test } from 'vitest';
import type { LogOptions } from '../../src/log/segment-log.ts';
import { GatewayError } from '../../src/platform/errors.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimDisk } from '../sim/disk.ts';
import { numberOf, openLog, positionOf, readAll, readingOf, readingsOf, watch } from './opened.ts';

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** A log of some segments with a reader that has done with the first `done` events. */
async function openWithReader(disk: SimDisk, done: number, options: Partial<LogOptions>) {
  const opened = await openLog(disk, { segmentBytes: 300, ...options });
  const cursor = opened.cursors.open('sink', () => positionOf(0));
  for (let i = 1; i <= 40; i++) await opened.log.append([readingOf(i)]);
  cursor.begin();
  cursor.commit(positionOf(done));
  await opened.cursors.save();
  return opened;
}

test('a full disk makes appends wait; once there is room each is acknowledged, once', async () => {
  const disk = new SimDisk();
  const { log, clock, logger, metrics } = await openLog(disk);
  await log.append(readingsOf(1, 5));
  disk.full = true;
  const waiting = [6, 7, 8].map((number) => watch(log.append([readingOf(number)])));
  await clock.advance(10_000);
  waiting.push(watch(log.append([readingOf(9)])));
  await clock.advance(10_000);
  expect(waiting.map(({ settled }) => settled)).toEqual([false, false, false, false]);
  expect(log.blocked).toContain('ENOSPC');
  expect((await metrics.logBlocked.get()).values[0]!.value).toBe(1);
  expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 5));
  disk.full = false;
  await clock.advance(1_000);
  expect(waiting.map(({ value }) => value)).toEqual([6, 7, 8, 9]);
  expect(log.blocked).toBe(undefined);
  expect((await metrics.logBlocked.get()).values[0]!.value).toBe(0);
  expect(logger.messages('warn')).toEqual(['Events cannot be appended; they wait.']);
  expect(logger.messages('info')).toEqual(['Events can be appended again.']);
  await log.close();
  const again = await openLog(disk.restart(), {}, clock);
  expect((await readAll(again.log)).map(numberOf)).toEqual(numbers(1, 9));
  expect(again.logger.lines).toEqual([]);
});

test('a power cut while the disk is full loses nothing that was acknowledged', async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const disk = new SimDisk();
    const { log, clock } = await openWithReader(disk, 0, { whenFull: 'refuseNew' });
    disk.full = true;
    void log.append([readingOf(41)]);
    await clock.advance(3_500);
    disk.crash(seededRandom(seed));
    const next = disk.restart();
    next.full = false;
    const again = await openLog(next, {}, clock);
    expect((await readAll(again.log)).map(numberOf)).toEqual(numbers(1, 40));
  }
});

test.each(['open', 'append', 'truncate', 'sync', 'syncFolder'] as const)(
  'no leave to write is waited out wherever it is met: %s',
  async (where) => {
    const disk = new SimDisk();
    const { log, clock } = await openLog(disk, { segmentBytes: 300 });
    await log.append([readingOf(1)]);
    let refusing = true;
    disk.before = (kind) => {
      if (refusing && (kind === where || (where === 'truncate' && kind === 'append'))) {
        throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
      }
    };
    const appends = numbers(2, 12).map((number) => {
      clock.stall(1);
      clock.jump(1_000);
      return watch(log.append([readingOf(number)]));
    });
    await clock.advance(5_000);
    expect(log.blocked).toContain('EROFS');
    refusing = false;
    await clock.advance(1_000);
    expect(appends.map(({ value }) => value)).toEqual(numbers(2, 12));
    expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 12));
    await log.close();
    const again = await openLog(disk.restart(), {}, clock);
    expect((await readAll(again.log)).map(numberOf)).toEqual(numbers(1, 12));
  },
);

test('a log opens on a disk that is full, and takes events once it is not', async () => {
  const disk = new SimDisk();
  disk.full = true;
  const { log, clock } = await openLog(disk);
  const appended = watch(log.append([readingOf(1)]));
  await clock.advance(2_000);
  expect([appended.settled, log.blocked === undefined]).toEqual([false, false]);
  disk.full = false;
  await clock.advance(1_000);
  expect(appended.value).toBe(1);
  await log.close();
});

test('a log opens for reading where nothing can be written', async () => {
  const disk = new SimDisk();
  const first = await openLog(disk);
  await first.log.append(readingsOf(1, 5));
  await first.log.close();
  const next = disk.restart();
  next.before = (kind) => {
    if (kind === 'open') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  const { log, logger, clock } = await openLog(next, {}, first.clock);
  expect(logger.messages('warn')).toEqual(['The log cannot be written to at the moment.']);
  expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 5));
  const appended = watch(log.append([readingOf(6)]));
  await clock.advance(1_000);
  expect(appended.settled).toBe(false);
  next.before = undefined;
  await clock.advance(1_000);
  expect(appended.value).toBe(6);
  await log.close();
  const again = await openLog(next.restart(), {}, clock);
  expect((await readAll(again.log)).map(numberOf)).toEqual(numbers(1, 6));
});

test.each(['dropOldest', 'refuseNew'] as const)(
  'a full disk is given back what every reader has seen, under %s',
  async (whenFull) => {
    const disk = new SimDisk();
    const { log, clock, logger } = await openWithReader(disk, 30, { whenFull });
    disk.capacityBytes = log.bytes + disk.bytesOf('cursors').length;
    const appended = watch(log.append([readingOf(41)]));
    await clock.advance(5_000);
    expect(appended.value).toBe(41);
    expect(log.first).toBeGreaterThan(1);
    expect(log.first).toBeLessThanOrEqual(31);
    expect(logger.messages('error')).toEqual([]);
    await log.close();
  },
);

test('a disk that others have filled does not eat up the log', async () => {
  const disk = new SimDisk();
  const { log, clock, logger } = await openWithReader(disk, 0, { whenFull: 'dropOldest' });
  disk.full = true;
  const appended = watch(log.append([readingOf(41)]));
  await clock.advance(600_000);
  expect(appended.settled).toBe(false);
  expect(logger.messages('error')).toHaveLength(1);
  expect((await readAll(log)).length).toBeGreaterThan(30);
  disk.full = false;
  await clock.advance(1_000);
  expect(appended.value).toBe(41);
  await log.close();
});

test('under refuseNew a full disk costs nothing that some reader has not seen', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openWithReader(disk, 0, { whenFull: 'refuseNew' });
  disk.full = true;
  void log.append([readingOf(41)]);
  await clock.advance(600_000);
  expect((await readAll(log)).map(numberOf)).toEqual(numbers(1, 40));
  expect(log.first).toBe(1);
});

test.each(['append', 'sync'] as const)(
  'an error of the disk in %s is final: it is told, and nothing is acknowledged any more',
  async (where) => {
    const disk = new SimDisk();
    const { log, clock, logger } = await openLog(disk);
    await log.append([readingOf(1)]);
    let broken = true;
    disk.before = (kind) => {
      if (kind === where && broken) throw Object.assign(new Error('EIO: i/o'), { code: 'EIO' });
    };
    const failed = watch(log.failed);
    const appends = [2, 3].map((number) => watch(log.append([readingOf(number)])));
    await clock.settle();
    broken = false;
    appends.push(watch(log.append([readingOf(4)])), watch(log.append([readingOf(5)])));
    await clock.advance(60_000);
    expect(appends.map(({ settled }) => settled)).toEqual([false, false, false, false]);
    expect(failed.value).toBeInstanceOf(GatewayError);
    expect((failed.value as GatewayError).code).toBe('GW_LOG_WRITE_FAILED');
    expect((failed.value as GatewayError).message).toContain('EIO');
    expect(logger.messages('error')).toEqual(['The event log has failed.']);
    expect(log.last).toBe(1);
    await log.close();
  },
);

test('a sync that fails for want of room is final too: what it lost cannot be known', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  await log.append([readingOf(1)]);
  disk.before = (kind) => {
    if (kind === 'sync') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
  };
  const failed = watch(log.failed);
  void log.append([readingOf(2)]);
  await clock.settle();
  expect(failed.settled).toBe(true);
});

test('closing a log that has no room gives up what still waits', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  await log.append([readingOf(1)]);
  disk.full = true;
  const waiting = watch(log.append([readingOf(2)]));
  await clock.advance(1_500);
  const closed = watch(log.close());
  await clock.settle();
  expect([closed.settled, waiting.settled]).toEqual([true, false]);
  const next = disk.restart();
  next.full = false;
  const again = await openLog(next, {}, clock);
  expect((await readAll(again.log)).map(numberOf)).toEqual([1]);
});

test.each(['once', 'from-then-on'] as const)(
  'whichever disk operation fails, %s, nothing acknowledged is lost',
  async (mode) => {
    for (let operation = 1; ; operation++) {
      const disk = new SimDisk();
      disk.fault = { atOperation: operation, mode };
      const acknowledged: number[] = [];
      const opened = await openLog(disk, { segmentBytes: 400 }).catch(() => undefined);
      for (let i = 1; i <= 12 && opened !== undefined; i++) {
        void opened.log.append([readingOf(i)]).then(() => acknowledged.push(i));
        await opened.clock.advance(10);
      }
      await opened?.clock.advance(2_000);
      const met = disk.operations >= operation;
      disk.crash(seededRandom(operation));
      const again = await openLog(disk.restart(), {}, opened?.clock);
      const found = (await readAll(again.log)).map(numberOf);
      expect(found.filter((each) => acknowledged.includes(each))).toEqual(acknowledged);
      if (!met) {
        expect(operation).toBeGreaterThan(30);
        return;
      }
    }
  },
);
