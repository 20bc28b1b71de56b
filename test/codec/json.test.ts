import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DecodeError, type Document } from '../../src/codec/codec.ts';
import { codecKinds, codecNames, createCodec } from '../../src/codec/index.ts';
import { jsonCodec } from '../../src/codec/json.ts';
import { jsonProblemOf } from '../../src/codec/json-problem.ts';

const big = fc.oneof(
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => {
  // A whole number that a double holds, but beyond 2^53, comes back as a bigint: it is exact.
  return !Object.is(n, -0) && !(Number.isInteger(n) && /^-?\d{16,20}$/.test(`${n}`));
});
const leaf = fc.oneof(number, fc.integer(), big, fc.boolean(), fc.string({ unit: 'grapheme' }));
const document: fc.Arbitrary<Document> = fc.letrec<{ node: Document }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.constant(null),
    fc.array(tie('node'), { maxLength: 5 }),
    fc.dictionary(fc.string(), tie('node'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).node;

test.each([codecKinds.json.create(), codecKinds.auto.create()])(
  'what the $name codec encodes, it decodes to the same',
  (codec) => {
    fc.assert(
      fc.property(document, (node) => {
        expect(codec.decode(codec.encode(node))).toEqual(node);
      }),
    );
  },
);

test('bytes decode alike whether they are a Buffer, a Uint8Array or part of one', () => {
  const bytes = new TextEncoder().encode('xx{"t":20.5}xx');
  const part = bytes.subarray(2, 12);
  expect(jsonCodec.decode(part)).toEqual({ t: 20.5 });
  expect(jsonCodec.decode(Buffer.from(part))).toEqual({ t: 20.5 });
});

const codecs = codecNames
  .filter((name) => codecKinds[name].options.safeParse({}).success)
  .map((name) => createCodec(name));

test('random bytes are decoded or refused with a reason, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const codec of codecs) {
        try {
          codec.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

/** A text of JSON in which one character was changed, taken out or put in. */
const damaged = fc
  .tuple(document, fc.nat(), fc.constantFrom('', ...'{}[]",:0-.eE\\ut \u0001'), fc.boolean())
  .map(([node, at, put, replace]) => {
    const text = Buffer.from(jsonCodec.encode(node)).toString();
    const place = at % (text.length + 1);
    return text.slice(0, place) + put + text.slice(place + (replace ? 1 : 0));
  });

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test('the place named in a text that is not JSON is where it stops being JSON', () => {
  fc.assert(
    fc.property(damaged, (text) => {
      fc.pre(!isJson(text));
      const place = /at character (\d+), found (.*)$/s.exec(jsonProblemOf(text))!;
      const at = Number(place[1]) - 1;
      expect(at).toBeLessThanOrEqual(text.length);
      expect(place[2] === 'the end').toBe(at === text.length);
      // What stands before the place is no mistake: some text goes on from there.
      expect(endings.some((ending) => isJson(completed(text.slice(0, at), ending)))).toBe(true);
    }),
    { numRuns: 5_000 },
  );
});
const endings = ['', '0', '"', '":0', ':0', '"a":0', 'n"', '\\"', 'n":0', '\\":0'];

/** Closes what is open, after putting `ending` behind it. */
function completed(text: string, ending: string): string {
  const open: string[] = [];
  let inString = false;
  const whole = text + ending;
  for (let at = 0; at < whole.length; at++) {
    const character = whole[at]!;
    if (inString && character === '\\') at++;
    else if (character === '"') inString = !inString;
    else if (!inString && character === '{') open.push('}');
    else if (!inString && character === '[') open.push(']');
    else if (!inString && (character === '}' || character === ']')) open.pop();
  }
  return whole + open.reverse().join('');
}

test('a very deep or very long text is refused without harm', () => {
  const deep = Buffer.from('['.repeat(200_000));
  expect(() => jsonCodec.decode(deep)).toThrow(/Not JSON: expected no more than 64 levels/);
  const whole = Buffer.from('['.repeat(100_000) + ']'.repeat(100_000));
  expect(() => jsonCodec.decode(whole)).toThrow('Nested deeper than 32 levels.');
  const open = Buffer.from(`{"a": "${'x'.repeat(250_000)}`);
  expect(() => jsonCodec.decode(open)).toThrow(/expected the end of a string at character 250008/);
  const digits = Buffer.from(`{"a": ${'9'.repeat(250_000)}}`);
  expect(() => jsonCodec.decode(digits)).toThrow('A number is too large');
});
