import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cborCodec } from '../../src/codec/cbor.ts';
import type { Codec, Document } from '../../src/codec/codec.ts';
import { unpacked, unpackedBytesMax, unpacking } from '../../src/codec/content-encoding.ts';
import { halfBitsOf, halfOf } from '../../src/codec/half.ts';
import { type CodecChoice, codecChoice, createCodec } from '../../src/codec/index.ts';
import { createScale } from '../../src/codec/scale.ts';

const codecOf = (choice: object | string): Codec =>
  createCodec(codecChoice.parse(choice) as CodecChoice);

/** What a codec encodes, it decodes to the same. */
function keeps(codec: Codec, documents: fc.Arbitrary<Document>, numRuns = 300): void {
  fc.assert(
    fc.property(documents, (document) => {
      expect(codec.decode(codec.encode(document))).toEqual(document);
    }),
    { numRuns },
  );
}

const big = fc.oneof(
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
);
const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const text = fc.string({ unit: 'grapheme' });

test('CBOR keeps every document', () => {
  const leaf = fc.oneof(finite, fc.integer(), big, fc.boolean(), text, fc.constant(null));
  const { node } = fc.letrec<{ node: Document }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('node'), { maxLength: 5 }),
      fc.dictionary(fc.string(), tie('node'), { maxKeys: 5, noNullPrototype: true }),
    ),
  }));
  keeps(cborCodec, node, 1_000);
});

/** RFC 8949, appendix A: what is encoded as in the specification. */
const appendixA: readonly (readonly [hex: string, value: Document])[] = [
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['1903e8', 1000],
  ['1a000f4240', 1_000_000],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['1bffffffffffffffff', 18446744073709551615n],
  ['20', -1],
  ['3863', -100],
  ['3903e7', -1000],
  ['f98000', -0],
  ['f93c00', 1],
  ['fb3ff199999999999a', 1.1],
  ['f93e00', 1.5],
  ['f97bff', 65504],
  ['fa47c35000', 100_000],
  ['fa7f7fffff', 3.4028234663852886e38],
  ['fb7e37e43c8800759c', 1.0e300],
  ['f90001', 2 ** -24],
  ['f90400', 0.00006103515625],
  ['f9c400', -4],
  ['fbc010666666666666', -4.1],
  ['f97c00', null],
  ['f97e00', null],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['f7', null],
  ['c074323031332d30332d32315432303a30343a30305a', '2013-03-21T20:04:00Z'],
  ['c11a514b67b0', 1363896240],
  ['c1fb41d452d9ec200000', 1363896240.5],
  ['d74401020304', '01020304'],
  ['d818456449455446', 'ZElFVEY='],
  ['d82076687474703a2f2f7777772e6578616d706c652e636f6d', 'http://www.example.com'],
  ['40', ''],
  ['4401020304', 'AQIDBA=='],
  ['62c3bc', 'ü'],
  ['64f0908591', '𐅑'],
  ['83010203', [1, 2, 3]],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['a201020304', { 1: 2, 3: 4 }],
  ['a26161016162820203', { a: 1, b: [2, 3] }],
  ['5f42010243030405ff', 'AQIDBAU='],
  ['7f657374726561646d696e67ff', 'streaming'],
  ['9fff', []],
  ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
  ['bf6346756ef563416d7421ff', { Fun: true, Amt: -2 }],
  ['c249010000000000000000', 2 ** 64],
  ['3bffffffffffffffff', -(2 ** 64)],
  ['c48221196ab3', 273.15],
  ['c5822003', 1.5],
  ['d9d9f7a1616101', { a: 1 }],
];
test.each(appendixA)('the CBOR %s of RFC 8949 is what it says there', (hex, value) => {
  expect(cborCodec.decode(Buffer.from(hex, 'hex'))).toEqual(value);
});

