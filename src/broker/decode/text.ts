import { isUtf8 } from 'node:buffer';
import { broken } from './clauses.ts';
import type { Refusal } from './refusal.ts';

/** The number of two bytes; what is beyond the end of `bytes` reads as nothing. */
export function uint16At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function uint32At(bytes: Uint8Array, at: number): number {
  return uint16At(bytes, at) * 65_536 + uint16At(bytes, at + 2);
}

/** Where the string or binary data at `at` ends; -1 when that is behind `end`. */
export function fieldEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return -1;
  const next = at + 2 + uint16At(bytes, at);
  return next > end ? -1 : next;
}

/**
 * What is wrong with a UTF-8 string, if anything: it is not UTF-8 (surrogates and overlong forms
 * are not), which is refused as `utf8`, or it has U+0000.
 */
export function textProblem(
  bytes: Uint8Array,
  from: number,
  to: number,
  utf8: Refusal = broken.utf8,
): Refusal | undefined {
  let ascii = true;
  for (let index = from; index < to; index++) {
    const byte = bytes[index]!;
    if (byte === 0) return broken.nullCharacter;
    if (byte >= 0x80) ascii = false;
  }
  return ascii || isUtf8(bytes.subarray(from, to)) ? undefined : utf8;
}

/** The text of a string that has been checked. */
export function textOf(bytes: Buffer, from: number, to: number): string {
  return bytes.toString('utf8', from, to);
}
