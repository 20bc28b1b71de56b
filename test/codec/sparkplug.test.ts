import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Codec, DecodeError, type Document, type Found } from '../../src/codec/codec.ts';
import { createCodec } from '../../src/codec/index.ts';
import { plainest } from '../../src/codec/protobuf-wire.ts';
import { libraryBytes, payloadType } from './sparkplug-schema.ts';

const now = Date.UTC(2026, 10, 20);
const topicOf = (type: string, node: string, device?: string) =>
  ['spBv1.0', 'plant', type, node, ...(device === undefined ? [] : [device])].join('/');

function tell(codec: Codec, type: string, node: string, payload: object, at = now): Found {
  return codec.find!(libraryBytes(payload), topicOf(type, node), at);
}
const birth = (metrics: object[] = [], bdSeq = 0) => ({
  ...{ timestamp: now, seq: 0 },
  metrics: [{ name: 'bdSeq', datatype: 8, long_value: bdSeq }, ...metrics],
});

const exact = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;
const double = fc.double({ noNaN: true, noDefaultInfinity: true });
const values: Readonly<Record<string, fc.Arbitrary<Document>>> = {
  Int8: fc.integer({ min: -128, max: 127 }),
  Int16: fc.integer({ min: -32768, max: 32767 }),
  Int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  Int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(exact),
  UInt32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  UInt64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(exact),
  Float: fc.float({ noNaN: true, noDefaultInfinity: true }).map(plainest),
  Double: double,
  Boolean: fc.boolean(),
  String: fc.string({ unit: 'grapheme' }),
  DateTime: fc.nat(),
  Bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
  DataSet: fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.string()), { maxLength: 3 }), fc.string(), fc.string())
    .map(([rows, a, b]) => ({ columns: [a, b], types: ['UInt32', 'String'], rows })),
};
const value = fc.oneof(
  ...Object.entries(values).map(([datatype, of]) => of.map((each) => ({ datatype, value: each }))),
);
const metric = (inner: fc.Arbitrary<Document>): fc.Arbitrary<Document> =>
  fc
    .tuple(
      fc.record(
        {
          ...{ name: fc.string(), alias: fc.nat(), timestamp: fc.nat() },
          ...{ isHistorical: fc.constant(true), isTransient: fc.constant(true) },
        },
        { requiredKeys: ['name'], noNullPrototype: true },
      ),
      inner,
    )
    .map(([facts, held]) => ({ ...facts, ...(held as object) }));
const template = fc
  .tuple(fc.array(metric(value), { maxLength: 3 }), fc.boolean(), fc.string())
  .map(([metrics, isDefinition, ref]) => ({
    datatype: 'Template',
    value: { ref, isDefinition, metrics },
  }));
const payload = fc.record(
  {
    timestamp: fc.nat(),
    seq: fc.nat(255),
    uuid: fc.string(),
    metrics: fc.array(metric(fc.oneof(value, template)), { maxLength: 6 }),
  },
  { requiredKeys: ['metrics'], noNullPrototype: true },
);

test('what is encoded decodes as it was, and to the library it is the same', () => {
  const codec = createCodec('sparkplug');
  fc.assert(
    fc.property(payload, (document) => {
      const bytes = codec.encode(document);
      expect(codec.decode(bytes)).toEqual(document);
      // The library writes the fields in the same order: what it read is what we wrote.
      expect(Buffer.from(payloadType.encode(payloadType.decode(bytes)).finish())).toEqual(
        Buffer.from(bytes),
      );
    }),
    { numRuns: 500 },
  );
});

