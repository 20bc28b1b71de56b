/**
 * One value at a fixed place in a record of bytes.
 *
 *   u8 … u64, i8 … i64   whole numbers of whole bytes, without and with sign
 *   f16 f32 f64          floats of IEEE 754
 *   bits                 the next so many bits; big: from the highest of a byte, little: from the lowest
 *   bool                 a byte that is not 0
 *   bcd                  two decimal digits a byte
 *   ascii, hex           a text up to its first NUL; bytes as hexadecimal digits
 *   skip                 nothing
 */
import { z } from 'zod';
import type { Value } from '../event/event.ts';
import { DecodeError } from './codec.ts';
import { halfBitsOf, halfOf } from './half.ts';
import { createScale } from './scale.ts';
import { textOf } from './utf8.ts';

const integers = [8, 16, 24, 32, 40, 48, 56, 64].flatMap((bits) => [`u${bits}`, `i${bits}`]);
const fieldTypes = [
  ...integers,
  ...['f16', 'f32', 'f64', 'bits', 'bool', 'bcd', 'ascii', 'hex', 'skip'],
] as [string, ...string[]];

export const fieldOptions = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('The name of the value. Without it, the bytes are passed over.'),
  type: z.enum(fieldTypes).describe('What the bytes are.'),
  endian: z.enum(['big', 'little']).optional().describe('Default: that of the whole layout.'),
  offset: z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe('The first byte, counted from 0 in the record. Default: behind the field before.'),
  length: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe('Bytes of bcd, ascii, hex and skip. Default: 1; of ascii and hex all that are left.'),
  bits: z.int().min(1).max(64).optional().describe('How many bits: of type bits only. Default: 1.'),
  signed: z.boolean().optional().describe('Whether bits are a number with a sign.'),
  scale: z.number().optional().describe('What a number is multiplied by, …'),
  add: z.number().optional().describe('… and what is added then.'),
  decimals: z.int().min(0).max(15).optional().describe('Decimals that a number is rounded to.'),
  missing: z
    .union([z.number(), z.array(z.number())])
    .optional()
    .describe('Numbers, before they are scaled, that mean that there is no value.'),
  enum: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .optional()
    .describe('What numbers stand for, such as { 0: closed, 1: open }.'),
  unit: z.string().optional().describe('Kept as a text beside the value, named with _unit behind.'),
});
export type FieldOptions = z.output<typeof fieldOptions>;

/** Where a field stands in its record. */
export interface Place {
  readonly at: number;
  /** Of bits: the first, counted from those of `at` on. */
  readonly bit: number;
  readonly isLittle: boolean;
}

/** Bytes to one value and back; `at` is the first byte of the record. */
export interface Field {
  readonly name: string | undefined;
  readonly unit: string | undefined;
  /** The number as it stands there. Throws `DecodeError` for what is none. */
  raw(bytes: Buffer, at: number): Value;
  /** What it means; undefined for no value. */
  valueOf(raw: Value): Value | undefined;
  /** Puts a value into bytes that are zero; undefined is what says that there is none. */
  write(bytes: Buffer, at: number, value: Value | undefined): void;
}

