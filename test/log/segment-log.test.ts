import { expect, test } from 'vitest';
import { AppendTooLarge } from '../../src/log/batch.ts';
import { groupBytesMax } from '../../src/log/format.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { numberOf, openLog, positionOf, readAll, readingOf, readingsOf, watch } from './opened.ts';

test('what was appended is read back in order, with positions from 1 on', async () => {
  const { log, clock } = await openLog(new SimDisk());
  expect([log.first, log.last, log.bytes]).toEqual([1, 0, 0]);
  expect(await log.append(readingsOf(1, 3))).toBe(3);
  await clock.advance(1_234);
  expect(await log.append([readingOf(4)])).toBe(4);
  const entries = await readAll(log);
  expect(entries.map(numberOf)).toEqual([1, 2, 3, 4]);
  expect(entries.map(({ position }) => position)).toEqual([1, 2, 3, 4]);
  expect(entries[3]).toMatchObject({
    ...readingOf(4),
    recordedTime: clock.now(),
    monotonic: 1_234,
    boot: clock.boot,
    clock: 'synchronised',
  });
  expect([log.first, log.last]).toEqual([1, 4]);
  await log.close();
});

test('an event is the same, id and all, whether read from memory or from disk', async () => {
  const disk = new SimDisk();
  const first = await openLog(disk);
  const reader = first.log.reader(positionOf(0));
  await first.log.append([{ ...readingOf(1), id: 'mine', extensions: { replayed: 'true' } }]);
  await first.log.append(readingsOf(2, 5));
  const remembered = await reader.next(100, new AbortController().signal);
  await first.log.close();
  const second = await openLog(disk.restart(), {}, first.clock);
  expect(await readAll(second.log)).toStrictEqual(remembered);
  expect(new Set(remembered.map(({ id }) => id)).size).toBe(6);
  await second.log.close();
});

test('an append resolves only when its bytes, and the name of their file, are durable', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const done: string[] = [];
  disk.before = (kind) => {
    done.push(kind);
    return kind === 'sync' && done.includes('append', done.indexOf('syncFolder'))
      ? held
      : undefined;
  };
  const appended = watch(log.append([readingOf(1)]));
  const reader = log.reader(positionOf(0));
  const read = watch(reader.next(10, new AbortController().signal));
  await clock.settle();
  expect(done).toEqual(['open', 'append', 'extend', 'sync', 'syncFolder', 'append', 'sync']);
  expect([appended.settled, read.settled, log.last]).toEqual([false, false, 0]);
  release();
  await clock.settle();
  expect([appended.value, log.last]).toEqual([1, 1]);
  expect(read.value!.map(numberOf)).toEqual([1]);
  await log.close();
});

test('it is durable, then readable, then acknowledged, and only then readers wake', async () => {
  const { log } = await openLog(new SimDisk());
  const order: string[] = [];
  const reader = log.reader(positionOf(0));
  const read = reader.next(10, new AbortController().signal).then(() => order.push('read'));
  const appends = [1, 2].map(async (number) => {
    const position = await log.append([readingOf(number)]);
    expect(log.last).toBeGreaterThanOrEqual(position);
    order.push(`acknowledged ${number}`);
  });
  await Promise.all([read, ...appends]);
  expect(order).toEqual(['acknowledged 1', 'acknowledged 2', 'read']);
  await log.close();
});

test('nothing is read that would not survive a power cut', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const disk = new SimDisk();
    const { log, clock } = await openLog(disk);
    const reader = log.reader(positionOf(0));
    const seen: number[] = [];
    const signal = new AbortController().signal;
    void (async () => {
      for (;;) for (const entry of await reader.next(3, signal)) seen.push(numberOf(entry));
    })();
    for (let i = 1; i <= 20; i++) void log.append([readingOf(i)]);
    const random = seededRandom(seed);
    for (let turns = Math.floor(random.next() * 40); turns > 0; turns--) await Promise.resolve();
    disk.crash(random);
    const after = await openLog(disk.restart(), {}, clock);
    const survived = (await readAll(after.log)).map(numberOf);
    expect(survived.slice(0, seen.length)).toEqual(seen);
  }
});

test('a thousand appends at once share a few writes and syncs', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  await log.append([readingOf(0)]);
  let syncs = 0;
  disk.before = (kind) => {
    if (kind === 'sync') syncs++;
  };
  const positions = await Promise.all(readingsOf(1, 1_000).map((each) => log.append([each])));
  expect(positions).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 2));
  expect(syncs).toBeLessThanOrEqual(2);
  await log.close();
});

test('a commit lingers for as long as it is told, for others to share it', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk, { commitDelayMs: 50 });
  const first = watch(log.append([readingOf(1)]));
  await clock.advance(40);
  const second = watch(log.append([readingOf(2)]));
  const before = disk.operations;
  await clock.advance(9);
  expect(disk.operations).toBe(before);
  await clock.advance(1);
  expect([first.value, second.value]).toEqual([1, 2]);
  await log.close();
});

test('appends beyond what may wait wait their turn, and order is kept', async () => {
  const { log } = await openLog(new SimDisk(), { waitingBytes: 2_000 });
  const positions = await Promise.all(readingsOf(1, 3_000).map((each) => log.append([each])));
  expect(positions.at(-1)).toBe(3_000);
  expect((await readAll(log)).map(numberOf)).toEqual(
    Array.from({ length: 3_000 }, (_, i) => i + 1),
  );
  await log.close();
});

