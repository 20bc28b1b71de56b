import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError, type Document } from '../../src/codec/codec.ts';
import { jsonCodec } from '../../src/codec/json.ts';
import { KnownLayouts, LayoutReader, layoutsMax } from '../../src/codec/json-layout.ts';

/** Once it knows `first`: what a reader makes of the second text, and what the codec does. */
function bothWays(first: string, second: Uint8Array) {
  const reader = new LayoutReader(new KnownLayouts());
  learn(reader, Buffer.from(first));
  return { quick: reader.read(second), slow: decoded(second) };
}

function learn(reader: LayoutReader, bytes: Uint8Array): void {
  const document = decoded(bytes);
  if (document !== refused) reader.learn(bytes, document);
}

const refused = Symbol('refused');
function decoded(bytes: Uint8Array): Document | typeof refused {
  try {
    return jsonCodec.decode(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return refused;
    throw error;
  }
}

/** Also in the order of their members; and -0 is not 0. */
function expectSame(quick: unknown, slow: unknown): void {
  expect(quick).toStrictEqual(slow);
  expect(Object.entries(quick as object)).toStrictEqual(Object.entries(slow as object));
}

const numbers = fc.oneof(
  fc.double().map((value) => JSON.stringify(value)),
  fc.integer().map(String),
  fc.tuple(fc.bigInt(-(10n ** 17n), 10n ** 17n), fc.nat(20)).map(([digits, places]) => {
    const text = `${digits < 0n ? -digits : digits}`.padStart(places + 1, '0');
    const at = text.length - places;
    return `${digits < 0n ? '-' : ''}${text.slice(0, at)}${places > 0 ? `.${text.slice(at)}` : ''}`;
  }),
  fc.constantFrom(
    ...[
      '0',
      '-0',
      '-0.0',
      '0.1',
      '-',
      '',
      '.',
      '1.',
      '.5',
      '01',
      '-01',
      '00',
      '1e5',
      '1E-3',
      '1.5e300',
    ],
    ...[
      '9007199254740993',
      '18446744073709551615',
      '123456789012345',
      '1234567890123456',
      '1e999',
      '+1',
    ],
    ...['0.000000000000001', '99999.9999999999', 'NaN', 'Infinity', '1 2', '1,', '1}'],
  ),
);
const texts = fc.oneof(
  fc.string().map((value) => JSON.stringify(value)),
  fc.string({ unit: 'grapheme' }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    ...[
      '""',
      '"a',
      '"a\\"',
      '"\\u0041"',
      '"\t"',
      '"\u007f"',
      '"ü"',
      '"\\ud800"',
      `"${'x'.repeat(70)}"`,
    ],
  ),
);
const others = fc.constantFrom(
  'true',
  'false',
  'null',
  'tru',
  'truefalse',
  '[]',
  '[1]',
  '{}',
  '{"a":1}',
);
const values = fc.oneof({ weight: 4, arbitrary: numbers }, { weight: 3, arbitrary: texts }, others);
const plain = fc.oneof(
  fc.integer().map(String),
  fc.integer({ min: -99_999, max: 99_999 }).map((each) => `${each / 100}`),
  fc.constantFrom('"ok"', '"low"', '"of"', '""', 'true', 'false', '-0', `"${'x'.repeat(63)}"`),
);
const mostlyPlain = fc.oneof({ weight: 12, arbitrary: plain }, { weight: 1, arbitrary: values });
const oftenPlain = fc.oneof({ weight: 2, arbitrary: plain }, { weight: 1, arbitrary: values });
const plainNames = fc.constantFrom('a', 'b', 'temp', 'temp_2', 'x.y', 'constructor', 'toString');
const oddNames = fc.constantFrom('__proto__', '', '0', '17', 'ü', 'a"');
const names = fc.uniqueArray(
  fc.oneof({ weight: 20, arbitrary: plainNames }, { weight: 1, arbitrary: oddNames }),
  { minLength: 1, maxLength: 6 },
);
const spaces = fc.constantFrom('', '', '', ' ', '\n  ', '\t');

const written = (members: readonly string[], each: readonly string[], space: string): string =>
  `{${members.map((name, index) => `${space}${JSON.stringify(name)}:${space}${each[index]}`).join()}${space}}`;

/** Two documents of one kind. */
const pairs = fc.tuple(names, spaces, fc.nat(9)).chain(([members, space, once]) => {
  const all = once > 0 ? members : [...members, members[0]!];
  const [first, second] = [mostlyPlain, oftenPlain].map((each) =>
    fc.array(each, { minLength: all.length, maxLength: all.length }),
  );
  return fc.tuple(first!, second!).map((both) => both.map((each) => written(all, each, space)));
});

describe('objects read by their layout', () => {
  it('are what the codec makes of them, whatever stands in them', () => {
    let count = 0;
    fc.assert(
      fc.property(pairs, ([first, second]) => {
        const { quick, slow } = bothWays(first!, Buffer.from(second!));
        if (quick === undefined) return;
        expectSame(quick, slow);
        count += 1;
      }),
      { numRuns: 5_000 },
    );
    // Or nothing was tried.
    expect(count).toBeGreaterThan(500);
  });

  it('are what the codec makes of them, whatever bytes went wrong', () => {
    const harm = fc.record({
      at: fc.nat(200),
      gone: fc.nat(3),
      put: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(pairs, harm, ([first], { at, gone, put }) => {
        const bytes = Buffer.from(first!);
        const from = at % (bytes.length + 1);
        const harmed = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + gone)]);
        const { quick, slow } = bothWays(first!, harmed);
        if (quick !== undefined) expectSame(quick, slow);
      }),
      { numRuns: 5_000 },
    );
  });

  it('are what the codec makes of them, whatever the same reader was given before', () => {
    fc.assert(
      fc.property(fc.array(pairs, { maxLength: 12 }), (all) => {
        const known = new KnownLayouts();
        const readers = [new LayoutReader(known), new LayoutReader(known)];
        for (const [index, text] of [...all, ...all].flat().entries()) {
          const bytes = Buffer.from(text);
          const reader = readers[index & 1]!;
          const quick = reader.read(bytes);
          if (quick === undefined) learn(reader, bytes);
          else expectSame(quick, decoded(bytes));
        }
        expect(known.all.length).toBeLessThanOrEqual(layoutsMax);
      }),
      { numRuns: 500 },
    );
  });

  it('are read without the codec, once one like it was seen', () => {
    const first = '{"t": 21.5, "n": -3, "ok": true, "unit": "C", "note": ""}';
    const second = '{"t": -0.25, "n": 123456789012345, "ok": false, "unit": "K", "note": "wet"}';
    const { quick, slow } = bothWays(first, Buffer.from(second));
    expect(quick).toBeDefined();
    expectSame(quick, slow);
  });

  it('are objects of their own: changing one changes no other', () => {
    const reader = new LayoutReader(new KnownLayouts());
    const bytes = Buffer.from('{"a":1,"b":"x"}');
    learn(reader, bytes);
    const one = reader.read(bytes) as Record<string, unknown>;
    one.a = 2;
    delete one.b;
    expect(reader.read(bytes)).toStrictEqual({ a: 1, b: 'x' });
  });

  it('forget a text of which only the beginning could be read', () => {
    const reader = new LayoutReader(new KnownLayouts());
    learn(reader, Buffer.from('{"a":"good"}'));
    expect(reader.read(Buffer.from('{"a":"bad\\n"}'))).toBeUndefined();
    expect(reader.read(Buffer.from('{"a":"badd"}'))).toStrictEqual({ a: 'badd' });
    expect(reader.read(Buffer.from('{"a":"good"}'))).toStrictEqual({ a: 'good' });
  });

  it('of two members of one name hold the later', () => {
    const text = '{"a":1,"b":2,"a":3}';
    const { quick, slow } = bothWays(text, Buffer.from(text));
    expect(quick).toBeUndefined();
    expect(slow).toStrictEqual({ a: 3, b: 2 });
  });

  it('are no longer learnt where each has names of its own', () => {
    const known = new KnownLayouts();
    const reader = new LayoutReader(known);
    const all = Array.from({ length: 100 }, (_, index) => Buffer.from(`{"n${index}":1}`));
    for (const bytes of all) if (reader.read(bytes) === undefined) learn(reader, bytes);
    expect(known.all.length).toBe(layoutsMax);
    expect(reader.read(all[99]!)).toBeUndefined();
    const other = new LayoutReader(known);
    expect(all.filter((bytes) => other.read(bytes) !== undefined).length).toBe(layoutsMax);
  });
});
