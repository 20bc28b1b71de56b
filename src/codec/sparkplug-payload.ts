/**
 * A Sparkplug B payload (Eclipse Sparkplug 3.0, clause 6.4): Protocol Buffers, by these numbers.
 *
 *   Payload    1 timestamp  2 metrics*  3 seq  4 uuid  5 body
 *   Metric     1 name  2 alias  3 timestamp  4 datatype  5 is_historical  6 is_transient  7 is_null
 *              8 metadata  9 properties  and one value:
 *              10 int  11 long  12 float  13 double  14 boolean  15 string  16 bytes  17 dataset
 *              18 template  19 extension
 *   DataSet    1 num_of_columns  2 columns*  3 types*  4 rows*          Row   1 elements*
 *   Element    1 int  2 long  3 float  4 double  5 boolean  6 string  7 extension
 *   Template   1 version  2 metrics*  3 parameters*  4 template_ref  5 is_definition
 *   Parameter  1 name  2 type  3 int  4 long  5 float  6 double  7 boolean  8 string  9 extension
 */
import { signed, unsigned, WireReader } from './protobuf-wire.ts';

/** Which of the forms a value has; the numbers are those of the fields of a metric. */
export const forms = {
  none: 0,
  int: 10,
  long: 11,
  float: 12,
  double: 13,
  boolean: 14,
  string: 15,
  bytes: 16,
  dataSet: 17,
  template: 18,
  extension: 19,
} as const;

/** A value as it stands in the payload: what it means, its datatype says. */
export class RawValue {
  form = 0;
  /** Of an int or a long: the halves. */
  low = 0;
  high = 0;
  raw: number | boolean | string | Buffer | DataSet | Template | undefined = undefined;
}

export class Metric extends RawValue {
  name: string | undefined = undefined;
  alias: number | bigint | undefined = undefined;
  /** Milliseconds since the epoch. */
  timestamp: number | undefined = undefined;
  /** 0 where it is not said. */
  datatype = 0;
  isHistorical = false;
  isTransient = false;
  isNull = false;
}

export interface Payload {
  timestamp: number | undefined;
  seq: number | undefined;
  uuid: string | undefined;
  body: Buffer | undefined;
  readonly metrics: Metric[];
}

export interface DataSet {
  readonly columns: string[];
  readonly types: number[];
  readonly rows: RawValue[][];
}

export interface Template {
  version: string | undefined;
  ref: string | undefined;
  isDefinition: boolean;
  readonly metrics: Metric[];
  readonly parameters: Parameter[];
}

export class Parameter extends RawValue {
  name = '';
  type = 0;
}

/** Templates may stand within each other this deep. */
const levelsMax = 16;
/** Metrics, cells and parameters in one payload. */
const partsMax = 50_000;

const reader = new WireReader();
let parts = 0;

/** Throws `DecodeError`, naming place and byte, for bytes that are no Sparkplug B payload. */
export function readPayload(bytes: Uint8Array): Payload {
  reader.open(bytes, 'The payload');
  parts = 0;
  const payload: Payload = {
    timestamp: undefined,
    seq: undefined,
    uuid: undefined,
    body: undefined,
    metrics: [],
  };
  try {
    while (reader.at < reader.end) {
      const tag = reader.tag();
      if (tag === 0x12) payload.metrics.push(within('A metric', metric, 0));
      else if (tag === 0x08) payload.timestamp = Number(reader.uint64());
      else if (tag === 0x18) payload.seq = Number(reader.uint64());
      else if (tag === 0x22) payload.uuid = reader.string();
      else if (tag === 0x2a) payload.body = Buffer.from(reader.slice());
      else other(tag, 5);
    }
    return payload;
  } finally {
    reader.close();
  }
}

/** Reads what begins with its length by `read`, which goes on to the end of the reader. */
function within<T>(place: string, read: (level: number) => T, level: number): T {
  if (++parts > partsMax) reader.fail(`more than ${partsMax} parts`, reader.at);
  const outer = reader.place;
  const length = reader.length();
  const { end } = reader;
  reader.end = reader.at + length;
  reader.place = place;
  const value = read(level);
  reader.end = end;
  reader.place = outer;
  return value;
}

/** A field of a newer version is passed over; a known one of another wire type is no Sparkplug. */
function other(tag: number, known: number): void {
  if (tag >>> 3 <= known)
    reader.fail(`field ${tag >>> 3} has another form in Sparkplug B`, reader.at);
  reader.skip(tag);
}