test('CBOR is written in its shortest form, keys in order', () => {
  const hexOf = (document: Document) => Buffer.from(cborCodec.encode(document)).toString('hex');
  for (const [hex, value] of appendixA) {
    const isPreferred = /^(0|1|2|3[89b]|f9(3e|00|04)|fb|fa7|f[45]|[46]2|8)/.test(hex);
    if (isPreferred && hex !== '3bffffffffffffffff') expect(hexOf(value), hex).toBe(hex);
  }
  expect(hexOf({ bb: 1, a: 2, 10: 3 })).toBe('a36161026231300362626201');
});

test('half floats are those of IEEE 754, all 65,536', () => {
  for (let bits = 0; bits < 65_536; bits++) {
    const number = halfOf(bits);
    if (!Number.isNaN(number)) expect(halfBitsOf(number)).toBe(bits);
  }
});

const name = fc
  .string({ unit: 'grapheme', minLength: 1 })
  .filter((each) => !/^[\s#]|[\n\r]|\\$/.test(each) && each !== '__proto__');
const record = (value: fc.Arbitrary<Document>) =>
  fc.dictionary(name, value, { minKeys: 1, maxKeys: 6, noNullPrototype: true });

test('line protocol keeps measurements, tags, types and times', () => {
  const integer = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n });
  const value = fc.oneof(finite, integer, fc.boolean(), text);
  const tags = fc.dictionary(name, name, { maxKeys: 4, noNullPrototype: true });
  const time = fc.oneof(fc.integer({ min: 0 }), fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }));
  const whole = { measurement: name, tags, fields: record(value) };
  const point = fc.oneof(fc.record(whole), fc.record({ ...whole, time }));
  keeps(codecOf('line-protocol'), fc.array(point, { minLength: 1, maxLength: 4 }), 1_000);
});

test('SenML keeps resolved records, in JSON and in CBOR', () => {
  const base = { n: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9:./_-]{0,30}$/) };
  const number = fc.oneof(
    finite.filter((n) => Math.abs(n) < 2 ** 53),
    fc.integer(),
  );
  const plain = number.filter((n) => !Object.is(n, -0));
  const t = plain.filter((n) => n !== 0);
  const of = fc.oneof(
    fc.record({ ...base, v: plain, u: text, t }),
    fc.record({ ...base, vs: text, t }),
    fc.record({ ...base, vb: fc.boolean() }),
    fc.record({ ...base, v: plain, s: plain, ut: plain }),
    fc.record({ ...base, vd: fc.uint8Array().map((b) => Buffer.from(b).toString('base64url')) }),
  );
  const pack = fc.array(of, { minLength: 1, maxLength: 5 });
  keeps(codecOf('senml'), pack);
  keeps(codecOf({ kind: 'senml', format: 'cbor' }), pack);
});

test('the resolved records of a SenML pack are of the same devices and fields as the pack', () => {
  const senml = codecOf('senml');
  const bn = fc.constantFrom(
    'urn:dev:ow:10e2073a01080063:',
    'urn:dev:mac:0024befffe804ff1/',
    'https://example.com/room/',
    '2001:db8::2/',
    '/3303/0/',
  );
  const n = fc.constantFrom('temp', 'humidity', '5700');
  const measured = fc.record({ n, v: fc.integer(), t: fc.integer({ min: -99, max: 0 }) });
  fc.assert(
    fc.property(fc.array(fc.tuple(bn, measured), { minLength: 1 }), (records) => {
      const pack = records.map(([base, each]) => ({ bn: base, bt: 1_795_176_000, ...each }));
      const bytes = Buffer.from(JSON.stringify(pack));
      const resolved = senml.encode(senml.decode(bytes));
      expect(senml.find!(resolved, '', 0)).toEqual(senml.find!(bytes, '', 0));
    }),
  );
});

