import { expect, test } from 'vitest';
import { createReadAhead } from '../../src/flow/read-ahead.ts';

test('who is not behind is not bounded, whoever else is', () => {
  const readAhead = createReadAhead();
  const [one, other] = [readAhead.open(), readAhead.open()];
  one.isBehind = true;
  expect(other.events).toBe(Number.POSITIVE_INFINITY);
});

test('however many are behind, together they take so much at once', () => {
  const readAhead = createReadAhead();
  const places = Array.from({ length: 12 }, () => readAhead.open());
  for (const [index, place] of places.entries()) {
    place.isBehind = true;
    place.isBehind = true;
    const together = places.slice(0, index + 1).reduce((sum, each) => sum + each.events, 0);
    expect(together).toBeLessThanOrEqual(2_000);
    expect(together).toBeGreaterThan(1_900);
  }
});

test('what one leaves the others have', () => {
  const readAhead = createReadAhead();
  const places = Array.from({ length: 4 }, () => readAhead.open());
  for (const place of places) place.isBehind = true;
  expect(places[0]!.events).toBe(500);
  places[1]!.isBehind = false;
  places[2]!.close();
  expect(places[0]!.events).toBe(1_000);
});
