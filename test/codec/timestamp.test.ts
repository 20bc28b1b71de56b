import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type TimeUnit, timestampMsOf } from '../../src/codec/timestamp.ts';

const at = Date.UTC(2026, 10, 20, 12, 0, 0, 123);

test.each<[unknown, TimeUnit, number]>([
  [1795176000.123, 's', at],
  [1795176000123, 'ms', at],
  [1795176000123000, 'us', at],
  [1795176000123456789n, 'ns', at],
  [1795176000.123, 'auto', at],
  [1795176000123, 'auto', at],
  [1795176000123456, 'auto', at],
  [1795176000123456789n, 'auto', at],
  ['1795176000123', 'auto', at],
  ['1795176000', 's', at - 123],
  ['2026-11-20T12:00:00.123Z', 'auto', at],
  ['2026-11-20t12:00:00.123999z', 'iso', at],
  ['2026-11-20 12:00:00,123', 'iso', at],
  ['2026-11-20T13:30:00.123+01:30', 'iso', at],
  ['2026-11-20T07:00:00.123-0500', 'iso', at],
  ['2026-11-20T12:00', 'iso', at - 123],
  ['2026-11-20', 'iso', Date.UTC(2026, 10, 20)],
  ['2024-02-29T23:59:60Z', 'iso', Date.UTC(2024, 2, 1)],
  [1.61, 's', 1610],
])('%s in %s is a time', (claim, unit, ms) => {
  expect(timestampMsOf(claim, unit)).toBe(ms);
});

test.each<[unknown, TimeUnit]>([
  ['yesterday', 'auto'],
  ['', 'auto'],
  ['2026-02-29', 'iso'],
  ['2026-13-01', 'iso'],
  ['2026-00-01', 'iso'],
  ['2026-11-31', 'iso'],
  ['2026-11-20T24:00:01Z', 'iso'],
  ['2026-11-20T12:60:00Z', 'iso'],
  ['0000-01-01', 'iso'],
  ['2026-11-20T12:00:00Z', 'ms'],
  [at, 'iso'],
  [true, 'auto'],
  [null, 'auto'],
  [{ seconds: 1 }, 'auto'],
])('%j in %s is none', (claim, unit) => {
  expect(timestampMsOf(claim, unit)).toBeNaN();
});

const date = fc.date({
  min: new Date('1900-01-01T00:00:00Z'),
  max: new Date('2199-12-31T23:59:59Z'),
  noInvalidDate: true,
});

test('every moment reads back from its RFC 3339 text, in any zone, whatever was read before', () => {
  const zone = fc.integer({ min: -14 * 60, max: 14 * 60 });
  fc.assert(
    fc.property(fc.array(fc.tuple(date, fc.option(zone)), { minLength: 1 }), (moments) => {
      for (const [moment, minutes] of moments) {
        const ms = moment.getTime();
        expect(timestampMsOf(textIn(ms, minutes), 'auto')).toBe(ms);
        // Twice, since a second time of the same day is read another way.
        expect(timestampMsOf(textIn(ms, null), 'auto')).toBe(ms);
      }
    }),
  );
});

function textIn(ms: number, zoneMinutes: number | null): string {
  if (zoneMinutes === null) return new Date(ms).toISOString();
  const local = new Date(ms + zoneMinutes * 60_000).toISOString().slice(0, -1);
  const size = Math.abs(zoneMinutes);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${local}${zoneMinutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

test('a damaged time is read as the same on the day of another, and on its own', () => {
  const damaged = fc
    .tuple(date, fc.nat({ max: 25 }), fc.constantFrom(...'0129:/-TZ. ', ''))
    .map(([moment, place, put]) => {
      const text = moment.toISOString();
      return { day: text, text: text.slice(0, place) + put + text.slice(place + 1) };
    });
  fc.assert(
    fc.property(damaged, ({ day, text }) => {
      timestampMsOf('1999-01-01T00:00:00Z', 'iso');
      const alone = timestampMsOf(text, 'iso');
      timestampMsOf(day, 'iso');
      expect(timestampMsOf(text, 'iso')).toBe(alone);
    }),
    { numRuns: 2_000 },
  );
});
