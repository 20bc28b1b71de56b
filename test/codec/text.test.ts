import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseText, textCodec } from '../../src/codec/text.ts';
import { beginningOf, textOf } from '../../src/codec/utf8.ts';

test('what the text codec encodes, it decodes to the same', () => {
  const unit = fc.constantFrom('°C', '%', 'kWh', 'm/s', 'µg/m³', 'V');
  const number = fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((n) => !Object.is(n, -0) && Math.abs(n) < 1e15);
  const whole = fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n });
  const value = fc.oneof(number, whole);
  const document = fc.oneof(value, fc.boolean(), fc.record({ value, unit }));
  fc.assert(
    fc.property(document, (node) => {
      expect(textCodec.decode(textCodec.encode(node))).toEqual(node);
    }),
  );
});

test.each([
  ['21.5', 21.5],
  ['+3', 3],
  ['-0.5e-3', -0.0005],
  ['21.5C', { value: 21.5, unit: 'C' }],
  ['1013 hPa', { value: 1013, unit: 'hPa' }],
  ['9.81 m/s²', { value: 9.81, unit: 'm/s²' }],
  ['007', '007'],
  ['1.', '1.'],
  ['.5', '.5'],
  ['00158d00018255df', '00158d00018255df'],
  ['12-34', '12-34'],
  ['3 red apples', '3 red apples'],
  ['10 20', '10 20'],
  ['True', true],
  ['OFF', 'OFF'],
  ['null', 'null'],
])('%j reads as %j', (text, document) => {
  expect(parseText(text)).toEqual(document);
});

test('the byte that is named is the first that belongs to no character', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.constantFrom([0xff], [0xc0, 0x80], [0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82, 0x41]),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      (before, bad, after) => {
        const start = Buffer.from(before);
        const bytes = Buffer.concat([start, Buffer.from(bad), Buffer.from(after)]);
        expect(() => textOf(bytes)).toThrow(`byte ${start.length + 1} is out of place`);
      },
    ),
  );
});

test('a replacement character that was sent as such is text', () => {
  expect(textOf(Buffer.from('a\ufffdb'))).toBe('a\ufffdb');
});

test('the beginning of a text ends with a whole character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat({ max: 40 }), (text, bytesMax) => {
      const kept = beginningOf(Buffer.from(text), bytesMax);
      expect(kept.length).toBeLessThanOrEqual(bytesMax);
      expect(text.startsWith(textOf(kept))).toBe(true);
      if (bytesMax < Buffer.byteLength(text)) expect(kept.length).toBeGreaterThan(bytesMax - 4);
    }),
  );
});