describe.each([
  ['as it comes', 'csv'],
  ['with ; and a decimal comma', { kind: 'csv', delimiter: ';', decimal: ',' }],
  ['with tabs and single quotes', { kind: 'csv', delimiter: '\t', quote: "'" }],
])('CSV %s', (_, choice) => {
  test('keeps rows of numbers, booleans and texts', () => {
    const word = text.filter(
      (each) => /^\S.*[a-z]$/i.test(each) && !/^(nan|null|true|false)$/i.test(each),
    );
    const number = finite.filter(
      (n) => !Object.is(n, -0) && !/e[+-]\d{4}|^-?\d{16,}$/.test(`${n}`),
    );
    const columns = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z ,;"']{0,5}[a-z]$/), {
      minLength: 1,
      maxLength: 4,
    });
    const rows = columns.chain((names) => {
      const value = fc.oneof(number, big, fc.boolean(), word);
      const row = fc.record(Object.fromEntries(names.map((each) => [each, value])));
      return fc.array(row, { minLength: 1, maxLength: 4 });
    });
    keeps(codecOf(choice), rows);
  });
});

const layout = [
  { name: 'u8', type: 'u8' },
  { name: 'i24', type: 'i24', endian: 'little' },
  { name: 'u64', type: 'u64' },
  { name: 'scaled', type: 'i16', scale: 0.01, add: -40 },
  { name: 'f32', type: 'f32' },
  { name: 'f64', type: 'f64', endian: 'little' },
  { name: 'flag', type: 'bits' },
  { name: 'mode', type: 'bits', bits: 3, enum: { 0: 'off', 5: 'on' } },
  { name: 'step', type: 'bits', bits: 12, signed: true },
  { name: 'digits', type: 'bcd', length: 3 },
  { name: 'word', type: 'ascii', length: 6 },
  { name: 'id', type: 'hex', length: 2 },
];
const row = fc.record({
  u8: fc.nat(255),
  i24: fc.integer({ min: -(2 ** 23), max: 2 ** 23 - 1 }),
  u64: fc.oneof(fc.nat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })),
  scaled: fc.integer({ min: -32_768, max: 32_767 }).map((raw) => (raw - 4_000) / 100),
  f32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  f64: finite,
  flag: fc.boolean(),
  mode: fc.constantFrom('off', 'on', 3),
  step: fc.integer({ min: -2_048, max: 2_047 }),
  digits: fc.nat(999_999),
  word: fc.stringMatching(/^[a-z]{0,6}$/),
  id: fc.stringMatching(/^[0-9a-f]{4}$/),
});

test('bytes keep every type of a layout, one record or many', () => {
  keeps(codecOf({ kind: 'bytes', layout }), row);
  keeps(codecOf({ kind: 'bytes', layout, repeat: true }), fc.array(row, { minLength: 1 }));
  const inJson = fc.record({ port: fc.nat(), data: row });
  keeps(codecOf({ kind: 'bytes', layout, path: 'data' }), inJson);
  keeps(codecOf({ kind: 'bytes', layout, input: 'hex' }), row);
});

test('bits are counted from the highest in big, from the lowest in little endian', () => {
  const bits = (endian: string, ...counts: number[]) => {
    const fields = counts.map((count, n) => ({
      name: `b${n}`,
      type: 'bits',
      bits: count,
      scale: 1,
    }));
    const codec = codecOf({ kind: 'bytes', endian, layout: fields });
    return Object.values(codec.decode(Buffer.of(0b1010_0101, 0b1100_0011)) as object);
  };
  expect(bits('big', 3, 7, 6)).toEqual([0b101, 0b0010111, 0b000011]);
  expect(bits('little', 3, 7, 6)).toEqual([0b101, 0b1110100, 0b110000]);
});

test('scaled numbers are those that a person would write', () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), fc.nat(4), (raw, decimals) => {
      const { of } = createScale(Number(`1e-${decimals}`), -40);
      expect(`${of(raw)}`).toBe(`${Number((raw / 10 ** decimals - 40).toFixed(decimals))}`);
    }),
  );
  expect(createScale(0.1, 0).of(3)).toBe(0.3);
  expect(0.1 * 3).not.toBe(0.3);
});

