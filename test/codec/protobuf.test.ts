import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { DecodeError, type Document } from '../../src/codec/codec.ts';
import {
  createProtobufCodec,
  protobuf as kind,
  protobufProblems,
} from '../../src/codec/protobuf.ts';

const schema = `syntax = "proto3";
package t;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
enum Kind { ZERO = 0; ONE = 1; MINUS = -1; }
message All {
  double d = 1; float f = 2; int32 i32 = 3; uint32 u32 = 4; sint32 s32 = 5; bool b = 6;
  Kind k = 7; fixed32 f32 = 8; sfixed32 sf32 = 9; int64 i64 = 10; uint64 u64 = 11; sint64 s64 = 12;
  fixed64 f64 = 13; sfixed64 sf64 = 14; string s = 15; bytes y = 16;
  repeated int64 list = 17; repeated string words = 18; repeated All all = 19;
  map<string, sint64> by_name = 20; map<int32, All> by_number = 21;
  google.protobuf.Timestamp at = 22; google.protobuf.Duration took = 23;
  google.protobuf.Int64Value wrapped = 24; google.protobuf.Struct any = 25;
  optional uint32 maybe = 300;
  oneof one { string left = 301; double right = 302; All inner = 303; }
}`;
const files = new Map([['t.proto', schema]]);
const optionsOf = (more: object = {}) =>
  kind.options.parse({ files: ['t.proto'], message: 't.All', ...more });
const codec = createProtobufCodec(optionsOf({ defaults: 'omit' }), files);

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** As the decoder gives it: a number as long as that is exact. */
const exact = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(exact);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(exact);
const double = fc.double({ noNaN: true, noDefaultInfinity: true });
const key = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((name) => name !== '__proto__');
const json: fc.Arbitrary<Document> = fc.letrec<{ node: Document }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(double, fc.boolean(), fc.string(), fc.constant(null)),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(key, tie('node'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).node;

const { all } = fc.letrec<{ all: Document }>((tie) => {
  const members = {
    ...{
      d: double,
      i32: int32,
      u32: uint32,
      s32: int32,
      b: fc.constant(true),
      s: fc.string({ unit: 'grapheme' }),
    },
    f: fc.float({ noNaN: true, noDefaultInfinity: true }),
    k: fc.constantFrom('ONE', 'MINUS', 7),
    ...{ f32: uint32, sf32: int32, i64: int64, u64: uint64, s64: int64, f64: uint64, sf64: int64 },
    y: fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    list: fc.array(int64, { minLength: 1, maxLength: 5 }),
    words: fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
    by_name: fc.dictionary(key, int64, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
    at: fc.integer({ min: -(2 ** 41), max: 2 ** 41 }),
    took: fc.integer({ min: -(2 ** 31), max: 2 ** 31 }).map((eighths) => eighths / 8),
    wrapped: int64,
    any: fc.dictionary(key, json, { maxKeys: 3, noNullPrototype: true }),
    maybe: uint32,
  };
  const nested = {
    all: fc.array(tie('all'), { minLength: 1, maxLength: 2 }),
    by_number: fc.dictionary(int32.map(String), tie('all'), {
      minKeys: 1,
      maxKeys: 2,
      noNullPrototype: true,
    }),
  };
  const one = fc.oneof(
    { depthSize: 'small' },
    fc.constant({}),
    fc.record({ left: fc.string() }),
    fc.record({ right: double }),
    fc.record({ inner: tie('all') }),
  );
  const flat = fc.record(members, { requiredKeys: [], noNullPrototype: true });
  return {
    all: fc.oneof(
      { depthSize: 'small', maxDepth: 4 },
      flat,
      fc
        .tuple(flat, fc.record(nested, { requiredKeys: [], noNullPrototype: true }), one)
        .map(([a, b, c]) => ({ ...a, ...b, ...c }) as Document),
    ),
  };
});

/** What is zero need not be sent; and a float is the plainest number that is the same float. */
function comparable(node: Document): Document {
  if (Array.isArray(node)) return node.map(comparable);
  if (typeof node === 'number') return node + 0;
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([name, value]) => name === 'right' || name === 'maybe' || !isZero(value))
      .map(([name, value]) => [
        name,
        name === 'f' && typeof value === 'number' ? Math.fround(value) : comparable(value),
      ]),
  );
}
const isZero = (value: Document) => value === 0 || value === '';

test('what the library encodes, we decode as it was', () => {
  fc.assert(
    fc.property(all, (document) => {
      const bytes = codec.encode(document);
      if (bytes.length === 0) return;
      expect(comparable(codec.decode(bytes))).toEqual(comparable(document));
    }),
    { numRuns: 500 },
  );
});

