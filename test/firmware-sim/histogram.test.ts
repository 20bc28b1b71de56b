import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHistogram } from '../../firmware-sim/histogram.ts';

test('a percentile is within 1.6 % (or a microsecond) above the true one', () => {
  const durations = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const histogram = createHistogram();
      for (const value of values) histogram.record(value);
      const sorted = values.toSorted((a, b) => a - b);
      const exact = sorted[Math.max(0, Math.ceil(share * values.length) - 1)]!;
      const answer = histogram.percentileMs(share);
      expect(answer).toBeGreaterThanOrEqual(exact - 0.001);
      expect(answer).toBeLessThanOrEqual(exact * 1.016 + 0.001);
      expect(histogram.count).toBe(values.length);
      expect(histogram.maxMs).toBe(sorted.at(-1));
    }),
  );
});

test('nothing recorded is nothing, and what is out of range is kept at the edge', () => {
  const histogram = createHistogram();
  expect(histogram.percentileMs(0.99)).toBe(0);
  histogram.record(-5);
  histogram.record(1e300);
  expect(histogram.count).toBe(2);
  expect(histogram.percentileMs(0)).toBe(0);
  expect(histogram.percentileMs(1)).toBeGreaterThan(2e9);
});
