import type { Value } from '../event/event.ts';
import {
  decimalPlacesMax,
  powersOfTen,
  valueBigint,
  valueDecimal,
  valueDouble,
  valueFalse,
  valueInteger,
  valueSmall,
  valueText,
  valueTrue,
} from './format.ts';

/** Bytes that are not what they should be, though their checksum is right. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

/** Longest text that is looked up before a string is made of it. */
const knownBytesMax = 48;
const knownMask = 4_095;

/** Reads what `ByteWriter` has written. Never reads behind `end`. */
export class ByteReader {
  protected bytes: Buffer = Buffer.alloc(0);
  /** Where the next byte is. */
  at = 0;
  protected end = 0;
  private view: DataView = new DataView(new ArrayBuffer(0));
  /** The same few texts come again and again; most can be had without making a string. */
  private readonly known: string[] = new Array<string>(knownMask + 1).fill('');

  protected use(bytes: Buffer, at: number, end: number): void {
    if (bytes !== this.bytes) {
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      this.bytes = bytes;
    }
    this.at = at;
    this.end = end;
  }

  protected byte(): number {
    if (this.at >= this.end) throw new FormatError('an event ends too early');
    return this.bytes[this.at++]!;
  }

  varint(): number {
    const { bytes } = this;
    let { at } = this;
    let byte = bytes[at++]!;
    let value = byte & 127;
    for (let shift = 7; byte > 127 && shift < 35; shift += 7) {
      byte = bytes[at++]!;
      value |= (byte & 127) << shift;
    }
    if (at > this.end) throw new FormatError('a number ends too early');
    this.at = at;
    return value >>> 0;
  }

  protected zigzag(): number {
    const value = this.varint();
    return (value >>> 1) ^ -(value & 1);
  }

  protected double(): number {
    const { at } = this;
    if (at + 8 > this.end) throw new FormatError('a number ends too early');
    this.at = at + 8;
    return this.view.getFloat64(at, true);
  }

  protected text(): string {
    const header = this.varint();
    const { at } = this;
    const end = at + (header >>> 1);
    if (end > this.end) throw new FormatError('a text ends too early');
    this.at = end;
    if ((header & 1) === 1) return this.bytes.toString('utf16le', at, end);
    if (end - at > knownBytesMax) return this.bytes.toString('utf8', at, end);
    return this.shortText(at, end);
  }

  protected value(): Value {
    const kind = this.byte();
    if (kind >= valueSmall) return kind - valueSmall;
    if (kind > valueDecimal && kind <= valueDecimal + decimalPlacesMax) {
      return this.zigzag() / powersOfTen[kind - valueDecimal]!;
    }
    switch (kind) {
      case valueInteger:
        return this.zigzag();
      case valueDouble:
        return this.double();
      case valueText:
        return this.text();
      case valueTrue:
        return true;
      case valueFalse:
        return false;
      case valueBigint:
        return this.bigint();
      default:
        throw new FormatError(`there is no kind of value ${kind}`);
    }
  }

  private bigint(): bigint {
    const header = this.varint();
    const end = this.at + (header >>> 1);
    if (end > this.end || end === this.at) throw new FormatError('a number ends too early');
    const magnitude = BigInt(`0x${this.bytes.toString('hex', this.at, end)}`);
    this.at = end;
    return (header & 1) === 1 ? -magnitude : magnitude;
  }

  private shortText(at: number, end: number): string {
    const { bytes } = this;
    let hash = end - at;
    let all = 0;
    for (let i = at; i < end; i++) {
      const byte = bytes[i]!;
      hash = (Math.imul(hash, 31) + byte) | 0;
      all |= byte;
    }
    if (all > 127) return bytes.toString('utf8', at, end);
    const slot = (hash ^ (hash >>> 12)) & knownMask;
    const known = this.known[slot]!;
    if (isAt(bytes, at, end, known)) return known;
    const text = bytes.toString('latin1', at, end);
    this.known[slot] = text;
    return text;
  }
}

function isAt(bytes: Buffer, at: number, end: number, text: string): boolean {
  if (text.length !== end - at) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
