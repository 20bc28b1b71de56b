/**
 * CBOR (RFC 8949). Each item begins with a byte of three bits for its kind and five for a number:
 *
 *   0 unsigned · 1 negative · 2 bytes · 3 text · 4 array · 5 map · 6 tag · 7 simple and float
 *   0–23 the number itself · 24 25 26 27: in the 1, 2, 4 or 8 bytes behind · 31: until a break (ff)
 *
 * What JSON has no word for becomes:
 *
 *   integers beyond 2^53          bigint                    bytes        base64, or as tag 21, 22, 23 says
 *   null, undefined, NaN, ±inf    null: there is no value   keys         text: 1 is "1"
 *   times (tags 0 and 1)          the text or number tagged, once it is a time
 *   decimals, bignums (2 to 5)    the number                other tags   what they tag
 */
import { z } from 'zod';
import { cborOf } from './cbor-writer.ts';
import { type Codec, type CodecKind, DecodeError, type Document } from './codec.ts';
import { halfOf } from './half.ts';
import { isoMsOf } from './timestamp.ts';
import { textOf } from './utf8.ts';

/** Items may stand within each other this deep, tags and all. */
const levelsMax = 32;
/** Items in one payload. */
const itemsMax = 100_000;

export const cborCodec: Codec = {
  name: 'cbor',
  contentType: 'application/cbor',
  decode: (payload) => cborDocumentOf(payload),
  encode: cborOf,
};

export const cbor = {
  options: z.strictObject({}),
  create: () => cborCodec,
} as const satisfies CodecKind;

/** How bytes without a tag of their own are written: base64, or base64url without padding. */
export type ByteText = 'base64' | 'base64url';

/**
 * Reads one item that must be all there is. Throws `DecodeError`, naming the byte, for what is not
 * well-formed (RFC 8949, appendix C), is nested deeper than 32 levels, or has over 100,000 items.
 */
export function cborDocumentOf(payload: Uint8Array, byteText: ByteText = 'base64'): Document {
  return reader.read(payload, byteText);
}

const nothing = Buffer.alloc(0);
/** Made once: what it is made of costs as much as reading a small payload. */
const reader = createReader();
/** Short texts seen before: the keys of a device come again in every message. */
const wordsMax = 512;
const wordLengthMax = 24;
const words: (string | undefined)[] = new Array(wordsMax);

