import type { Value } from '../event/event.ts';
import { createField, type Field, type FieldOptions, sizeOf } from './bytes-field.ts';
import { DecodeError } from './codec.ts';

export type Row = Record<string, Value>;

/** A sequence of fields: bytes to a row of values and back. */
export interface Layout {
  /** Bytes of one record; where its last field takes all that are left, the least there may be. */
  readonly size: number;
  /** Whether the last field takes all that are left. */
  readonly isOpen: boolean;
  /** The record that begins at `at`, put into `row`. Throws `DecodeError` where it is not whole. */
  read(bytes: Buffer, at: number, row: Row): void;
  /** The number under a name as it stands there, before it means anything. */
  raw(bytes: Buffer, at: number, name: string): Value;
  write(row: Readonly<Record<string, Value | undefined>>): Buffer;
}

/** What is wrong with a layout, and with which of its fields. */
export class LayoutError extends Error {
  override readonly name = 'LayoutError';
  readonly index: number;
  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

/** Throws `LayoutError` for fields that cannot stand so. */
export function createLayout(options: readonly FieldOptions[], endian: 'big' | 'little'): Layout {
  const { fields, size, isOpen } = placed(options, endian);
  const named = fields.filter(({ field }) => field.name !== undefined);
  return {
    size,
    isOpen,
    read(bytes, at, row) {
      for (const { field, end } of named) {
        const name = field.name!;
        if (at + end > bytes.length) {
          throw new DecodeError(`The bytes end at ${bytes.length}; ${name} needs ${at + end}.`);
        }
        const value = field.valueOf(checkedRaw(field, bytes, at));
        if (value === undefined) continue;
        row[name] = value;
        if (field.unit !== undefined) row[`${name}_unit`] = field.unit;
      }
    },
    raw(bytes, at, name) {
      const { field, end } = named.find((each) => each.field.name === name)!;
      if (at + end > bytes.length) throw new DecodeError(`The bytes end within ${name}.`);
      return field.raw(bytes, at);
    },
    write(row) {
      const open = isOpen ? (named.at(-1)?.field ?? undefined) : undefined;
      const text = open === undefined ? undefined : row[open.name!];
      const isHex = options.at(-1)?.type === 'hex';
      const extra = text === undefined ? 0 : Buffer.byteLength(`${text}`, isHex ? 'hex' : 'utf8');
      const bytes = Buffer.alloc(size + extra);
      for (const { field } of named) field.write(bytes, 0, row[field.name!]);
      return bytes;
    },
  };
}

function checkedRaw(field: Field, bytes: Buffer, at: number): Value {
  try {
    return field.raw(bytes, at);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new DecodeError(`${field.name} in the record at byte ${at + 1}: ${error.message}`);
  }
}

interface PlacedField {
  readonly field: Field;
  /** Where its last byte ends, counted from the beginning of the record. */
  readonly end: number;
}

function placed(options: readonly FieldOptions[], endian: 'big' | 'little') {
  const fields: PlacedField[] = [];
  const names = new Set<string>();
  let at = 0;
  let bit = 0;
  let size = 0;
  let isOpen = false;
  let bitEndian = endian;
  options.forEach((each, index) => {
    const fail = (message: string): never => {
      throw new LayoutError(index, message);
    };
    const own = each.endian ?? endian;
    if (isOpen) fail('stands behind a text without a length, which takes all that is left');
    if (each.type !== 'bits' && (each.bits !== undefined || each.signed !== undefined)) {
      fail('bits and signed belong to the type bits');
    }
    if (each.name !== undefined && names.has(each.name)) fail(`${each.name} is there twice`);
    if (each.name !== undefined) names.add(each.name);
    const continues = each.type === 'bits' && each.offset === undefined;
    if (bit !== 0 && !continues) {
      if (bit % 8 !== 0 && each.offset === undefined) {
        fail(`the bits before it end within a byte: add { type: bits, bits: ${8 - (bit % 8)} }`);
      }
      at += Math.ceil(bit / 8);
      bit = 0;
    }
    if (bit !== 0 && own !== bitEndian) fail('bits in one byte have one endian');
    if (each.offset !== undefined) at = each.offset;
    bitEndian = own;
    const field = createField(each, { at, bit, isLittle: own === 'little' });
    let end: number;
    if (each.type === 'bits') {
      bit += each.bits ?? 1;
      end = at + Math.ceil(bit / 8);
    } else {
      isOpen = sizeOf(each) === 0;
      at += sizeOf(each);
      end = at;
    }
    size = Math.max(size, end);
    fields.push({ field, end });
  });
  return { fields, size, isOpen };
}
