import { hash } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A name made from what it names: 26 lower-case characters of Crockford's base32, holding the first
 * 128 bits of a SHA-256 over the parts, their types and their order. The same parts always give the
 * same name, and no two others ever will in practice. Safe in a URL, a topic and a file name.
 */
export function hashIdOf(parts: readonly (string | number | bigint | boolean)[]): string {
  let text = '';
  for (const part of parts) {
    const value = `${part}`;
    // The length goes first, so that no part can pass for two.
    text += `${typeof part === 'string' ? '' : '#'}${value.length}:${value}`;
  }
  const digest = hash('sha256', text, 'buffer');
  // 128 bits are three bits and 25 fives.
  let id = alphabet[digest[0]! >>> 5]!;
  let bits = digest[0]! & 31;
  let have = 5;
  for (let at = 1; at <= 16; at++) {
    while (have >= 5) {
      have -= 5;
      id += alphabet[(bits >>> have) & 31]!;
    }
    if (at === 16) break;
    bits = ((bits & ((1 << have) - 1)) << 8) | digest[at]!;
    have += 8;
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