function createReader() {
  let bytes: Buffer = nothing;
  let at = 0;
  let items = 0;
  /** How bytes are to be written here, by the tag around them. */
  let writing: BufferEncoding = 'base64';

  const fail = (what: string, place = at): never => {
    throw new DecodeError(`Not CBOR: ${what} at byte ${place + 1}.`);
  };
  const need = (count: number): void => {
    if (count > bytes.length - at) fail(`${count} more bytes are needed`, bytes.length);
  };

  /** The number behind the first byte: its argument. */
  const argument = (info: number): number | bigint => {
    if (info < 24) return info;
    if (info > 27) return fail(`the number ${info} has no meaning`, at - 1);
    const size = 1 << (info - 24);
    need(size);
    const start = at;
    at += size;
    if (size < 8) return bytes.readUIntBE(start, size);
    const high = bytes.readUInt32BE(start);
    if (high < 0x200000) return high * 2 ** 32 + bytes.readUInt32BE(start + 4);
    return bytes.readBigUInt64BE(start);
  };
  const lengthOf = (info: number, unit: number): number => {
    const length = Number(argument(info));
    // Every item takes a byte at least, so what is announced must be there.
    if (length * unit > bytes.length - at) fail('more is announced than there is', at - 1);
    return length;
  };
  const isBreak = (): boolean => {
    need(1);
    if (bytes[at] !== 0xff) return false;
    at++;
    return true;
  };

  const textPiece = (length: number): string => {
    const start = at;
    at += length;
    let hash = length;
    for (let index = start; index < at; index++) {
      const byte = bytes[index]!;
      if (byte >= 0x80) return wideText(start);
      hash = (hash * 31 + byte) | 0;
    }
    if (length > wordLengthMax) return bytes.toString('latin1', start, at);
    const slot = hash & (wordsMax - 1);
    const known = words[slot];
    if (known !== undefined && isAt(known, start, length)) return known;
    const word = bytes.toString('latin1', start, at);
    words[slot] = word;
    return word;
  };
  const isAt = (word: string, start: number, length: number): boolean => {
    if (word.length !== length) return false;
    for (let index = 0; index < length; index++) {
      if (word.charCodeAt(index) !== bytes[start + index]) return false;
    }
    return true;
  };
  const wideText = (start: number): string => {
    try {
      const text = textOf(bytes.subarray(start, at));
      const hasMark =
        bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf;
      return hasMark ? `\ufeff${text}` : text;
    } catch {
      return fail('a text is not UTF-8', start);
    }
  };

  /** Calls `piece` for every part of a text or byte string. */
  const pieces = (major: number, info: number, piece: (length: number) => void): void => {
    if (info !== 31) {
      piece(lengthOf(info, 1));
      return;
    }
    while (!isBreak()) {
      const first = bytes[at++]!;
      if (first >> 5 !== major || (first & 31) === 31) fail('a part of another kind', at - 1);
      count();
      piece(lengthOf(first & 31, 1));
    }
  };
  const count = (): void => {
    if (++items > itemsMax) throw new DecodeError(`More than ${itemsMax} items.`);
  };

  const byteString = (info: number): Buffer => {
    const parts: Buffer[] = [];
    pieces(2, info, (length) => {
      parts.push(bytes.subarray(at, at + length));
      at += length;
    });
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  };
  const textString = (info: number): string => {
    let text = '';
    pieces(3, info, (length) => {
      text += textPiece(length);
    });
    return text;
  };

  const array = (info: number, level: number): Document => {
    const values: Document[] = [];
    if (info === 31) while (!isBreak()) values.push(item(level + 1));
    else for (let left = lengthOf(info, 1); left > 0; left--) values.push(item(level + 1));
    return values;
  };

  const map = (info: number, level: number): Document => {
    const members: Record<string, Document> = {};
    const member = (): void => {
      const start = at;
      const key = item(level + 1);
      if (typeof key === 'object' && key !== null) fail('a key is no plain value', start);
      const name = `${key as string | number | bigint | boolean | null}`;
      const value = item(level + 1);
      // Assigning it would mean the prototype.
      if (name === '__proto__') Object.defineProperty(members, name, { ...own, value });
      else members[name] = value;
    };
    if (info === 31) while (!isBreak()) member();
    else for (let left = lengthOf(info, 2); left > 0; left--) member();
    return members;
  };

  const tagged = (info: number, level: number): Document => {
    const start = at - 1;
    const tag = Number(argument(info));
    if (tag === 2 || tag === 3) return bignum(tag === 3, level);
    const outer = writing;
    writing = tag === 21 ? 'base64url' : tag === 22 ? 'base64' : tag === 23 ? 'hex' : writing;
    const value = item(level + 1);
    writing = outer;
    if (tag === 0 && (typeof value !== 'string' || Number.isNaN(isoMsOf(value)))) {
      fail('tag 0 marks a date and time, and this is none', start);
    }
    if (tag === 1 && typeof value !== 'number' && typeof value !== 'bigint') {
      fail('tag 1 marks seconds since 1970, and these are none', start);
    }
    return tag === 4 || tag === 5 ? fraction(value, tag === 4 ? 10 : 2, start) : value;
  };

  const bignum = (isNegative: boolean, level: number): Document => {
    if (level >= levelsMax) tooDeep();
    need(1);
    const first = bytes[at++]!;
    if (first >> 5 !== 2) fail('a bignum is made of bytes', at - 1);
    const digits = byteString(first & 31);
    if (digits.length > 128) fail('a bignum is larger than a double');
    const size = BigInt(`0x0${digits.toString('hex')}`);
    return integerOf(isNegative ? -1n - size : size);
  };

  const fraction = (parts: Document, base: number, start: number): Document => {
    const [exponent, mantissa] = Array.isArray(parts) ? (parts as Document[]) : [];
    const isWhole = typeof mantissa === 'bigint' || Number.isSafeInteger(mantissa);
    if (!Number.isSafeInteger(exponent) || !isWhole) return fail('this is no fraction', start);
    // As text a decimal fraction becomes the nearest double; a power of two is exact.
    return finite(
      base === 10 ? Number(`${mantissa}e${exponent}`) : Number(mantissa) * 2 ** Number(exponent),
    );
  };

  const simple = (info: number): Document => {
    if (info === 20) return false;
    if (info === 21) return true;
    if (info === 22 || info === 23) return null;
    const size = info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
    if (size === 0) return fail('a simple value without meaning', at - 1);
    need(size);
    at += size;
    if (size === 2) return finite(halfOf(bytes.readUInt16BE(at - 2)));
    return finite(size === 4 ? bytes.readFloatBE(at - 4) : bytes.readDoubleBE(at - 8));
  };

  const tooDeep = (): never => {
    throw new DecodeError(`Nested deeper than ${levelsMax} levels.`);
  };
  const item = (level: number): Document => {
    if (level > levelsMax) tooDeep();
    count();
    need(1);
    const first = bytes[at++]!;
    const info = first & 31;
    switch (first >> 5) {
      case 0:
        return argument(info);
      case 1: {
        const number = argument(info);
        const negative = typeof number === 'bigint' ? -1n - number : -1 - number;
        return integerOf(negative);
      }
      case 2:
        return byteString(info).toString(writing);
      case 3:
        return textString(info);
      case 4:
        return array(info, level);
      case 5:
        return map(info, level);
      case 6:
        return tagged(info, level);
      default:
        return simple(info);
    }
  };

  return {
    read(payload: Uint8Array, byteText: ByteText): Document {
      bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      at = 0;
      items = 0;
      writing = byteText;
      try {
        const document = item(0);
        if (at < bytes.length) fail('something more stands');
        return document;
      } finally {
        bytes = nothing;
      }
    },
  };
}

const own = { configurable: true, enumerable: true, writable: true };

/** A number where a double holds it exactly, a `bigint` within 64 bits, else the nearest double. */
function integerOf(value: number | bigint): number | bigint | null {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  const exact = BigInt(value);
  const fits = BigInt.asIntN(64, exact) === exact || BigInt.asUintN(64, exact) === exact;
  return fits ? exact : finite(number);
}

/** A sensor that sends no number has no value. */
function finite(number: number): number | null {
  return Number.isFinite(number) ? number : null;
}
