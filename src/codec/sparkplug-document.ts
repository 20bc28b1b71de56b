/**
 * A Sparkplug B payload as a document, for those who look at one or make one:
 *
 *   { timestamp, seq, uuid, metrics: [{ name, alias, timestamp, datatype: "Double", value,
 *     isHistorical, isTransient, isNull }] }
 *
 * What is absent is left out. A dataset is { columns, types, rows: [[cell, …], …] }, a template
 * { version, ref, isDefinition, metrics }; bytes are base64.
 */
import type { Document } from './codec.ts';
import { WireWriter } from './protobuf-writer.ts';
import {
  type DataSet,
  forms,
  type Metric,
  type RawValue,
  readPayload,
  type Template,
} from './sparkplug-payload.ts';
import { type Datatype, datatypes, putValue } from './sparkplug-values.ts';

type Members = { readonly [key: string]: Document };

/** Throws `DecodeError` for bytes that are no such payload. */
export function payloadDocument(bytes: Uint8Array): Document {
  const { timestamp, seq, uuid, body, metrics } = readPayload(bytes);
  return present({
    timestamp,
    seq,
    uuid,
    body: body?.toString('base64'),
    metrics: metrics.map(metricDocument),
  });
}

function metricDocument(metric: Metric): Document {
  const { name, alias, timestamp, datatype, isHistorical, isTransient, isNull } = metric;
  return present({
    name,
    alias,
    timestamp,
    datatype: datatype === 0 ? undefined : (datatypes[datatype] ?? datatype),
    value: metric.form === forms.none ? undefined : documentOf(metric, datatype),
    isHistorical: isHistorical || undefined,
    isTransient: isTransient || undefined,
    isNull: isNull || undefined,
  });
}

function documentOf(value: RawValue, datatype: number): Document {
  if (value.form === forms.dataSet) {
    const { columns, types, rows } = value.raw as DataSet;
    return {
      columns,
      types: types.map((type) => datatypes[type] ?? type),
      rows: rows.map((cells) => cells.map((cell, at) => documentOf(cell, types[at] ?? 0))),
    };
  }
  if (value.form === forms.template) {
    const { version, ref, isDefinition, metrics } = value.raw as Template;
    return present({ version, ref, isDefinition, metrics: metrics.map(metricDocument) });
  }
  const parts: Document[] = [];
  let alone: Document = null;
  const put = (name: string, each: Document): void => {
    if (name === '') alone = each;
    else parts.push(each);
  };
  putValue({ put }, '', value, datatype);
  return parts.length > 0 ? parts : alone;
}

function present(members: Readonly<Record<string, Document | undefined>>): Document {
  return Object.fromEntries(
    Object.entries(members).filter(
      (member): member is [string, Document] => member[1] !== undefined,
    ),
  );
}

/** The bytes of such a document. Arrays are not made; TypeError for what is no such document. */
export function payloadOf(document: Document): Uint8Array {
  const { timestamp, seq, uuid, body, metrics } = (document ?? {}) as Members;
  if (!Array.isArray(metrics)) throw new TypeError('A Sparkplug B payload has a list of metrics.');
  const writer = new WireWriter();
  if (timestamp !== undefined) writer.varint(1, whole(timestamp));
  for (const each of metrics as readonly Members[]) writer.raw(2, metricOf(each));
  if (seq !== undefined) writer.varint(3, whole(seq));
  if (uuid !== undefined) writer.text(4, `${uuid}`);
  if (body !== undefined) writer.raw(5, Buffer.from(`${body}`, 'base64'));
  return writer.done();
}

function metricOf(metric: Members): Uint8Array {
  const { name, alias, timestamp, datatype = 'Unknown', value } = metric;
  const writer = new WireWriter();
  if (name !== undefined) writer.text(1, `${name}`);
  if (alias !== undefined) writer.varint(2, whole(alias));
  if (timestamp !== undefined) writer.varint(3, whole(timestamp));
  if (datatype !== 'Unknown') writer.varint(4, numberOf(datatype));
  if (metric.isHistorical === true) writer.varint(5, 1);
  if (metric.isTransient === true) writer.varint(6, 1);
  if (metric.isNull === true) writer.varint(7, 1);
  if (value !== undefined && value !== null) {
    writeValue(writer, datatypes[numberOf(datatype)] ?? 'Unknown', value, forms.int);
  }
  return writer.done();
}

/** `first` is the number of the int among the fields of what holds the value. */
function writeValue(writer: WireWriter, datatype: Datatype, value: Document, first: number): void {
  const id = (form: number): number => form - forms.int + first;
  switch (datatype) {
    case 'Int8':
    case 'Int16':
    case 'Int32':
    case 'UInt8':
    case 'UInt16':
    case 'UInt32':
      writer.varint(id(forms.int), Number(value) >>> 0);
      return;
    case 'Int64':
    case 'UInt64':
    case 'DateTime':
      writer.varint(id(forms.long), whole(value));
      return;
    case 'Float':
      writer.float(id(forms.float), Number(value));
      return;
    case 'Boolean':
      writer.varint(id(forms.boolean), value === true ? 1 : 0);
      return;
    case 'Bytes':
    case 'File':
      writer.raw(id(forms.bytes), Buffer.from(`${value}`, 'base64'));
      return;
    case 'DataSet':
      writer.raw(id(forms.dataSet), dataSetOf(value as Members));
      return;
    case 'Template':
      writer.raw(id(forms.template), templateOf(value as Members));
      return;
    default:
      writeUntyped(writer, value, id);
  }
}

function writeUntyped(writer: WireWriter, value: Document, id: (form: number) => number): void {
  if (typeof value === 'number') writer.double(id(forms.double), value);
  else if (typeof value === 'bigint') writer.varint(id(forms.long), value);
  else if (typeof value === 'boolean') writer.varint(id(forms.boolean), value ? 1 : 0);
  else if (typeof value === 'string') writer.text(id(forms.string), value);
  else throw new TypeError('A metric has one value; its datatype says which.');
}

function dataSetOf({ columns, types, rows }: Members): Uint8Array {
  const names = (columns ?? []) as readonly string[];
  const kinds = ((types ?? []) as readonly Document[]).map(numberOf);
  const writer = new WireWriter().varint(1, names.length);
  for (const name of names) writer.text(2, name);
  for (const kind of kinds) writer.varint(3, kind);
  for (const cells of (rows ?? []) as readonly (readonly Document[])[]) {
    const row = new WireWriter();
    cells.forEach((cell, at) => {
      const element = new WireWriter();
      if (cell !== null) writeValue(element, datatypes[kinds[at] ?? 0] ?? 'Unknown', cell, 1);
      row.raw(1, element.done());
    });
    writer.raw(4, row.done());
  }
  return writer.done();
}

function templateOf({ version, ref, isDefinition, metrics }: Members): Uint8Array {
  const writer = new WireWriter();
  if (version !== undefined) writer.text(1, `${version}`);
  for (const each of (metrics ?? []) as readonly Members[]) writer.raw(2, metricOf(each));
  if (ref !== undefined) writer.text(4, `${ref}`);
  if (isDefinition === true) writer.varint(5, 1);
  return writer.done();
}

function whole(value: Document): number | bigint {
  if (typeof value === 'bigint' || Number.isInteger(value)) return value as number | bigint;
  throw new TypeError(`${String(value)} is no whole number.`);
}

function numberOf(datatype: Document): number {
  if (typeof datatype === 'number') return datatype;
  const number = datatypes.indexOf(datatype as Datatype);
  if (number < 0) throw new TypeError(`${String(datatype)} is no datatype of Sparkplug B.`);
  return number;
}