export function createField(options: FieldOptions, place: Place): Field {
  const { at: offset } = place;
  const raw = rawOf(options, place);
  const put = writerOf(options, place);
  const { decimals } = options;
  const missing = new Set([options.missing ?? []].flat());
  const meanings = new Map(Object.entries(options.enum ?? {}));
  const codes = new Map(Object.entries(options.enum ?? {}).map(([code, meant]) => [meant, code]));
  const scale = createScale(options.scale ?? 1, options.add ?? 0);
  const isScaled = options.scale !== undefined || options.add !== undefined;
  // A flag is true or false, unless it is said to be a number or to mean something.
  const isFlag =
    options.type === 'bool' ||
    (options.type === 'bits' && (options.bits ?? 1) === 1 && !isScaled && meanings.size === 0);

  return {
    name: options.name,
    unit: options.unit,
    raw: (bytes, at) => raw(bytes, at + offset),
    valueOf(found) {
      if (typeof found === 'string') return found;
      if (missing.has(Number(found))) return undefined;
      if (meanings.size > 0) return meanings.get(`${found}`) ?? found;
      if (isFlag) return Number(found) !== 0;
      const number = isScaled ? scale.of(found as number | bigint) : found;
      if (typeof number !== 'number') return number;
      if (!Number.isFinite(number)) return undefined;
      return decimals === undefined ? number : Number(number.toFixed(decimals));
    },
    write(bytes, at, value) {
      if (value === undefined) {
        const [none] = missing;
        if (none !== undefined) put(bytes, at + offset, none);
      } else if (typeof value === 'boolean' && !codes.has(value)) {
        put(bytes, at + offset, Number(value));
      } else if (codes.has(value as string))
        put(bytes, at + offset, Number(codes.get(value as string)));
      else if (typeof value === 'string' || !isScaled) put(bytes, at + offset, value);
      else put(bytes, at + offset, scale.undo(Number(value), !options.type.startsWith('f')));
    },
  };
}

/** Bytes that a field takes; of ascii and hex without a length, 0: all that are left. */
export function sizeOf({ type, length, bits = 1 }: FieldOptions): number {
  if (type === 'bits') return Math.ceil(bits / 8);
  if (type === 'ascii' || type === 'hex') return length ?? 0;
  if (type === 'bcd' || type === 'skip') return length ?? 1;
  return type === 'bool' ? 1 : Number(type.slice(1)) / 8;
}

type Raw = (bytes: Buffer, at: number) => Value;
type Put = (bytes: Buffer, at: number, value: Value) => void;

function rawOf(options: FieldOptions, { bit, isLittle }: Place): Raw {
  const size = sizeOf(options);
  switch (options.type) {
    case 'bits':
      return (bytes, at) => bitsAt(bytes, at * 8 + bit, options, isLittle);
    case 'bool':
      return (bytes, at) => bytes[at]!;
    case 'f16':
      return (bytes, at) => halfOf(isLittle ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
    case 'f32':
      return (bytes, at) => (isLittle ? bytes.readFloatLE(at) : bytes.readFloatBE(at));
    case 'f64':
      return (bytes, at) => (isLittle ? bytes.readDoubleLE(at) : bytes.readDoubleBE(at));
    case 'bcd':
      return (bytes, at) => decimalOf(bytes.subarray(at, at + size), isLittle);
    case 'ascii':
      return (bytes, at) => textIn(size === 0 ? bytes.subarray(at) : bytes.subarray(at, at + size));
    case 'hex':
      return (bytes, at) => bytes.toString('hex', at, size === 0 ? bytes.length : at + size);
    case 'skip':
      return () => 0;
    default:
      return integerReader(options.type, size, isLittle);
  }
}

function integerReader(type: string, size: number, isLittle: boolean): Raw {
  const isSigned = type.startsWith('i');
  if (size <= 6) {
    if (isSigned) {
      return (bytes, at) => (isLittle ? bytes.readIntLE(at, size) : bytes.readIntBE(at, size));
    }
    return (bytes, at) => (isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size));
  }
  return (bytes, at) => {
    let value = 0n;
    for (let index = 0; index < size; index++) {
      value = (value << 8n) | BigInt(bytes[isLittle ? at + size - 1 - index : at + index]!);
    }
    return plain(isSigned ? BigInt.asIntN(size * 8, value) : value);
  };
}

function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A bit of a stream that begins with the first byte. */
function bitAt(bytes: Uint8Array, index: number, isLittle: boolean): number {
  const shift = isLittle ? index & 7 : 7 - (index & 7);
  return (bytes[index >> 3]! >> shift) & 1;
}