test('bytes that are no such message are refused with field and byte, never anything else', () => {
  const damaged = fc
    .tuple(all, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([document, flips, end]) => {
      const bytes = Buffer.from(codec.encode(document));
      for (const [at, value] of flips) if (bytes.length > 0) bytes[at % bytes.length] = value;
      return bytes.subarray(0, bytes.length - (end % 3 === 0 ? end % (bytes.length + 1) : 0));
    });
  const included = createProtobufCodec(optionsOf(), files);
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      for (const each of [codec, included]) {
        try {
          each.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          expect((error as Error).message).toMatch(/^[\w.]+ at byte \d+: .*\.$/);
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a field that is cut off anywhere is refused, of whatever kind it is', () => {
  const fields: Record<string, Document> = {
    ...{ d: 1.5, f: 1.5, i32: -1, u32: 300, s32: -300, f32: 1, sf32: 1, f64: 1, sf64: 1 },
    ...{ i64: -1, s: 'text', y: 'AAEC', list: [1, 2, 300], words: ['a'], by_name: { a: -300 } },
    ...{ at: 1_763_641_800_250, took: 1.5, wrapped: 5, any: { a: [1, 'b'] }, inner: { d: 1 } },
  };
  for (const [name, value] of Object.entries(fields)) {
    const bytes = codec.encode({ [name]: value });
    for (let end = 1; end < bytes.length; end++) {
      const cut = () => codec.decode(bytes.subarray(0, end));
      expect(cut, `${name}, ${end} of ${bytes.length} bytes`).toThrow(DecodeError);
    }
  }
});

test('few bytes never become very many values', () => {
  // Two bytes an element, each with all the defaults of its type.
  const elements = Buffer.alloc(200_000, Buffer.from([0x9a, 0x01, 0x00]));
  expect(() => codec.decode(elements)).toThrow(/more than 20000 elements/);
  const packed = Buffer.concat([
    Buffer.from([0x8a, 0x01, 0xa0, 0x8d, 0x06]),
    Buffer.alloc(100_000),
  ]);
  expect(() => codec.decode(packed)).toThrow(/more than 20000 elements/);
});

test('decoding needs no code made at run time, and agrees with the library on plain messages', () => {
  const { root } = protobuf.parse('syntax = "proto3"; message M { int64 a = 1; double b = 2; }');
  const bytes = root.lookupType('M').encode({ a: -5, b: 1.5 }).finish();
  const own = createProtobufCodec(
    kind.options.parse({ files: ['m.proto'], message: 'M' }),
    new Map([['m.proto', 'syntax = "proto3"; message M { int64 a = 1; double b = 2; }']]),
  );
  expect(own.decode(bytes)).toEqual({ a: -5, b: 1.5 });
});

const problemsOf = (text: string, more: object = {}, others: [string, string][] = []) =>
  protobufProblems(
    kind.options.parse({ files: ['schema/p.proto'], message: 'p.R', ...more }),
    new Map([['schema/p.proto', text], ...others]),
  );

test('a mistake in a schema is named with its file and line', () => {
  const head = 'syntax = "proto3";\npackage p;\n';
  expect(problemsOf(`${head}message R {\n  int32 x 1;\n}`)).toEqual([
    { file: 'schema/p.proto', line: 4, message: "illegal token '1', '=' expected" },
  ]);
  expect(problemsOf(`${head}// Nope\nmessage R {\n  Nope x = 1;\n}`)).toEqual([
    expect.objectContaining({ file: 'schema/p.proto', line: 5 }),
  ]);
  expect(problemsOf(`${head}import "gone.proto";\nmessage R { int32 x = 1; }`)).toEqual([
    { file: 'schema/p.proto', line: 3, message: 'imports gone.proto, which is not there' },
  ]);
  expect(problemsOf(`${head}message S { int32 x = 1; }`)).toEqual([
    { option: ['message'], message: 'there is no message p.R; there are p.S' },
  ]);
  expect(problemsOf(`${head}message R { int32 x = 1; }`, { readings: 'x' })).toEqual([
    { option: ['readings'], message: 'p.R has no repeated field x' },
  ]);
  const inner = 'syntax = "proto3";\nmessage I {\n  int32 = 1;\n}';
  const outer = `${head}import "in/i.proto";\nmessage R { I i = 1; }`;
  expect(problemsOf(outer, {}, [['schema/in/i.proto', inner]])).toEqual([
    expect.objectContaining({ file: 'schema/in/i.proto', line: 3 }),
  ]);
});

test('the options say what is missing', () => {
  const messageOf = (options: object) => kind.options.safeParse(options).error?.issues[0]?.message;
  expect(messageOf({ files: ['a.proto'] })).toMatch(/nothing names the type/);
  expect(messageOf({ files: ['a.proto'], messages: { 'a/#/b': 'R' } })).toMatch(/# may only/);
  expect(messageOf({ files: ['a.proto'], messages: { '#': 'R' } })).toBeUndefined();
});
