/** What is new beside what was missed, at a far side that can do one thing at a time; in simulated time. */
import { expect, test } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import { deliver } from '../../src/flow/deliver.ts';
import { openLane } from '../../src/flow/lane.ts';
import { createReadAhead } from '../../src/flow/read-ahead.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { factTypes, type Sink } from '../../src/sink/sink.ts';
import { numberOf, openLog, positionOf, readingsOf } from '../log/opened.ts';
import type { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';

/** The way there and back, and what the far side takes for each event, one batch after the other. */
const wayMs = 5;
const msPerEvent = 0.01;

/** So many live readings later a backlog has to be gone. */
const drainingMax = 2_000;

interface Taken {
  readonly events: readonly CloudEvent[];
  readonly atMs: number;
}

function createBusySink(clock: SimClock) {
  const taken: Taken[] = [];
  let freeAt = 0;
  const sink: Sink = {
    name: 'busy',
    types: factTypes,
    connect: async () => ({
      async deliver(events, signal) {
        const now = clock.monotonic();
        freeAt = Math.max(now, freeAt) + events.length * msPerEvent;
        await clock.sleep(freeAt - now + wayMs, signal);
        taken.push({ events, atMs: clock.monotonic() });
        return [];
      },
      async close() {},
    }),
  };
  return { sink, taken };
}

/**
 * A lane that is `missed` readings behind, and the sink that it leads to, which has just come back;
 * `whileSplitting` of them come while it becomes durable that those are a backlog.
 */
async function openBehind(missed: number, whileSplitting = 0) {
  const disk = new SimDisk();
  const read = { furthest: 0 };
  const part = disk.readPart.bind(disk);
  disk.readPart = (path, offset, length) => {
    read.furthest = Math.max(read.furthest, offset + length);
    return part(path, offset, length);
  };
  const opened = await openLog(disk);
  const { log, clock, cursors } = opened;
  for (let from = 0; from < missed; from += 1_000) await log.append(readingsOf(from, 1_000));
  const far = createBusySink(clock);
  const cursor = cursors.open('busy/readings', () => positionOf(0));
  const place = openLane(cursor, log.last, async () => {
    for (let n = 0; n < whileSplitting; n++) await log.append(readingsOf(missed + n, 1));
    await cursors.save();
  });
  const stopping = new AbortController();
  const running = deliver(
    {
      sink: far.sink,
      place,
      accepts: ({ type }) => type === 'reading',
      batch: { events: 2_000, bytes: 1 << 20, delayMs: 0 },
      retry: { minMs: 10, maxMs: 100 },
      catchUp: { order: 'liveFirst', behindEvents: 1_000, behindAgeMs: 60_000 },
    },
    { ...opened, gateway: 'test', random: seededRandom(1), readAhead: createReadAhead() },
    stopping.signal,
  ).catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  // What comes before it has seen how far behind it is was missed, too.
  await clock.settle();
  return {
    ...{ log, clock, place, read },
    ...far,
    async stop() {
      stopping.abort(new Error('The test is over.'));
      await running;
      await log.close();
    },
  };
}

type Behind = Awaited<ReturnType<typeof openBehind>>;

/** A reading every 10 ms until there is no backlog, then so many more: how long each took. */
async function liveDelays(behind: Behind, from: number, more: number) {
  const { log, clock, place, taken } = behind;
  const sentAt = new Map<number, number>();
  let draining = 0;
  for (let number = from; number < from + draining + more; number++) {
    sentAt.set(number, clock.monotonic());
    await log.append(readingsOf(number, 1));
    await clock.advance(10);
    if (place.backlog !== undefined) draining++;
    if (draining > drainingMax) throw new Error('The backlog does not drain.');
  }
  await clock.advance(1_000);
  const delays: number[] = [];
  for (const { events, atMs } of taken) {
    for (const event of events) {
      const at = sentAt.get(numberOf(event as never));
      if (at !== undefined) delays[numberOf(event as never) - from] = atMs - at;
    }
  }
  return { draining: delays.slice(0, draining), idle: delays.slice(draining) };
}

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;

test('while a backlog drains 99 of 100 live readings take at most twice as long as without one', async () => {
  const behind = await openBehind(40_000);
  const { draining, idle } = await liveDelays(behind, 40_000, 100);
  expect(draining.length, 'it takes a while').toBeGreaterThan(100);
  expect(draining.length, 'and not for ever').toBeLessThan(600);
  expect(percentile(draining, 0.99)).toBeLessThanOrEqual(2 * percentile(idle, 0.99));
  expect(Math.max(...draining), 'from the first of them on').toBeLessThanOrEqual(3 * wayMs);
  const numbers = behind.taken.flatMap(({ events }) => events.map((e) => numberOf(e as never)));
  const missed = numbers.filter((number) => number < 40_000);
  expect(missed, 'oldest first, each once').toEqual([...Array(40_000).keys()]);
  const live = numbers.filter((number) => number >= 40_000);
  expect(live).toEqual(live.toSorted((a, b) => a - b));
  expect(new Set(live).size).toBe(draining.length + idle.length);
  await behind.stop();
}, 60_000);

test('while nothing new comes a backlog drains in the largest batches', async () => {
  const behind = await openBehind(200_000);
  await behind.clock.advance(3_200);
  expect(behind.place.waiting(behind.log.last)).toBe(0);
  expect(Math.max(...behind.taken.map(({ events }) => events.length))).toBe(2_000);
  await behind.stop();
});

test('what comes while a backlog is set apart is delivered without going through the log for it', async () => {
  const behind = await openBehind(40_000, 20);
  const { log, clock, taken, read } = behind;
  const isThere = () =>
    taken.some(({ events }) => events.some((event) => numberOf(event as never) === 40_019));
  for (let ms = 0; ms < 100 && !isThere(); ms++) await clock.advance(1);
  expect(isThere()).toBe(true);
  expect(read.furthest).toBeLessThan(log.bytes / 2);
  await behind.stop();
});
