import { hash } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

const pairs: readonly string[] = Array.from(
  { length: 1_024 },
  (_, value) => alphabet[value >> 5]! + alphabet[value & 31]!,
);

/**
 * A name made from what it names: 26 lower-case characters of Crockford's base32, holding the first
 * 128 bits of a SHA-256 over the parts, their types and their order. The same parts always give the
 * same name, and no two others ever will in practice. Safe in a URL, a topic and a file name.
 */
export function hashIdOf(parts: readonly (string | number | bigint | boolean)[]): string {
  let text = '';
  for (const part of parts) {
    // The length goes first, so that no part can pass for two.
    if (typeof part === 'string') text += `${part.length}:${part}`;
    else text += `#${part};`;
  }
  // As text of one byte a character: a buffer costs more to make than the digest itself.
  const digest = hash('sha256', text, 'binary');
  const at = (index: number): number => digest.charCodeAt(index);
  let id = pairs[at(0)]!;
  for (let index = 1; index < 16; index += 5) {
    const [b, c, d] = [at(index + 1), at(index + 2), at(index + 3)];
    id += pairs[(at(index) << 2) | (b >>> 6)]!;
    id += pairs[((b & 63) << 4) | (c >>> 4)]!;
    id += pairs[((c & 15) << 6) | (d >>> 2)]!;
    id += pairs[((d & 3) << 8) | at(index + 4)]!;
  }
  return id;
}

const values = new Int8Array(128).fill(-1);
for (let value = 0; value < alphabet.length; value++) values[alphabet.charCodeAt(value)] = value;

/** Puts the 128 bits of a `hashIdOf` into four words; says no to any other text. */
export function readHashId(id: string, words: Uint32Array): boolean {
  if (id.length !== 26) return false;
  let word = 0;
  let have = -2;
  let filled = 0;
  for (let at = 0; at < 26; at++) {
    const code = id.charCodeAt(at);
    const value = code < 128 ? values[code]! : -1;
    if (value < 0 || (at === 0 && value > 7)) return false;
    have += 5;
    if (have < 32) {
      word = (word << 5) | value;
    } else {
      const rest = have - 32;
      words[filled++] = (word << (5 - rest)) | (value >>> rest);
      word = value & ((1 << rest) - 1);
      have = rest;
    }
  }
  return true;
}
