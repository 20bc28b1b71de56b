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

/** Longest ASCII text that is copied character by character: calling into C++ costs more. */
const shortText = 24;
/** Longest text for which room is made as if each of its characters took three bytes. */
const longText = 1_024;
const scaledMax = 2 ** 30;
/** What any number needs at the most. */
const numberBytes = 10;

/** Bytes that grow as they are written, kept for the next use. */
export class ByteWriter {
  bytes: Buffer;
  /** Where the next byte goes. */
  at = 0;
  private view: DataView;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  use(bytes: Buffer): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  /** Makes room for so many bytes more. */
  reserve(count: number): void {
    if (this.at + count > this.bytes.length) this.grow(count);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  /** A whole number from 0 to 2^32 - 1. */
  varint(value: number): void {
    this.reserve(5);
    const { bytes } = this;
    let { at } = this;
    let rest = value >>> 0;
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  /** A whole number of 32 bits, with its sign. */
  zigzag(value: number): void {
    this.varint((value << 1) ^ (value >> 31));
  }

  double(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  raw(bytes: Uint8Array): void {
    const { length } = bytes;
    this.reserve(length);
    if (length <= shortText) {
      const target = this.bytes;
      const { at } = this;
      for (let i = 0; i < length; i++) target[at + i] = bytes[i]!;
    } else {
      this.bytes.set(bytes, this.at);
    }
    this.at += length;
  }

  text(value: string): void {
    if (value.length <= shortText ? this.ascii(value) : this.longAscii(value)) return;
    const length = Buffer.byteLength(value);
    // Half of a surrogate pair has no UTF-8.
    if (length > value.length && /\p{Surrogate}/u.test(value)) {
      this.varint(value.length * 4 + 1);
      this.reserve(value.length * 2);
      this.at += this.bytes.write(value, this.at, 'utf16le');
    } else {
      this.varint(length * 2);
      this.reserve(length);
      this.at += this.bytes.write(value, this.at, 'utf8');
    }
  }

  /** Throws for what is not a `Value`. */
  value(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.number(value);
        return;
      case 'boolean':
        this.byte(value ? valueTrue : valueFalse);
        return;
      case 'string':
        this.byte(valueText);
        this.text(value);
        return;
      case 'bigint':
        this.bigint(value);
        return;
      default:
        throw new TypeError(`a field cannot hold ${value === null ? 'null' : typeof value}`);
    }
  }

  private number(value: number): void {
    this.reserve(numberBytes);
    const integer = value | 0;
    if (integer === value) {
      if (integer > 0 && integer < 128) this.bytes[this.at++] = valueSmall + integer;
      else if (integer !== 0) this.kindAndZigzag(valueInteger, integer);
      else if (Object.is(value, 0)) this.bytes[this.at++] = valueSmall;
      else this.exactly(value);
      return;
    }
    for (let places = 1; places <= decimalPlacesMax; places++) {
      const power = powersOfTen[places]!;
      const scaled = Math.round(value * power);
      // Beyond 32 bits a decimal is hardly shorter than a double.
      if (scaled > scaledMax || scaled < -scaledMax) break;
      if (scaled / power === value) {
        this.kindAndZigzag(valueDecimal + places, scaled);
        return;
      }
    }
    this.exactly(value);
  }

  /** Room has been made. */
  private kindAndZigzag(kind: number, value: number): void {
    const { bytes } = this;
    let { at } = this;
    bytes[at++] = kind;
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  private exactly(value: number): void {
    this.bytes[this.at++] = valueDouble;
    this.double(value);
  }

  private bigint(value: bigint): void {
    const negative = value < 0n;
    const digits = (negative ? -value : value).toString(16);
    const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
    this.byte(valueBigint);
    this.varint(magnitude.length * 2 + (negative ? 1 : 0));
    this.raw(magnitude);
  }

  private ascii(value: string): boolean {
    const { length } = value;
    this.reserve(length + 1);
    const { bytes, at } = this;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 127) return false;
      bytes[at + 1 + i] = code;
    }
    bytes[at] = length * 2;
    this.at = at + 1 + length;
    return true;
  }

  /** Writes first: only ASCII takes a byte for each character. Asking before costs as much again. */
  private longAscii(value: string): boolean {
    const { length } = value;
    if (length > longText) return false;
    const { at } = this;
    this.reserve(length * 3 + 5);
    this.varint(length * 2);
    const written = this.bytes.write(value, this.at);
    this.at = written === length ? this.at + length : at;
    return written === length;
  }

  private grow(count: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.at + count, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.at);
    const { at } = this;
    this.use(grown);
    this.at = at;
  }
}