test('an append that cannot be written is refused by itself and harms no other', async () => {
  const { log } = await openLog(new SimDisk());
  const huge = { name: 'write', payload: 'x'.repeat(groupBytesMax) };
  const before = log.append([readingOf(1)]);
  const refused = log.append([{ ...readingOf(2), type: 'command', data: huge }]);
  const after = log.append([readingOf(3)]);
  await expect(refused).rejects.toBeInstanceOf(AppendTooLarge);
  expect([await before, await after]).toEqual([1, 2]);
  expect((await readAll(log)).map(numberOf)).toEqual([1, 3]);
  await log.close();
});

test('an empty append resolves at once', async () => {
  const { log } = await openLog(new SimDisk());
  await log.append(readingsOf(1, 2));
  expect(await log.append([])).toBe(2);
  await log.close();
});

test('events fill one file after the other, each named after its first position', async () => {
  const disk = new SimDisk();
  const first = await openLog(disk, { segmentBytes: 400 });
  for (let i = 1; i <= 30; i++) await first.log.append([readingOf(i)]);
  const names = disk.paths().filter((path) => path.startsWith('log/'));
  expect(names.length).toBeGreaterThan(5);
  expect(names[0]).toBe('log/00000000000000000001.seg');
  for (const name of names) expect(disk.bytesOf(name).length).toBeLessThanOrEqual(400);
  await first.log.close();
  const sum = names.reduce((bytes, name) => bytes + disk.bytesOf(name).length, 0);
  expect(first.log.bytes).toBe(sum);
  const second = await openLog(disk.restart(), { segmentBytes: 400 }, first.clock);
  expect(second.log.bytes).toBe(sum);
  expect((await readAll(second.log)).map(numberOf)).toEqual(
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  expect(await second.log.append([readingOf(31)])).toBe(31);
  await second.log.close();
});

test('a burst is divided among files at the borders of groups', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk, { segmentBytes: 10_000 });
  const appends: Promise<number>[] = [];
  for (let i = 0; i < 20; i++) {
    appends.push(log.append(readingsOf(i * 100, 100)));
    // The wall clock jumps, so that every append begins a group.
    clock.stall(1);
    clock.jump(1_000);
  }
  await Promise.all(appends);
  const sizes = disk.paths().map((path) => disk.bytesOf(path).length);
  expect(sizes.length).toBeGreaterThan(3);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(10_000);
  expect((await readAll(log)).map(numberOf)).toEqual(Array.from({ length: 2_000 }, (_, i) => i));
  await log.close();
});

test('closing waits for what was appended; afterwards appends are refused', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk, { commitDelayMs: 60_000 });
  const appended = watch(log.append([readingOf(1)]));
  await log.close();
  expect(appended.value).toBe(1);
  await expect(log.append([readingOf(2)])).rejects.toThrow('closed');
  const again = await openLog(disk.restart(), {}, clock);
  expect(again.log.last).toBe(1);
});

test('an idle log does nothing at all', async () => {
  const disk = new SimDisk();
  const { log, cursors, clock } = await openLog(disk);
  await log.append([readingOf(1)]);
  cursors.open('sink', () => positionOf(0));
  await clock.advance(10_000);
  const before = disk.operations;
  await clock.advance(86_400_000);
  expect(disk.operations).toBe(before);
  expect(clock.sleeping).toBe(0);
  await log.close();
});

test('a boot of the machine is told from the next', async () => {
  const disk = new SimDisk();
  const clock = new SimClock();
  const first = await openLog(disk, {}, clock);
  await clock.advance(5_000);
  await first.log.append([readingOf(1)]);
  await first.log.close();
  clock.reboot();
  clock.clockQuality = 'unsynchronised';
  const second = await openLog(disk.restart(), {}, clock);
  await clock.advance(70);
  await second.log.append([readingOf(2)]);
  const [before, after] = await readAll(second.log);
  expect(before).toMatchObject({ monotonic: 5_000, clock: 'synchronised' });
  expect(after).toMatchObject({ monotonic: 70, boot: clock.boot, clock: 'unsynchronised' });
  expect(before!.boot).not.toBe(after!.boot);
  await second.log.close();
});

test('what was counted is what was done', async () => {
  const disk = new SimDisk();
  const { log, metrics } = await openLog(disk);
  await log.append([
    ...readingsOf(1, 4),
    { ...readingOf(5), type: 'heartbeat', data: { lag: {} } },
  ]);
  const valuesOf = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)!.get()).values.map(({ labels, value }) => ({
      ...labels,
      value,
    }));
  expect(await valuesOf('tidegate_events_appended_total')).toEqual([
    { type: 'heartbeat', value: 1 },
    { type: 'reading', value: 4 },
  ]);
  expect(await valuesOf('tidegate_log_position')).toEqual([{ value: 5 }]);
  expect(await valuesOf('tidegate_log_bytes')).toEqual([{ value: log.bytes }]);
  expect(await valuesOf('tidegate_log_written_bytes_total')).toEqual([{ value: log.bytes }]);
  await log.close();
});
