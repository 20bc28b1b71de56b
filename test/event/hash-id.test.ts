import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashIdOf, readHashId } from '../../src/event/hash-id.ts';

const part = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
  fc.bigInt({ min: 2n ** 53n }),
  fc.boolean(),
);

test('the same parts have the same name, and no others', () => {
  fc.assert(
    fc.property(fc.array(part), fc.array(part), (one, other) => {
      const same = one.length === other.length && one.every((each, i) => each === other[i]);
      expect(hashIdOf(one) === hashIdOf(other)).toBe(same);
      expect(hashIdOf([...one])).toBe(hashIdOf(one));
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  [
    ['ab', 'c'],
    ['a', 'bc'],
  ],
  [['1'], [1]],
  [[1, 2], [12]],
  [[1], [true]],
  [['1:a'], ['a']],
  [
    ['', 'x'],
    ['x', ''],
  ],
])('%j and %j differ', (one, other) => {
  expect(hashIdOf(one)).not.toBe(hashIdOf(other));
});

test('a name is 128 bits of SHA-256 in 26 characters, and reads back', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const id = hashIdOf([text]);
      expect(id).toMatch(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/);
      const words = new Uint32Array(4);
      expect(readHashId(id, words)).toBe(true);
      const digest = createHash('sha256').update(`${text.length}:${text}`).digest();
      expect([...words]).toEqual([0, 4, 8, 12].map((at) => digest.readUInt32BE(at)));
    }),
  );
});
