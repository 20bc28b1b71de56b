/**
 * SenML (RFC 8428) in JSON or CBOR: a pack is an array of records, and base values hold from their
 * record on.
 *
 *   [{ "bn": "urn:dev:ow:10e2073a0108006:", "bt": 1276020076, "n": "voltage", "u": "V", "v": 120.1 },
 *    { "n": "current", "t": -5, "v": 1.2 }]
 *
 * As a document: its resolved records (section 4.6), under the names of the JSON form, a time
 * relative to now left as it is. As readings: the records of one device and time together.
 */
import { z } from 'zod';
import type { Value } from '../event/event.ts';
import { cborDocumentOf } from './cbor.ts';
import { type CborNode, cborOf } from './cbor-writer.ts';
import type { Codec, CodecKind, Document, FoundReading } from './codec.ts';
import { jsonCodec } from './json.ts';
import { namePartsOf } from './senml-names.ts';
import {
  isRecord,
  recordDocumentOf,
  resolvedRecordsOf,
  type SenmlRecord,
  type Source,
} from './senml-pack.ts';

/** A time is relative to now below this size (section 4.5.3). */
const relativeBelow = 2 ** 28;

const options = z.strictObject({
  units: z
    .boolean()
    .default(true)
    .describe('Whether the unit of temperature is kept, as a field temperature_unit.'),
  format: z
    .enum(['auto', 'json', 'cbor'])
    .default('auto')
    .describe('auto: JSON or CBOR, whichever a payload is.'),
});
type Options = z.output<typeof options>;

export const senml = {
  options,
  create: createSenmlCodec,
  namesDevices: true,
} as const satisfies CodecKind;

export function createSenmlCodec({ format, units }: Options): Codec {
  const packIn = (payload: Uint8Array): Document => {
    // An array is 80 to 9f in CBOR, which begins no text.
    const isCbor = format === 'cbor' || (format === 'auto' && (payload[0]! & 0x80) !== 0);
    return isCbor && !hasMark(payload)
      ? labelled(cborDocumentOf(payload, 'base64url'))
      : jsonCodec.decode(payload);
  };
  return {
    name: 'senml',
    contentType: `application/senml+${format === 'cbor' ? 'cbor' : 'json'}`,
    decode: (payload) => resolvedRecordsOf(packIn(payload)).map(recordDocumentOf),
    encode: (document) => encoded(document, format === 'cbor'),
    find: (payload, _, receivedAt) => ({
      readings: readingsOf(resolvedRecordsOf(packIn(payload)), units, receivedAt),
    }),
  };
}

function hasMark(payload: Uint8Array): boolean {
  return payload[0] === 0xef && payload[1] === 0xbb;
}

/** The readings of a document that is a SenML pack beyond doubt; undefined for any other. */
export function senmlReadingsOf(
  document: Document,
  receivedAt: number,
): readonly FoundReading[] | undefined {
  if (!Array.isArray(document)) return undefined;
  const pack = document as readonly Document[];
  const first = pack[0];
  if (typeof first !== 'object' || first === null) return undefined;
  // Most arrays of objects are told from a pack by their first member.
  for (const name in first as Source) if (!knownNames.has(name)) return undefined;
  try {
    if (!pack.every((each) => Object.keys(each as object).every((name) => knownNames.has(name)))) {
      return undefined;
    }
    return readingsOf(resolvedRecordsOf(pack), true, receivedAt);
  } catch {
    return undefined;
  }
}

/** The readings of a document from CBOR, likewise. */
export function senmlCborReadingsOf(
  document: Document,
  receivedAt: number,
): readonly FoundReading[] | undefined {
  if (!Array.isArray(document) || document.some((each) => !isRecord(each))) return undefined;
  return senmlReadingsOf(labelled(document), receivedAt);
}

const labels: readonly (readonly [label: number, name: string])[] = [
  ...([
    [-1, 'bver'],
    [-2, 'bn'],
    [-3, 'bt'],
    [-4, 'bu'],
    [-5, 'bv'],
    [-6, 'bs'],
  ] as const),
  ...([
    [0, 'n'],
    [1, 'u'],
    [2, 'v'],
    [3, 'vs'],
    [4, 'vb'],
    [5, 's'],
    [6, 't'],
  ] as const),
  ...([
    [7, 'ut'],
    [8, 'vd'],
  ] as const),
];
const nameOfLabel = new Map(labels.map(([label, name]) => [`${label}`, name]));
const labelOfName = new Map(labels.map(([label, name]) => [name, label]));
const knownNames = new Set(nameOfLabel.values());

/** A pack from CBOR under the names of the JSON form. */
function labelled(pack: Document): Document {
  if (!Array.isArray(pack)) return pack;
  return (pack as readonly Document[]).map((record) => {
    if (!isRecord(record)) return record;
    const named: Record<string, Document> = {};
    for (const key in record) named[nameOfLabel.get(key) ?? key] = record[key]!;
    return named;
  });
}

interface Group {
  readonly device: string | undefined;
  readonly t: number;
  readonly fields: Record<string, Value>;
  count: number;
}
/** Values in one group; flow allows 256, and a value may bring its unit and its sum. */
const groupMax = 80;

function readingsOf(
  records: readonly SenmlRecord[],
  units: boolean,
  receivedAt: number,
): readonly FoundReading[] {
  const groups: Group[] = [];
  const open = new Map<string, Group>();
  let group: Group | undefined;
  for (const { base, own, u, value, sum, t } of records) {
    const { device, field } = namePartsOf(base, own, u);
    if (group === undefined || group.t !== t || group.device !== device) {
      group = open.get(`${t} ${device ?? ''}`);
    }
    // A second value of one name and time is no less a reading.
    if (group === undefined || group.count >= groupMax || Object.hasOwn(group.fields, field)) {
      group = { device, t, fields: {}, count: 0 };
      groups.push(group);
      open.set(`${t} ${device ?? ''}`, group);
    }
    group.count++;
    if (value !== undefined) group.fields[field] = value;
    if (sum !== undefined) group.fields[value === undefined ? field : `${field}_sum`] = sum;
    if (units && u !== undefined && u !== field)
      group.fields[field === 'value' ? 'unit' : `${field}_unit`] = u;
  }
  return groups.map(({ device, t, fields }) => ({ device, time: timeOf(t, receivedAt), fields }));
}

/** Undefined for now, which is when the message came. */
function timeOf(t: number, receivedAt: number): number | undefined {
  if (t === 0) return undefined;
  const ms = Math.round(t * 1_000);
  return Math.abs(t) < relativeBelow ? receivedAt + ms : ms;
}

/** Records as they are; an object without a name as a record for each of its members. */
function encoded(document: Document, isCbor: boolean): Uint8Array {
  const records = Array.isArray(document) ? (document as readonly Document[]) : unnamed(document);
  if (!isCbor) return jsonCodec.encode(records);
  return cborOf(
    records.map((record) => {
      if (!isRecord(record)) throw new TypeError('A SenML record is an object.');
      return new Map<number | string, CborNode>(
        Object.entries(record).map(([name, value]) => [
          labelOfName.get(name) ?? name,
          name === 'vd' ? Buffer.from(value as string, 'base64url') : value,
        ]),
      );
    }),
  );
}

function unnamed(document: Document): readonly Document[] {
  if (!isRecord(document)) throw new TypeError('A SenML pack is made of objects.');
  if ('n' in document || 'bn' in document) return [document];
  return Object.entries(document).map(([n, value]) => {
    if (typeof value === 'boolean') return { n, vb: value };
    return typeof value === 'string' ? { n, vs: value } : { n, v: value };
  });
}
