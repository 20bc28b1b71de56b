import { isUtf8 } from 'node:buffer';
import { DecodeError } from './codec.ts';

/**
 * The text the bytes hold, without a byte order mark. Throws `DecodeError`, naming the first bad
 * byte, for anything that is not UTF-8 (RFC 3629).
 */
export function textOf(payload: Uint8Array): string {
  const bytes = bufferOf(payload);
  const text = bytes.toString();
  // Decoding puts U+FFFD for what is invalid, and searching for it costs nothing in plain ASCII.
  if (text.includes('\ufffd') && !isUtf8(bytes)) {
    throw new DecodeError(`The bytes are not UTF-8: byte ${badByteOf(bytes)} is out of place.`);
  }
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Counted from 1: the first byte of the first sequence that is no character. */
function badByteOf(bytes: Buffer): number {
  let good = 0;
  let bad = bytes.length;
  // A prefix is valid until it takes in the bad byte, a character cut in two excepted.
  while (good + 1 < bad) {
    const middle = (good + bad) >>> 1;
    if (isUtf8(bytes.subarray(0, wholeCharacters(bytes, middle)))) good = middle;
    else bad = middle;
  }
  return wholeCharacters(bytes, good) + 1;
}

/** `length`, less the beginning of a character that does not end within it. */
function wholeCharacters(bytes: Uint8Array, length: number): number {
  for (let back = 1; back <= Math.min(3, length); back++) {
    const byte = bytes[length - back]!;
    if (byte < 0x80) return length;
    if (byte < 0xc0) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? length - back : length;
  }
  return length;
}

/** At most `bytesMax` bytes from the beginning, and no character cut in two. */
export function beginningOf(payload: Uint8Array, bytesMax: number): Uint8Array {
  if (payload.byteLength <= bytesMax) return payload;
  return payload.subarray(0, wholeCharacters(payload, bytesMax));
}

/**
 * The same text in memory of its own: a part of a text keeps the whole of it alive, a message of
 * 256 KiB for a word that is remembered. Short ones are copies anyway.
 */
export function ownTextOf(part: string): string {
  return part.length < 13 ? part : Buffer.from(part).toString();
}
