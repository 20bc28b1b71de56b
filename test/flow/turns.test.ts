import { expect, test } from 'vitest';
import { createTiming, withTiming } from '../../src/flow/clock.ts';
import { openGathering } from '../../src/flow/follow.ts';
import type { Entry } from '../../src/log/log.ts';
import { createBoots } from '../../src/projection/boots.ts';
import { openLog, positionOf, readAll, readingsOf, watch } from '../log/opened.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { createSimSink } from '../sim/sink.ts';
import { endless } from '../sink/parts.ts';

/** Every look at it takes a millisecond; who sleeps is noted. */
class BusyClock extends SimClock {
  readonly slept: number[] = [];
  private passed = 0;
  override monotonic(): number {
    return ++this.passed;
  }
  override async sleep(ms: number): Promise<void> {
    this.slept.push(ms);
    this.passed += ms;
  }
}

/** How long whoever reads so many entries from the disk sleeps in between. */
async function sleptOver(count: number, accepts: (entry: Entry) => boolean): Promise<number[]> {
  const disk = new SimDisk();
  const first = await openLog(disk);
  for (let from = 0; from < count; from += 100) await first.log.append(readingsOf(from, 100));
  await first.log.close();
  const { log } = await openLog(disk);
  const clock = new BusyClock();
  const options = { signal: endless, clock, accepts, batchSize: { events: 50 } };
  const gathering = openGathering(log, positionOf(0), count, options);
  for (let position = 0; position < count; ) position = (await gathering.next()).position;
  gathering.close();
  await log.close();
  return clock.slept;
}

test('who wants nothing of a long backlog rests as long as going through it takes', async () => {
  const slept = await sleptOver(5_000, () => false);
  const restedMs = slept.reduce((sum, ms) => sum + ms, 0);
  expect(slept.length).toBeGreaterThan(20);
  expect(restedMs).toBeGreaterThanOrEqual(2 * slept.length);
});

test('who wants what is in a backlog lets others have a turn, and does not rest', async () => {
  const slept = await sleptOver(5_000, () => true);
  expect(slept.length).toBeGreaterThan(20);
  expect(slept.every((ms) => ms === 0)).toBe(true);
});

test('a sink that takes several batches at once is given them, in order, though one waits for the clock', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  await log.append(readingsOf(0, 4));
  const entries = await readAll(log);
  await log.close();
  const undated = entries.slice(0, 2).map((each): Entry => ({ ...each, clock: 'unsynchronised' }));
  const timing = createTiming(createBoots(), { clock, isCurrent: () => true });
  const sink = createSimSink('one', { depth: 2 });
  const connection = await withTiming(sink, timing).connect(endless);
  expect(connection.depth).toBe(2);
  const batches = [undated, entries.slice(2)].map((each) => connection.deliver(each, endless));
  const states = batches.map(watch);
  await clock.settle();
  expect(states.map(({ settled }) => settled)).toEqual([false, false]);
  timing.giveUp();
  await Promise.all(batches);
  expect(sink.taken.map(({ id }) => id)).toEqual(entries.map(({ id }) => id));
});
