import { expect, test } from 'vitest';
import { createReadAhead } from '../../src/flow/read-ahead.ts';

test('who is not behind is not bounded, whoever else is', () => {
  const readAhead = createReadAhead();
  const [one, other] = [readAhead.open(), readAhead.open()];
  one.isBehind = true;
  expect(other.events).toBe(Number.POSITIVE_INFINITY);
});

test('one takes so much at once, several half of it together, however many they are', () => {
  const readAhead = createReadAhead();
  const places = Array.from({ length: 10 }, () => readAhead.open());
  for (const [index, place] of places.entries()) {
    place.isBehind = true;
    place.isBehind = true;
    const together = places.slice(0, index + 1).reduce((sum, each) => sum + each.events, 0);
    const most = index === 0 ? 2_000 : 1_000;
    expect(together).toBeLessThanOrEqual(most);
    expect(together).toBeGreaterThan(0.95 * most);
  }
});

test('what one leaves the others have', () => {
  const readAhead = createReadAhead();
  const places = Array.from({ length: 4 }, () => readAhead.open());
  for (const place of places) place.isBehind = true;
  expect(places[0]!.events).toBe(250);
  places[1]!.isBehind = false;
  places[2]!.close();
  expect(places[0]!.events).toBe(500);
  places[3]!.isBehind = false;
  expect(places[0]!.events).toBe(2_000);
});
