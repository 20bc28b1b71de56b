import { expect, test } from 'vitest';
import { createBatchSize, createGiveWay, createPace } from '../../src/flow/catch-up.ts';
import { SimClock } from '../sim/clock.ts';

/** Delivers batches that take `fixedMs` and so much for every event; resolves the size in the end. */
function settledSize(fixedMs: number, msPerEvent: number, rate?: number): number {
  const size = createBatchSize(5_000, rate);
  for (let n = 0; n < 100; n++) size.took(size.events, fixedMs + size.events * msPerEvent);
  return size.events;
}

test('a backlog goes out in small batches where the processor is what takes time', () => {
  expect(settledSize(0.5, 0.01)).toBe(250);
});

test('a backlog goes out in large batches where the way there and back is what takes time', () => {
  expect(settledSize(40, 0.01)).toBeGreaterThanOrEqual(2_000);
  expect(settledSize(40, 0.0001)).toBe(5_000);
  expect(settledSize(500, 0.2)).toBe(1_000);
});

test('a batch is no more than a tenth of what the rate allows in a second', () => {
  expect(settledSize(40, 0.01, 1_000)).toBe(100);
  expect(settledSize(40, 0.01, 3)).toBe(1);
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
  const giveWay = createGiveWay(clock);
  const never = new AbortController().signal;
  await giveWay.rest(4, never);
  giveWay.live();
  let rested = false;
  const rest = giveWay.rest(4, never).then(() => {
    rested = true;
  });
  await clock.settle();
  expect(rested).toBe(false);
  await clock.advance(7);
  expect(rested).toBe(false);
  await clock.advance(1);
  await rest;
  await clock.advance(2_000);
  await giveWay.rest(4, never);
});
