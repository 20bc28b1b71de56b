import { expect, test } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import { ageMsOf, createTiming } from '../../src/flow/clock.ts';
import type { Entry } from '../../src/log/log.ts';
import { createBoots } from '../../src/projection/boots.ts';
import { SimClock } from '../sim/clock.ts';
import { World } from '../sim/life.ts';
import { readings, send } from './history-world.ts';

/** A machine without a clock chip starts; its wall clock says 1970. Returns by how much that is wrong. */
function startIn1970(clock: SimClock): number {
  clock.reboot();
  const wrongMs = clock.now() - 10_000;
  clock.jump(-wrongMs);
  clock.clockQuality = 'unsynchronised';
  return wrongMs;
}
function setClock(clock: SimClock, wrongMs: number): void {
  clock.jump(wrongMs);
  clock.clockQuality = 'synchronised';
}
const quality = (event: CloudEvent) => event.extensions?.timequality;

async function worldIn1970(): Promise<{ world: World; wrongMs: number; trueStart: number }> {
  const world = new World(1);
  world.waitForClockMs = 120_000;
  const trueStart = world.clock.now();
  const wrongMs = startIn1970(world.clock);
  await world.start();
  return { world, wrongMs, trueStart };
}

test('what is recorded before the clock is set waits for it, and is delivered with its true time', async () => {
  const { world, wrongMs, trueStart } = await worldIn1970();
  for (const temperature of [20, 21]) {
    await send(world, 'gh-1', temperature);
    await world.clock.advance(5_000);
  }
  const [one] = world.sinks;
  expect(readings(one!.taken)).toEqual([]);
  setClock(world.clock, wrongMs);
  await world.clock.advance(1_500);
  await send(world, 'gh-1', 22);
  await world.heal();
  const taken = readings(one!.taken);
  expect(taken.map(({ data }) => data.fields.temperature)).toEqual([20, 21, 22]);
  expect(taken.map(quality)).toEqual(['corrected', 'corrected', undefined]);
  const recorded = readings(await world.recorded());
  expect(taken.map(({ id }) => id)).toEqual(recorded.map(({ id }) => id));
  expect(new Date(recorded[0]!.time).getUTCFullYear()).toBe(1970);
  taken.forEach(({ time, recordedTime }, index) => {
    const trueTime = trueStart + [0, 5_000, 11_500][index]!;
    expect(Math.abs(time - trueTime), `reading ${index}`).toBeLessThan(100);
    expect(Math.abs(recordedTime - trueTime)).toBeLessThan(100);
  });
  await world.stop();
});

test('a clock that is not set in time keeps nothing back: events go out as they are, and flagged', async () => {
  const { world, wrongMs } = await worldIn1970();
  await send(world, 'gh-1', 20);
  await world.clock.advance(119_000);
  const [one] = world.sinks;
  expect(readings(one!.taken)).toEqual([]);
  await world.clock.advance(2_000);
  expect(readings(one!.taken).map(quality)).toEqual(['unsynchronised']);
  // Nor does anybody wait again in this boot.
  world.kill();
  await world.start();
  await send(world, 'gh-1', 21);
  await world.clock.advance(1_000);
  const told = new Set(readings(one!.taken).map(({ data }) => data.fields.temperature));
  expect(told).toEqual(new Set([20, 21]));
  setClock(world.clock, wrongMs);
  await world.heal();
  await world.stop();
});

test('a clock that was set while the gateway was not running corrects what was recorded before', async () => {
  const { world, wrongMs, trueStart } = await worldIn1970();
  await send(world, 'gh-1', 20);
  world.kill();
  await world.clock.advance(5_000);
  setClock(world.clock, wrongMs);
  await world.start();
  await world.heal();
  const [taken] = readings(world.sinks[0]!.taken);
  expect(quality(taken!)).toBe('corrected');
  expect(Math.abs(taken!.time - trueStart)).toBeLessThan(100);
  await world.stop();
});

test('what an earlier boot could not date goes out flagged; what it could is corrected', async () => {
  const { world, wrongMs, trueStart } = await worldIn1970();
  for (const sink of world.sinks) sink.mood = 'refuses';
  await send(world, 'gh-1', 20);
  setClock(world.clock, wrongMs);
  await world.clock.advance(2_000);
  world.cut();
  startIn1970(world.clock);
  await world.start();
  await send(world, 'gh-1', 21);
  world.cut();
  const again = startIn1970(world.clock);
  await world.start();
  await world.clock.advance(100);
  setClock(world.clock, again);
  await world.heal();
  const taken = readings(world.sinks[0]!.taken);
  expect(taken.map(quality)).toEqual(['corrected', 'unsynchronised']);
  expect(Math.abs(taken[0]!.time - trueStart)).toBeLessThan(100);
  await world.stop();
});

