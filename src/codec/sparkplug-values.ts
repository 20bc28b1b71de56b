import { DecodeError } from './codec.ts';
import { plainest, signed, unsigned } from './protobuf-wire.ts';
import {
  type DataSet,
  forms,
  type RawValue,
  signedOf,
  type Template,
  unsignedOf,
} from './sparkplug-payload.ts';

/** The datatypes of Sparkplug B by their numbers (clause 6.4.16). */
export const datatypes = [
  'Unknown',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'UInt8',
  'UInt16',
  'UInt32',
  'UInt64',
  'Float',
  'Double',
  'Boolean',
  'String',
  'DateTime',
  'Text',
  'UUID',
  'DataSet',
  'Bytes',
  'File',
  'Template',
  'PropertySet',
  'PropertySetList',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Int64Array',
  'UInt8Array',
  'UInt16Array',
  'UInt32Array',
  'UInt64Array',
  'FloatArray',
  'DoubleArray',
  'BooleanArray',
  'StringArray',
  'DateTimeArray',
] as const;
export type Datatype = (typeof datatypes)[number];

const firstArray = 22;
/** Elements of one array. */
const elementsMax = 20_000;

/** Where values go, and under which names. */
export interface ValueTarget {
  put(name: string, value: number | bigint | boolean | string): void;
}

/**
 * Puts what a value means. A whole number takes its sign and its size from the datatype; bytes and
 * files become base64; a date stays a number, of milliseconds. Parts of one value are named with
 * slashes, as metrics are: `table/0/column`, `motor/rpm`, `array/0`. Nothing is put for what has no
 * value: null, NaN, the infinities, the definition of a template.
 */
export function putValue(
  target: ValueTarget,
  name: string,
  value: RawValue,
  datatype: number,
): void {
  switch (value.form) {
    case forms.int:
    case forms.long:
      target.put(name, wholeNumber(value, datatype));
      return;
    case forms.float:
    case forms.double:
      if (Number.isFinite(value.raw)) target.put(name, value.raw as number);
      return;
    case forms.boolean:
    case forms.string:
      target.put(name, value.raw as boolean | string);
      return;
    case forms.bytes:
      putBytes(target, name, value.raw as Buffer, datatype);
      return;
    case forms.dataSet:
      putDataSet(target, name, value.raw as DataSet);
      return;
    case forms.template:
      putTemplate(target, name, value.raw as Template);
      return;
    default:
  }
}

/** Some devices write a small negative number in 8 bits, others in 32 or 64. */
function wholeNumber(value: RawValue, datatype: number): number | bigint | boolean {
  switch (datatypes[datatype]) {
    case 'Int8':
      return (value.low << 24) >> 24;
    case 'Int16':
      return (value.low << 16) >> 16;
    case 'Int32':
      return value.low | 0;
    case 'Int64':
      return signedOf(value);
    case 'UInt8':
      return value.low & 0xff;
    case 'UInt16':
      return value.low & 0xffff;
    case 'UInt32':
      return value.low;
    case 'Boolean':
      return value.low !== 0;
    default:
      return unsignedOf(value);
  }
}

function putBytes(target: ValueTarget, name: string, bytes: Buffer, datatype: number): void {
  if (datatype < firstArray || datatype >= datatypes.length) {
    target.put(name, bytes.toString('base64'));
    return;
  }
  const values = arrayOf(bytes, datatypes[datatype] as Datatype);
  values.forEach((value, index) => {
    if (typeof value !== 'number' || Number.isFinite(value)) target.put(`${name}/${index}`, value);
  });
}

type Element = number | bigint | boolean | string;

const strides: Partial<
  Record<Datatype, readonly [bytes: number, at: (b: Buffer, at: number) => Element]>
> = {
  Int8Array: [1, (b, at) => b.readInt8(at)],
  Int16Array: [2, (b, at) => b.readInt16LE(at)],
  Int32Array: [4, (b, at) => b.readInt32LE(at)],
  Int64Array: [8, (b, at) => signed(b.readUInt32LE(at), b.readUInt32LE(at + 4))],
  UInt8Array: [1, (b, at) => b[at]!],
  UInt16Array: [2, (b, at) => b.readUInt16LE(at)],
  UInt32Array: [4, (b, at) => b.readUInt32LE(at)],
  UInt64Array: [8, (b, at) => unsigned(b.readUInt32LE(at), b.readUInt32LE(at + 4))],
  FloatArray: [4, (b, at) => plainest(b.readFloatLE(at))],
  DoubleArray: [8, (b, at) => b.readDoubleLE(at)],
  DateTimeArray: [8, (b, at) => unsigned(b.readUInt32LE(at), b.readUInt32LE(at + 4))],
};

/** Arrays are packed into bytes, little-endian (clause 6.4.17). */
function arrayOf(bytes: Buffer, datatype: Datatype): Element[] {
  if (datatype === 'BooleanArray') return booleansOf(bytes);
  if (datatype === 'StringArray') {
    const texts = bytes.length === 0 ? [] : bytes.toString().replace(/\0$/, '').split('\0');
    checkCount(texts.length);
    return texts;
  }
  const [stride, at] = strides[datatype]!;
  if (bytes.length % stride !== 0) {
    throw new DecodeError(
      `A ${datatype} has ${stride} bytes an element; these are ${bytes.length}.`,
    );
  }
  const length = bytes.length / stride;
  checkCount(length);
  return Array.from({ length }, (_, index) => at(bytes, index * stride));
}

function checkCount(elements: number): void {
  if (elements > elementsMax)
    throw new DecodeError(`An array has more than ${elementsMax} elements.`);
}

/** Four bytes say how many there are; the first is the highest bit of the next byte. */
function booleansOf(bytes: Buffer): boolean[] {
  const count = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (bytes.length < 4 || count > (bytes.length - 4) * 8) {
    throw new DecodeError(
      `A BooleanArray of ${bytes.length} bytes does not hold its ${count} bits.`,
    );
  }
  checkCount(count);
  return Array.from(
    { length: count },
    (_, index) => (bytes[4 + (index >>> 3)]! & (0x80 >>> (index & 7))) !== 0,
  );
}

function putDataSet(target: ValueTarget, name: string, { columns, types, rows }: DataSet): void {
  rows.forEach((cells, row) => {
    cells.forEach((cell, column) => {
      putValue(target, `${name}/${row}/${columns[column] ?? column}`, cell, types[column] ?? 0);
    });
  });
}

function putTemplate(
  target: ValueTarget,
  name: string,
  { isDefinition, metrics, parameters }: Template,
): void {
  if (isDefinition) return;
  for (const each of parameters) putValue(target, `${name}/${each.name}`, each, each.type);
  for (const each of metrics) {
    if (!each.isNull && each.name !== undefined) {
      putValue(target, `${name}/${each.name}`, each, each.datatype);
    }
  }
}
