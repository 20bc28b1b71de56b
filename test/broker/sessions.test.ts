import { expect, test } from 'vitest';
import { Incoming } from '../../src/broker/incoming.ts';

test('packet identifiers that are open take one bit each', () => {
  const incoming = new Incoming();
  for (let id = 1; id <= 65_535; id++) expect(incoming.arrive(id, false)).toBe(true);
  expect(incoming.count).toBe(65_535);
  expect(incoming.arrive(40_000, false)).toBe(false);
  for (let id = 1; id <= 65_535; id++) expect(incoming.release(id)).toBe(true);
  expect([incoming.count, incoming.release(1)]).toEqual([0, false]);
  expect(incoming.arrive(40_000, false)).toBe(true);
});