test('damaged payloads and topics are refused with a reason, never anything else', () => {
  const encoder = createCodec('sparkplug');
  const codec = createCodec('sparkplug');
  const types = ['NBIRTH', 'NDATA', 'DBIRTH', 'DDATA', 'NDEATH', 'DDEATH', 'NCMD', 'STATE', 'X'];
  const bytes = fc
    .tuple(payload, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(9))
    .map(([document, flips, cut]) => {
      const whole = Buffer.from(encoder.encode(document));
      for (const [at, byte] of flips) if (whole.length > 0) whole[at % whole.length] = byte;
      return cut < 3 ? whole.subarray(0, (whole.length * cut) / 3) : whole;
    });
  const topic = fc
    .tuple(fc.constantFrom(...types), fc.nat(3), fc.option(fc.nat(3), { nil: undefined }))
    .map(([type, node, device]) =>
      topicOf(type, `n${node}`, device === undefined ? device : `d${device}`),
    );
  fc.assert(
    fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 200 })), topic, (input, on) => {
      try {
        codec.find!(input, on, now);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a node is asked for its birth again only after a while, and not all of them at once', () => {
  const codec = createCodec('sparkplug');
  const asks = (node: string, at: number) =>
    tell(codec, 'NDATA', node, { seq: 1, metrics: [{ alias: 1, int_value: 1 }] }, at).replies
      ?.length ?? 0;
  expect([0, 9_999, 10_000, 10_001].map((after) => asks('a', now + after))).toEqual([1, 0, 1, 0]);
  const many = Array.from({ length: 100 }, (_, index) => asks(`n${index}`, now + 60_000));
  expect(many.reduce((sum, each) => sum + each)).toBe(20);
  expect(asks('n99', now + 61_000)).toBe(1);
  // A clock that was set back by a day does not silence the gateway.
  expect(asks('a', now - 86_400_000)).toBe(1);
});

test('the request is a command that the node understands, and no repeat of it is needed', () => {
  const codec = createCodec('sparkplug');
  const data = { seq: 1, metrics: [{ alias: 1, int_value: 1 }] };
  const [reply] = tell(codec, 'NDATA', 'a', data).replies!;
  expect(reply!.topic).toBe('spBv1.0/plant/NCMD/a');
  const sent = payloadType.toObject(payloadType.decode(reply!.payload), { longs: Number });
  expect(sent).toEqual({
    timestamp: now,
    metrics: [{ name: 'Node Control/Rebirth', timestamp: now, datatype: 11, boolean_value: true }],
  });
  tell(codec, 'NBIRTH', 'a', birth([{ name: 'x', alias: 1, datatype: 3, int_value: 0 }]));
  expect(tell(codec, 'NDATA', 'a', data, now + 60_000).replies).toBeUndefined();
});

test('births of very many nodes are kept within a limit, the newest among them', () => {
  const codec = createCodec('sparkplug');
  const metrics = Array.from({ length: 1_000 }, (_, at) => ({
    ...{ name: `m${at}`, alias: at, datatype: 3, int_value: 0 },
  }));
  const bytes = libraryBytes(birth(metrics));
  for (let node = 0; node < 300; node++) codec.find!(bytes, topicOf('NBIRTH', `n${node}`), now);
  const data = { timestamp: now, seq: 1, metrics: [{ alias: 7, int_value: 5 }] };
  expect(tell(codec, 'NDATA', 'n299', data)).toMatchObject({ readings: [{ fields: { m7: 5 } }] });
  expect(tell(codec, 'NDATA', 'n0', data)).toMatchObject({ readings: [], replies: [{}] });
});

test('a payload does not become very many values', () => {
  const codec = createCodec('sparkplug');
  const bits = Buffer.alloc(50_000);
  bits.writeUInt32LE(399_000, 0);
  const metrics = [{ name: 'b', datatype: 32, bytes_value: bits }];
  expect(() => tell(codec, 'NBIRTH', 'a', birth(metrics))).toThrow(/more than 20000 elements/);
});

test('of the doubles that are the same float, the plainest is taken, and it is the same float', () => {
  expect([21.3, 0.1, -40.05, 1e-5, 1013.25].map((each) => plainest(Math.fround(each)))).toEqual([
    ...[21.3, 0.1, -40.05, 1e-5, 1013.25],
  ]);
  fc.assert(
    fc.property(fc.float(), (float) => {
      expect(Math.fround(plainest(float))).toBe(float);
    }),
  );
});