/** A boot that began at `start` by the clock as it was set at position 10, and at 0 before. */
function timingOf(start: number) {
  const clock = new SimClock(start);
  const boots = createBoots();
  const timing = createTiming(boots, { clock, isCurrent: () => true });
  const { boot } = clock;
  const data = { boot, offsetMs: start, reason: 'set' };
  const stamps = { boot, recordedTime: start + 60_000, monotonic: 60_000, clock: 'unknown' };
  timing.step({ ...stamps, type: 'clock', position: 10, data } as unknown as Entry);
  const reading = (more: Partial<Entry>) =>
    ({ boot, position: 5, type: 'reading', clock: 'unsynchronised', ...more }) as Entry;
  return { correct: (more: Partial<Entry>) => timing.correct([reading(more)])[0]!, reading };
}
const start = Date.UTC(2026, 10, 20);

test('a time that a device gave is left alone, unless it is as absurd as ours', () => {
  const { correct } = timingOf(start);
  const recorded = { recordedTime: 2_000, monotonic: 2_000 };
  const given = correct({ ...recorded, time: start - 3_600_000 });
  expect([given.time, given.recordedTime]).toEqual([start - 3_600_000, start + 2_000]);
  expect(correct({ ...recorded, time: 1_990 }).time).toBe(start + 1_990);
  // It waited for room on the disk.
  expect(correct({ ...recorded, time: 30, recordedTime: 50_000, monotonic: 50_000 }).time).toBe(
    start + 30,
  );
});

test('what came in before the clock was set and was recorded after it is dated, too', () => {
  const { correct } = timingOf(start);
  const late = correct({
    ...{ position: 11 as Entry['position'], clock: 'unknown', time: 59_000 },
    ...{ recordedTime: start + 60_500, monotonic: 60_500 },
  });
  expect([late.time, quality(late)]).toEqual([start + 59_000, 'corrected']);
});

test('what is dated already is handed on as it is, without a copy', () => {
  const { reading } = timingOf(start);
  const timing = createTiming(createBoots(), { clock: new SimClock(), isCurrent: () => true });
  const entries = [reading({ clock: 'synchronised', time: start, recordedTime: start })];
  expect(timing.correct(entries)).toBe(entries);
});

test('an alert says since when, by the clock as it was set later', async () => {
  const { world, wrongMs, trueStart } = await worldIn1970();
  await send(world, 'gh-1', 31);
  await world.clock.advance(1_000);
  setClock(world.clock, wrongMs);
  await world.heal();
  const alert = world.sinks[0]!.taken.find(({ type }) => type === 'alert') as CloudEvent<'alert'>;
  expect(Math.abs(alert.time - trueStart)).toBeLessThan(100);
  expect(Math.abs(Date.parse(alert.data.since) - trueStart)).toBeLessThan(100);
  await world.stop();
});

test('steps of the clock change no order, lose nothing, fire no rule, and are on record', async () => {
  const world = new World(1);
  await world.start();
  const jumps = [0, 3_600_000, -7_200_000, 86_400_000 * 400, -86_400_000 * 400];
  for (const [index, jump] of jumps.entries()) {
    world.clock.jump(jump);
    await send(world, 'gh-1', index % 2 === 0 ? 31 : 29);
    await world.clock.advance(11_000);
  }
  await world.heal();
  const taken = readings(world.sinks[0]!.taken);
  expect(taken.map(({ data }) => data.fields.seq)).toEqual([0, 1, 2, 3, 4]);
  const recorded = await world.recorded();
  const clocks = recorded.filter(({ type }) => type === 'clock') as CloudEvent<'clock'>[];
  expect(clocks.map(({ data }) => data.offsetMs)).toEqual(jumps.slice(1));
  const long = recorded.filter((e) => e.type === 'alert' && e.data.rule === 'hot-for-long');
  expect(long).toEqual([]);
  await world.stop();
});

test('age is measured by the monotonic clock within a boot, and never guessed', () => {
  const clock = new SimClock();
  const entry = (more: Partial<Entry>): Entry =>
    ({
      boot: clock.boot,
      monotonic: 0,
      recordedTime: clock.now(),
      clock: 'synchronised',
      ...more,
    }) as Entry;
  const before = entry({});
  const other = entry({ boot: 'other' });
  const undated = entry({ boot: 'other', recordedTime: 5, clock: 'unsynchronised' });
  clock.jump(86_400_000);
  expect(ageMsOf(before, clock)).toBe(0);
  expect(ageMsOf(other, clock)).toBe(86_400_000);
  expect(ageMsOf(undated, clock)).toBe(0);
  clock.clockQuality = 'unsynchronised';
  expect(ageMsOf(other, clock)).toBe(0);
  clock.jump(-2 * 86_400_000);
  expect(ageMsOf(before, clock)).toBe(0);
});