function metric(level: number): Metric {
  const each = new Metric();
  while (reader.at < reader.end) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        each.name = reader.string();
        break;
      case 0x10:
        each.alias = reader.uint64();
        break;
      case 0x18:
        each.timestamp = Number(reader.uint64());
        break;
      case 0x20:
        each.datatype = reader.uint32();
        break;
      case 0x28:
        each.isHistorical = reader.bool();
        break;
      case 0x30:
        each.isTransient = reader.bool();
        break;
      case 0x38:
        each.isNull = reader.bool();
        break;
      case 0x42:
      case 0x4a:
        reader.slice();
        break;
      case 0x8a:
        each.form = forms.dataSet;
        each.raw = within('A dataset', dataSet, level + 1);
        break;
      case 0x92:
        each.form = forms.template;
        each.raw = within('A template', template, level + 1);
        break;
      case 0x82:
        each.form = forms.bytes;
        each.raw = Buffer.from(reader.slice());
        break;
      default:
        if (!simple(each, tag, forms.int)) other(tag, 18);
    }
  }
  return each;
}

/** Whether the tag is that of a simple value; `first` is the number of the int among the fields. */
function simple(value: RawValue, tag: number, first: number): boolean {
  const form = (tag >>> 3) - first + forms.int;
  switch (((form << 3) | (tag & 7)) >>> 0) {
    case (forms.int << 3) | 0:
    case (forms.long << 3) | 0:
      reader.varint();
      value.low = reader.low;
      value.high = reader.high;
      break;
    case (forms.float << 3) | 5:
      value.raw = reader.float();
      break;
    case (forms.double << 3) | 1:
      value.raw = reader.double();
      break;
    case (forms.boolean << 3) | 0:
      value.raw = reader.bool();
      break;
    case (forms.string << 3) | 2:
      value.raw = reader.string();
      break;
    default:
      return false;
  }
  value.form = form;
  return true;
}

function dataSet(): DataSet {
  const set: DataSet = { columns: [], types: [], rows: [] };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x22) set.rows.push(within('A row', row, 0));
    else if (tag === 0x12) set.columns.push(reader.string());
    else if (tag === 0x18) set.types.push(reader.uint32());
    else if (tag === 0x1a) set.types.push(...within('The types of a dataset', packedTypes, 0));
    else if (tag === 0x08) reader.varint();
    else other(tag, 4);
  }
  return set;
}

function packedTypes(): number[] {
  const types: number[] = [];
  while (reader.at < reader.end) {
    if (++parts > partsMax) reader.fail(`more than ${partsMax} parts`, reader.at);
    types.push(reader.uint32());
  }
  return types;
}

function row(): RawValue[] {
  const elements: RawValue[] = [];
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x0a) elements.push(within('A cell', cell, 0));
    else other(tag, 1);
  }
  return elements;
}

function cell(): RawValue {
  const value = new RawValue();
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (!simple(value, tag, 1)) other(tag, 6);
  }
  return value;
}

function template(level: number): Template {
  if (level > levelsMax) reader.fail(`templates are nested deeper than ${levelsMax}`, reader.at);
  const all: Template = {
    version: undefined,
    ref: undefined,
    isDefinition: false,
    metrics: [],
    parameters: [],
  };
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x12) all.metrics.push(within('A metric of a template', metric, level));
    else if (tag === 0x1a) all.parameters.push(within('A parameter', parameter, 0));
    else if (tag === 0x0a) all.version = reader.string();
    else if (tag === 0x22) all.ref = reader.string();
    else if (tag === 0x28) all.isDefinition = reader.bool();
    else other(tag, 5);
  }
  return all;
}

function parameter(): Parameter {
  const each = new Parameter();
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === 0x0a) each.name = reader.string();
    else if (tag === 0x10) each.type = reader.uint32();
    else if (!simple(each, tag, 3)) other(tag, 8);
  }
  return each;
}

/** The two halves of an int or a long as the number without a sign. */
export function unsignedOf({ low, high }: RawValue): number | bigint {
  return unsigned(low, high);
}

/** The two halves as two's complement of 64 bits. */
export function signedOf({ low, high }: RawValue): number | bigint {
  return signed(low, high);
}
