import { expect, test } from 'vitest';
import { createBatchSize, createGiveWay, createPace } from '../../src/flow/catch-up.ts';
import { watch } from '../log/opened.ts';
import { SimClock } from '../sim/clock.ts';

/** The size in the end, when a live batch takes `aloneMs`, and beside the backlog so much more. */
function settledSize(aloneMs: number, msPerEvent: number, rate?: number): number {
  const size = createBatchSize(5_000, rate, () => true);
  for (let n = 0; n < 800; n++) {
    size.liveTook(aloneMs, false);
    size.liveTook(aloneMs + size.events * msPerEvent, true);
  }
  return size.events;
}

test('beside live delivery a backlog goes out in batches that slow it down by no more than half', () => {
  const size = settledSize(10, 0.03);
  expect(size * 0.03).toBeGreaterThan(2.5);
  expect(size * 0.03).toBeLessThan(7.5);
  expect(settledSize(0.1, 0.5), 'it never stops').toBe(100);
});

test('a few live batches that somebody else makes slow change nothing', () => {
  const size = createBatchSize(5_000, undefined, () => true);
  for (let n = 0; n < 800; n++) {
    size.liveTook(20, false);
    size.liveTook(n % 8 === 0 ? 500 : 20 + size.events * 0.001, true);
  }
  expect(size.events).toBe(250);
});

test('where the way there and back is what takes time the batches become large', () => {
  expect(settledSize(100, 0.0001)).toBe(250);
});

test('without live delivery a backlog goes out in the largest batches', () => {
  expect(createBatchSize(5_000, undefined, () => false).events).toBe(5_000);
});

test('a batch is no more than a tenth of what the rate allows in a second', () => {
  expect(settledSize(100, 0.0001, 1_000)).toBe(100);
  expect(settledSize(100, 0.0001, 3)).toBe(1);
  expect(createBatchSize(5_000, 300, () => false).events).toBe(30);
});

test('a pace lets through what it says, however large the pieces are', async () => {
  const clock = new SimClock();
  const pace = createPace(100, clock);
  const never = new AbortController().signal;
  let passed = 0;
  const run = async (): Promise<void> => {
    for (;;) {
      await pace(10, never);
      passed += 10;
    }
  };
  void run();
  await clock.advance(10_000);
  expect(passed).toBeGreaterThanOrEqual(1_000);
  expect(passed).toBeLessThanOrEqual(1_020);
});

test('a backlog rests only while live delivery goes on', async () => {
  const clock = new SimClock();
  const giveWay = createGiveWay(clock, () => false);
  const never = new AbortController().signal;
  giveWay.backlogEnds(4);
  await giveWay.rest(never);
  giveWay.liveBegins();
  let rested = false;
  const rest = giveWay.rest(never).then(() => {
    rested = true;
  });
  await clock.settle();
  expect(rested).toBe(false);
  await clock.advance(11);
  expect(rested).toBe(false);
  await clock.advance(1);
  await rest;
  await clock.advance(12_000);
  await giveWay.rest(never);
});

test('a live batch has met the backlog when some of that was under way as it went out', () => {
  const giveWay = createGiveWay(new SimClock(), () => false);
  const met = (between: () => void): boolean => {
    giveWay.liveBegins();
    between();
    return giveWay.liveEnds();
  };
  // To count this, too, would leave only the quickest among those that met nothing.
  expect(met(() => giveWay.backlogBegins())).toBe(false);
  expect(met(() => giveWay.backlogEnds(1))).toBe(true);
  expect(met(() => undefined)).toBe(false);
});

test('a backlog lets go first what is new, for as long as that may take', async () => {
  const clock = new SimClock();
  let isPending = true;
  const giveWay = createGiveWay(clock, () => isPending);
  const never = new AbortController().signal;
  giveWay.liveBegins();
  const rested = watch(giveWay.rest(never));
  await clock.advance(5);
  expect(rested.settled).toBe(false);
  isPending = false;
  await clock.advance(1);
  expect(rested.settled).toBe(true);
  isPending = true;
  const again = watch(giveWay.rest(never));
  await clock.advance(9);
  expect(again.settled, 'nobody waits for ever').toBe(false);
  await clock.advance(2);
  expect(again.settled).toBe(true);
});

test('a backlog that arises expects something new for a quarter of a second, and nothing after that', async () => {
  const clock = new SimClock();
  await clock.advance(60_000);
  const giveWay = createGiveWay(clock, () => false);
  expect(giveWay.isLive()).toBe(false);
  giveWay.backlogArises();
  expect(giveWay.isLive()).toBe(true);
  await clock.advance(251);
  expect(giveWay.isLive()).toBe(false);
});
