/**
 * The wire format of Protocol Buffers, read in place.
 *
 *   message = ( tag value )*                       tag = varint: field number × 8 + wire type
 *   0 varint: 7 bits a byte, lowest first          1 eight bytes           5 four bytes
 *   2 length as varint, then so many bytes         3 … 4 a group, from its beginning to its end
 *
 * Numbers of four and eight bytes are little-endian.
 */
import { isUtf8 } from 'node:buffer';
import { DecodeError } from './codec.ts';

export const wireTypes = [
  'a varint',
  '8 bytes',
  'a length',
  'a group',
  'the end of a group',
  '4 bytes',
];

/** Groups may stand within each other this deep while they are skipped. */
const groupsMax = 32;
/** A shorter text is read faster without the decoder. */
const shortText = 24;

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);
const noBytes = Buffer.alloc(0);

/**
 * Reads one value after the other and moves on; throws `DecodeError` rather than read beyond `end`.
 * Nothing is copied until a value is made.
 */
export class WireReader {
  bytes: Buffer = noBytes;
  at = 0;
  /** Where the message that is being read ends. */
  end = 0;
  /** What is being read, for the words of an error. */
  place = '';
  /** The halves of the varint that was read last. */
  low = 0;
  high = 0;

  open(payload: Uint8Array, place: string): void {
    this.bytes = Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    this.at = 0;
    this.end = payload.byteLength;
    this.place = place;
  }

  /** Lets go of the payload. */
  close(): void {
    this.bytes = noBytes;
  }

  /** The number of the next field, times 8, and its wire type. */
  tag(): number {
    const first = this.at < this.end ? this.bytes[this.at]! : 0x80;
    if (first < 0x80 && first >= 8) {
      this.at++;
      return first;
    }
    const start = this.at;
    this.varint();
    if (this.high !== 0 || this.low >>> 3 === 0 || (this.low & 7) > 5) {
      this.fail(`no field can have the tag ${this.low >>> 0}`, start);
    }
    return this.low >>> 0;
  }

  /** Reads into `low` and `high`, both from 0 to 2³² − 1 as unsigned numbers. */
  varint(): void {
    const { bytes, end } = this;
    let { at } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) this.cut();
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.at = at;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    this.fail('a varint has more than 10 bytes', this.at);
  }

  uint32(): number {
    const byte = this.bytes[this.at]!;
    if (this.at < this.end && byte < 0x80) {
      this.at++;
      return byte;
    }
    this.varint();
    return this.low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  bool(): boolean {
    this.varint();
    return this.low !== 0 || this.high !== 0;
  }

  uint64(): number | bigint {
    this.varint();
    return unsigned(this.low, this.high);
  }

  int64(): number | bigint {
    this.varint();
    return signed(this.low, this.high);
  }

  sint64(): number | bigint {
    this.varint();
    const sign = -(this.low & 1);
    const low = (((this.low >>> 1) | (this.high << 31)) ^ sign) >>> 0;
    return signed(low, ((this.high >>> 1) ^ sign) >>> 0);
  }

  fixed32(): number {
    this.need(4);
    const { bytes, at } = this;
    this.at = at + 4;
    return (
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    );
  }

  fixed64(): number | bigint {
    const low = this.fixed32();
    return unsigned(low, this.fixed32());
  }

  sfixed64(): number | bigint {
    const low = this.fixed32();
    return signed(low, this.fixed32());
  }

  /** The number with the fewest digits that is the same in single precision, if 6 decimals will do. */
  float(): number {
    this.take(4);
    return plainest(scratchView.getFloat32(0, true));
  }

  double(): number {
    this.take(8);
    return scratchView.getFloat64(0, true);
  }

  /** The length that comes next, made sure to be there. */
  length(): number {
    const byte = this.bytes[this.at]!;
    if (this.at < this.end && byte < 0x80) this.at++;
    else this.varint();
    const length = byte < 0x80 ? byte : this.low;
    if (length > this.end - this.at || (byte >= 0x80 && this.high !== 0)) this.cut();
    return length;
  }

  string(): string {
    const length = this.length();
    const start = this.at;
    const { bytes } = this;
    this.at = start + length;
    if (length <= shortText) {
      let text = '';
      let at = start;
      for (; at < this.at; at++) {
        const byte = bytes[at]!;
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (at === this.at) return text;
    }
    const text = bytes.toString('utf8', start, this.at);
    if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, this.at))) {
      this.fail('the text is not UTF-8', start);
    }
    return text;
  }

  /** The bytes themselves, not a copy. */
  slice(): Buffer {
    const length = this.length();
    const start = this.at;
    this.at = start + length;
    return this.bytes.subarray(start, this.at);
  }

  /** Passes over the value of a field that nobody knows. */
  skip(tag: number, level = 0): void {
    switch (tag & 7) {
      case 0:
        this.varint();
        return;
      case 1:
        this.need(8);
        this.at += 8;
        return;
      case 2:
        this.slice();
        return;
      case 5:
        this.need(4);
        this.at += 4;
        return;
      case 3:
        this.skipGroup(tag, level);
        return;
      default:
        this.fail('a group ends that has not begun', this.at);
    }
  }

  private skipGroup(tag: number, level: number): void {
    if (level >= groupsMax) this.fail(`groups are nested deeper than ${groupsMax}`, this.at);
    for (;;) {
      const inner = this.tag();
      if ((inner & 7) !== 4) this.skip(inner, level + 1);
      else if (inner >>> 3 === tag >>> 3) return;
      else this.fail('another group ends than has begun', this.at);
    }
  }

  private take(length: number): void {
    this.need(length);
    const { bytes, at } = this;
    for (let index = 0; index < length; index++) scratch[index] = bytes[at + index]!;
    this.at = at + length;
  }

  private need(length: number): void {
    if (length > this.end - this.at) this.cut();
  }

  private cut(): never {
    this.fail(`the bytes end within it, after byte ${this.end}`, this.at);
  }

  /** Bytes are counted from 1. */
  fail(problem: string, at: number): never {
    throw new DecodeError(`${this.place} at byte ${at + 1}: ${problem}.`);
  }
}

/** A `bigint` where a double would lose digits. */
export function unsigned(low: number, high: number): number | bigint {
  if (high < 0x200000) return high * 0x1_0000_0000 + low;
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The same of two's complement. */
export function signed(low: number, high: number): number | bigint {
  const upper = high | 0;
  if (upper >= -0x200000 && upper < 0x200000) {
    const value = upper * 0x1_0000_0000 + low;
    if (Number.isSafeInteger(value)) return value;
  }
  return (BigInt(upper) << 32n) | BigInt(low);
}

/**
 * Of the doubles that are this float in single precision, the one people wrote: 21.3 rather than
 * 21.299999237060547. What has more than 6 decimals stays as it is.
 */
export function plainest(float: number): number {
  const size = Math.abs(float);
  if (!(size < 1e6 && size > 1e-6) || Number.isInteger(float)) return float;
  let rounded = Math.round(float * 100) / 100;
  if (Math.fround(rounded) === float) return rounded;
  rounded = Math.round(float * 1e4) / 1e4;
  if (Math.fround(rounded) === float) return rounded;
  rounded = Math.round(float * 1e6) / 1e6;
  return Math.fround(rounded) === float ? rounded : float;
}