function bitsAt(
  bytes: Uint8Array,
  from: number,
  { bits = 1, signed = false }: FieldOptions,
  isLittle: boolean,
): number | bigint {
  if (bits > 48) return manyBitsAt(bytes, from, bits, signed, isLittle);
  let value = 0;
  for (let index = 0; index < bits; index++) {
    value = value * 2 + bitAt(bytes, from + (isLittle ? bits - 1 - index : index), isLittle);
  }
  return signed && value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
}

function manyBitsAt(
  bytes: Uint8Array,
  from: number,
  bits: number,
  signed: boolean,
  isLittle: boolean,
): number | bigint {
  let value = 0n;
  for (let index = 0; index < bits; index++) {
    const bit = bitAt(bytes, from + (isLittle ? bits - 1 - index : index), isLittle);
    value = (value << 1n) | BigInt(bit);
  }
  return plain(signed ? BigInt.asIntN(bits, value) : value);
}

function decimalOf(bytes: Buffer, isLittle: boolean): number | bigint {
  const digits = (isLittle ? Buffer.from(bytes).reverse() : bytes).toString('hex');
  if (!/^\d+$/.test(digits)) throw new DecodeError(`${digits} are no decimal digits.`);
  return plain(BigInt(digits));
}

function textIn(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return textOf(end < 0 ? bytes : bytes.subarray(0, end)).trimEnd();
}

function writerOf(options: FieldOptions, { bit, isLittle }: Place): Put {
  const size = sizeOf(options);
  const pad = (value: Value, into: Buffer, at: number, bytes: Buffer): void => {
    if (size !== 0 && bytes.length > size) throw new RangeError(`${value} has no place.`);
    bytes.copy(into, at);
  };
  switch (options.type) {
    case 'bits':
      return (bytes, at, value) => {
        const number = BigInt.asUintN(options.bits ?? 1, BigInt(value));
        const count = options.bits ?? 1;
        for (let index = 0; index < count; index++) {
          const isSet = (number >> BigInt(isLittle ? index : count - 1 - index)) & 1n;
          const place = at * 8 + bit + index;
          if (isSet) bytes[place >> 3]! |= isLittle ? 1 << (place & 7) : 0x80 >> (place & 7);
        }
      };
    case 'bool':
      return (bytes, at, value) => void bytes.writeUInt8(value ? 1 : 0, at);
    case 'f16':
      return (bytes, at, value) => {
        const bits = halfBitsOf(Number(value));
        if (isLittle) bytes.writeUInt16LE(bits, at);
        else bytes.writeUInt16BE(bits, at);
      };
    case 'f32':
      return (bytes, at, value) =>
        void (isLittle
          ? bytes.writeFloatLE(Number(value), at)
          : bytes.writeFloatBE(Number(value), at));
    case 'f64':
      return (bytes, at, value) =>
        void (isLittle
          ? bytes.writeDoubleLE(Number(value), at)
          : bytes.writeDoubleBE(Number(value), at));
    case 'bcd':
      return (bytes, at, value) => {
        const digits = Buffer.from(`${value}`.padStart(size * 2, '0'), 'hex');
        pad(value, bytes, at, isLittle ? digits.reverse() : digits);
      };
    case 'ascii':
      return (bytes, at, value) => pad(value, bytes, at, Buffer.from(`${value}`));
    case 'hex':
      return (bytes, at, value) => pad(value, bytes, at, Buffer.from(`${value}`, 'hex'));
    case 'skip':
      return () => {};
    default:
      return integerWriter(options.type, size, isLittle);
  }
}

function integerWriter(type: string, size: number, isLittle: boolean): Put {
  const bits = size * 8;
  return (bytes, at, value) => {
    const integer = BigInt(value);
    const isSigned = type.startsWith('i');
    const fits = isSigned ? BigInt.asIntN(bits, integer) : BigInt.asUintN(bits, integer);
    if (fits !== integer) throw new RangeError(`${value} does not fit in ${type}.`);
    let rest = BigInt.asUintN(bits, integer);
    for (let index = 0; index < size; index++) {
      bytes[isLittle ? at + index : at + size - 1 - index] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  };
}
