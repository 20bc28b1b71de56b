import fc from 'fast-check';
import { expect, test } from 'vitest';
import { numberText } from '../../src/event/number-text.ts';

const thousandths = fc
  .integer({ min: -2_000_000_000_000, max: 2_000_000_000_000 })
  .map((n) => n / 1_000);
const neighbours = thousandths.map((value) => value * (1 + Number.EPSILON));

test('any number is written as JavaScript writes it', () => {
  const any = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), thousandths, neighbours);
  fc.assert(
    fc.property(any, (value) => {
      expect(numberText(value)).toBe(`${value}`);
    }),
    { numRuns: 20_000 },
  );
});

test('so are the numbers at the ends of what is written quickly', () => {
  const ends = [0, -0, 0.001, 0.0005, 0.999, 0.9999, 999, 999.999, 1_000, 999_999.999, 1e6, 1e9];
  const all = ends.flatMap((value) => [value, -value, value - 0.001, value + 0.001]);
  for (const value of [...all, Number.NaN, Infinity, -Infinity, 5e-324, 0.1 + 0.2]) {
    expect(numberText(value)).toBe(`${value}`);
  }
});