test('Cayenne LPP keeps every type', () => {
  const tenths = (min: number, max: number, steps: number) =>
    fc.integer({ min, max }).map((raw) => raw / steps);
  const i16 = [-32_768, 32_767] as const;
  keeps(
    codecOf({ kind: 'bytes', layout: 'cayenne' }),
    fc.record({
      digital_in_0: fc.nat(255),
      analog_in_255: tenths(...i16, 100),
      temperature_3: tenths(...i16, 10),
      relative_humidity_4: tenths(0, 255, 2),
      accelerometer_5: fc.record({ x: tenths(...i16, 1e3), y: tenths(...i16, 1e3), z: fc.nat(9) }),
      gps_6: fc.record({
        latitude: tenths(-(2 ** 23), 2 ** 23 - 1, 1e4),
        longitude: tenths(-(2 ** 23), 2 ** 23 - 1, 1e4),
        altitude: tenths(-(2 ** 23), 2 ** 23 - 1, 100),
      }),
      energy_7: tenths(0, 2 ** 32 - 1, 1_000),
      polyline_8: fc.constant('0801aabbccddeeff'),
    }),
  );
});

test.each([
  ['bytes', 'cannot do without layout'],
  [{ kind: 'bytes' }, 'there must be a layout, or layouts and select'],
  [
    { kind: 'bytes', layout: [{ type: 'bits', bits: 3 }, { type: 'u8' }] },
    'add { type: bits, bits: 5 }',
  ],
  [{ kind: 'bytes', layout: [{ type: 'ascii' }, { type: 'u8' }] }, 'takes all that is left'],
  [{ kind: 'bytes', layout: [{ type: 'u8', bits: 3 }] }, 'belong to the type bits'],
  [{ kind: 'bytes', layouts: { 1: [{ type: 'u8' }] } }, 'layouts and select belong together'],
  [
    { kind: 'bytes', layouts: { 1: [{ type: 'u8' }] }, select: 'port' },
    'the header has no field port',
  ],
  [{ kind: 'bytes', layout: [{ type: 'ascii' }], repeat: true }, 'only the last record'],
  [{ kind: 'csv', delimiter: ';;' }, 'must be one character'],
])('the configuration %j is refused with its reason', (choice, reason) => {
  expect(JSON.stringify(codecChoice.safeParse(choice).error?.issues)).toContain(reason);
});

describe('what was packed', () => {
  const json = createCodec('json');

  test('is unpacked by its first bytes, or as the mapping says', () => {
    const bytes = Buffer.from('{"t":21.5}');
    expect(unpacking(json, 'auto').decode(zlib.gzipSync(bytes))).toEqual({ t: 21.5 });
    expect(unpacking(json, 'auto').decode(bytes)).toEqual({ t: 21.5 });
    expect(unpacking(json, 'gzip').decode(zlib.gzipSync(bytes))).toEqual({ t: 21.5 });
    expect(unpacking(json, 'zlib').decode(zlib.deflateSync(bytes))).toEqual({ t: 21.5 });
    expect(() => unpacking(json, 'gzip').decode(bytes)).toThrow(
      'Not gzip: incorrect header check.',
    );
    expect(() => unpacking(json, 'identity').decode(zlib.gzipSync(bytes))).toThrow('not UTF-8');
  });

  test('is never more than 1 MiB, however small it was', () => {
    const most = zlib.gzipSync(Buffer.alloc(unpackedBytesMax));
    expect(unpacked(most, 'gzip').byteLength).toBe(unpackedBytesMax);
    const bomb = zlib.gzipSync(Buffer.alloc(200 * unpackedBytesMax));
    expect(bomb.byteLength).toBeLessThan(256 * 1_024);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => unpacked(bomb, 'gzip')).toThrow('more than 1048576 bytes come out of these');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 2 ** 20);
  });

  const compress = (zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer }).zstdCompressSync;
  test(`with zstd is read${compress === undefined ? ' by a newer Node, and this one says so' : ''}`, () => {
    const frame = Buffer.from('28b52ffd20085100007b2274223a31 7d0a'.replace(' ', ''), 'hex');
    const read = () => unpacking(json, 'auto').decode(compress?.(Buffer.from('{"t":1}')) ?? frame);
    if (compress === undefined) expect(read).toThrow('This Node cannot unpack zstd; 22.15');
    else expect(read()).toEqual({ t: 1 });
  });
});
