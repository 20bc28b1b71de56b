/** Sectors that the disk cannot read any more: what lies on them is damaged, and all else goes on. */
import { expect, test } from 'vitest';
import { openLogInspector } from '../../src/log/inspect.ts';
import { readings, send } from '../flow/history-world.ts';
import { SimDisk } from '../sim/disk.ts';
import { World } from '../sim/life.ts';
import { never, numberOf, openLog, positionOf, readAll, readingsOf, watch } from './opened.ts';

const sectorBytes = 4_096;

/** Some 40 kB in segments of 16 kB, ten readings to a group. */
async function openWritten(disk: SimDisk) {
  const opened = await openLog(disk, { segmentBytes: 16_384, tailBytes: 1 });
  for (let i = 0; i < 180; i++) await opened.log.append(readingsOf(i * 10 + 1, 10));
  return opened;
}
const segmentsOf = (disk: SimDisk): string[] =>
  disk.paths().filter((path) => path.startsWith('log/'));
const firstOf = (path: string): number => Number(path.slice(4, 24));

test('a reader steps over bad sectors, tells of them once, and gets all else', async () => {
  const disk = new SimDisk();
  const { log, logger } = await openWritten(disk);
  const path = segmentsOf(disk)[1]!;
  disk.badSectors = [{ path, from: sectorBytes, to: 2 * sectorBytes }];
  for (let round = 0; round < 2; round++) {
    const numbers = (await readAll(log)).map(numberOf);
    expect(numbers.length).toBeGreaterThan(1_500);
    expect(numbers.length).toBeLessThan(1_800);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
  const told = logger.lines.filter(({ level }) => level === 'error');
  expect(told).toMatchObject([{ fields: { path } }]);
  const missing = Array.from({ length: 1_800 }, (_, i) => i + 1);
  for (const { position } of await readAll(log)) missing.splice(missing.indexOf(position), 1);
  expect(log.absence(missing[0]!).reason).toBe('damaged');
  await log.close();
});

test('a whole segment that cannot be read costs its events and no other', async () => {
  const disk = new SimDisk();
  const { log, logger } = await openWritten(disk);
  const [, path, next] = segmentsOf(disk) as [string, string, string];
  disk.badSectors = [{ path, from: 0, to: 2 ** 30 }];
  const whole = (await readAll(log)).map(({ position }) => position as number);
  expect(whole).not.toContain(firstOf(path));
  expect(whole).not.toContain(firstOf(next) - 1);
  expect(whole).toContain(firstOf(path) - 1);
  expect(whole).toContain(firstOf(next));
  expect(logger.messages('error')).toHaveLength(1);
  await log.close();
  const problems = [];
  for await (const each of (await openLogInspector(disk)).verify()) problems.push(each);
  expect(new Set(problems.map((each) => each.path))).toEqual(new Set([path]));
  expect(problems.at(-1)).toMatchObject({ from: firstOf(path), to: firstOf(next) - 1 });
});

for (const [what, from, to] of [
  ['the beginning', 0, sectorBytes],
  ['a piece', sectorBytes, 2 * sectorBytes],
  ['the room behind the end', 300_000, 301_000],
  ['all', 0, 2 ** 30],
] as const) {
  test(`the log opens, and goes on, when ${what} of its newest segment cannot be read`, async () => {
    const disk = new SimDisk();
    const { log, cursors } = await openWritten(disk);
    cursors.open('sink', () => positionOf(0));
    await cursors.save();
    const { last } = log;
    const path = segmentsOf(disk).at(-1)!;
    // As a kill leaves it, with its room.
    const again = disk.restart();
    const size = again.bytesOf(path).length;
    const bad = { path, from, to };
    if (what.startsWith('the room')) Object.assign(bad, { from: size - 1_000, to: size });
    again.badSectors = [bad];
    const opened = await openLog(again, { segmentBytes: 16_384 });
    expect(opened.logger.messages('error').length).toBeGreaterThan(0);
    if (what !== 'all') expect(opened.log.last).toBe(last);
    expect(await opened.log.append(readingsOf(1, 1))).toBe(opened.log.last);
    const entries = await readAll(opened.log);
    expect(entries.at(-1)!.position).toBe(opened.log.last);
    expect(entries.length).toBeGreaterThan(1_000);
    expect(again.badSectors[0]).toBe(bad);
    await opened.log.close();
    const third = await openLog(again.restart(), { segmentBytes: 16_384 });
    expect((await readAll(third.log)).length).toBe(entries.length);
    await third.log.close();
  });
}

test('bad sectors at the end of what was acknowledged are told, not taken for room', async () => {
  const disk = new SimDisk();
  const { log } = await openWritten(disk);
  const path = segmentsOf(disk).at(-1)!;
  const used = Buffer.from(disk.bytesOf(path)).findLastIndex((byte) => byte !== 0) + 1;
  const again = disk.restart();
  again.badSectors = [{ path, from: used - 100, to: 2 ** 30 }];
  const opened = await openLog(again, { segmentBytes: 16_384 });
  expect(opened.log.last).toBeLessThan(log.last);
  expect(opened.logger.messages('error')).toContain(
    'The end of the newest log segment cannot be read; what was there is lost.',
  );
  await opened.log.close();
});

test('cursors that cannot be read are told, and their readers begin as if they were new', async () => {
  const disk = new SimDisk();
  const { log, cursors } = await openWritten(disk);
  cursors.open('sink', () => positionOf(7));
  await cursors.save();
  await log.close();
  const again = disk.restart();
  again.badSectors = [{ path: 'cursors', from: 0, to: 10 }];
  const opened = await openLog(again);
  expect(opened.logger.messages('error')).toContain(
    'The cursors cannot be read; every reader begins as if it were new.',
  );
  expect(opened.cursors.open('sink', () => positionOf(0)).position).toBe(0);
  await opened.log.close();
});

test('a reader waits while there is no descriptor to be had, and goes on', async () => {
  const disk = new SimDisk();
  const { log, clock, logger } = await openWritten(disk);
  const part = disk.readPart.bind(disk);
  let broken = true;
  disk.readPart = (path, offset, length) =>
    broken
      ? Promise.reject(Object.assign(new Error('EMFILE: too many'), { code: 'EMFILE' }))
      : part(path, offset, length);
  const reader = log.reader(positionOf(0));
  const next = watch(reader.next(10, never));
  await clock.advance(3_000);
  expect(next.settled).toBe(false);
  expect(logger.messages('warn').length).toBeLessThan(5);
  broken = false;
  await clock.advance(1_000);
  expect(next.value?.map(numberOf)[0]).toBe(1);
  reader.close();
  await log.close();
});

test('a gateway whose disk has lost a piece of the log goes on, and tells every sink what it lost', async () => {
  const world = new World(3, { tailBytes: 1 });
  await world.start();
  for (const sink of world.sinks) sink.mood = 'refuses';
  for (let i = 0; i < 200; i++) await send(world, 'gh-1', 20);
  const [, path, next] = segmentsOf(world.disk) as [string, string, string];
  world.disk.badSectors = [{ path, from: 0, to: 2 ** 30 }];
  await world.heal();
  world.kill();
  await liveOn(world);
  const recorded = await world.recorded();
  const gaps = recorded.flatMap((each) => (each.type === 'gap' ? [each.data] : []));
  for (const { name, taken } of world.sinks) {
    const lost = gaps.filter(({ reader }) => reader === `${name}/readings`);
    const stretch = { from: firstOf(path), to: firstOf(next) - 1, reason: 'damaged' };
    expect(lost, name).toMatchObject([stretch]);
    expect(readings(taken).length, name).toBeGreaterThan(150);
  }
  expect(world.ended).toBe(undefined);
  await world.stop();
});

/** The next life starts on the same disk, and works. */
async function liveOn(world: World): Promise<void> {
  await world.start();
  await send(world, 'gh-1', 21);
  await world.heal();
}
