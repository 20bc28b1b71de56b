/** What section 4 of RFC 8428 says about the records of a pack, whatever they were written in. */
import type { Value } from '../event/event.ts';
import { DecodeError, type Document } from './codec.ts';

/** Records in one pack. */
const recordsMax = 10_000;
/** The highest version that is understood; the one that is meant where none is named. */
const version = 10;

/** One resolved record. */
export interface SenmlRecord {
  /** Its name is both, the base name in front. */
  readonly base: string;
  readonly own: string;
  readonly u: string | undefined;
  readonly value: Value | undefined;
  readonly sum: number | bigint | undefined;
  /** Seconds: since 1970, or from now when they are few. */
  readonly t: number;
  readonly bver: number | undefined;
  readonly source: Source;
}
export type Source = Readonly<Record<string, Document | undefined>>;

/** Whether it may be a record: an object. */
export function isRecord(node: Document): node is { readonly [key: string]: Document } {
  return typeof node === 'object' && node !== null && !Array.isArray(node);
}

/** The records of a pack. Throws `DecodeError`, naming the record, for what section 4 does not allow. */
export function resolvedRecordsOf(pack: Document): SenmlRecord[] {
  if (!Array.isArray(pack)) throw new DecodeError('Not SenML: a pack is an array of records.');
  if (pack.length > recordsMax) throw new DecodeError(`More than ${recordsMax} records.`);
  const base = createBase();
  const records: SenmlRecord[] = [];
  (pack as readonly Document[]).forEach((source, index) => {
    try {
      if (!isRecord(source)) throw new DecodeError('is no object');
      const record = base.resolve(source);
      if (record !== undefined) records.push(record);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      throw new DecodeError(`Not SenML: record ${index + 1} ${error.message}.`);
    }
  });
  if (records.length === 0) throw new DecodeError('Not SenML: no record has a value.');
  return records;
}

/** The base values, as the records up to now have set them. */
function createBase() {
  let bn = '';
  let bt = 0;
  let bu: string | undefined;
  let bv: number | bigint | undefined;
  let bs: number | bigint | undefined;
  let bver: number | undefined;
  return {
    /** Undefined for a record that only sets base values. */
    resolve(source: Source): SenmlRecord | undefined {
      checkNames(source);
      bn = textIn(source, 'bn') ?? bn;
      bt = Number(numberIn(source, 'bt') ?? bt);
      bu = textIn(source, 'bu') ?? bu;
      bv = numberIn(source, 'bv') ?? bv;
      bs = numberIn(source, 'bs') ?? bs;
      bver = versionIn(source, bver);
      const value = valueIn(source, bv);
      const sum = sumOf(numberIn(source, 's'), bs);
      if (value === undefined && sum === undefined) {
        if (['n', 'u', 't'].every((name) => source[name] === undefined)) return undefined;
        throw new DecodeError('has no value');
      }
      const n = textIn(source, 'n') ?? '';
      if (bn === '' && n === '') throw new DecodeError('has no name');
      const t = bt + Number(numberIn(source, 't') ?? 0);
      const u = textIn(source, 'u') ?? bu;
      return { base: bn, own: n, u, value, sum, t, bver, source };
    },
  };
}

/** What ends in _ must be understood or refused (section 4.4). */
function checkNames(source: Source): void {
  for (const name in source) {
    if (name.endsWith('_')) throw new DecodeError(`has ${name}, which is not understood`);
  }
}

function textIn(source: Source, name: string): string | undefined {
  const text = source[name];
  if (text === undefined || typeof text === 'string') return text;
  throw new DecodeError(`has a ${name} that is no text`);
}

function numberIn(source: Source, name: string): number | bigint | undefined {
  const number = source[name];
  if (number === undefined || typeof number === 'number' || typeof number === 'bigint') {
    return number;
  }
  throw new DecodeError(`has a ${name} that is no number`);
}

function versionIn(source: Source, before: number | undefined): number | undefined {
  const { bver } = source;
  if (bver === undefined) return before;
  if (typeof bver !== 'number' || !Number.isInteger(bver) || bver < 1) {
    throw new DecodeError('has a bver that is no version');
  }
  if (bver > version) {
    throw new DecodeError(`is of version ${bver}, and ${version} is the last that is understood`);
  }
  if (before !== undefined && before !== bver) {
    throw new DecodeError(`is of version ${bver}, others are of ${before}`);
  }
  return bver;
}

function valueIn(source: Source, bv: number | bigint | undefined): Value | undefined {
  const { vs, vb, vd } = source;
  const count =
    (source.v === undefined ? 0 : 1) +
    (vs === undefined ? 0 : 1) +
    (vb === undefined ? 0 : 1) +
    (vd === undefined ? 0 : 1);
  if (count > 1) {
    const given = ['v', 'vs', 'vb', 'vd'].filter((name) => source[name] !== undefined);
    throw new DecodeError(`has ${given.join(' and ')}: one value is allowed`);
  }
  if (vb !== undefined && typeof vb !== 'boolean') {
    throw new DecodeError('has a vb that is no boolean');
  }
  if (vs !== undefined) return textIn(source, 'vs');
  if (vd !== undefined) return textIn(source, 'vd');
  return vb ?? sumOf(numberIn(source, 'v'), bv);
}

/** Of the two the one that is missing counts as zero; undefined when both are. */
function sumOf(
  one: number | bigint | undefined,
  other: number | bigint | undefined,
): number | bigint | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (typeof one === 'number' && typeof other === 'number') return one + other;
  const isWhole = Number.isInteger(Number(one)) && Number.isInteger(Number(other));
  if (!isWhole) return Number(one) + Number(other);
  const exact = BigInt(one) + BigInt(other);
  const fits = BigInt.asIntN(64, exact) === exact || BigInt.asUintN(64, exact) === exact;
  return fits && !Number.isSafeInteger(Number(exact)) ? exact : Number(exact);
}

const resolvedAway = new Set(['bn', 'bt', 'bu', 'bv', 'bs', 'n', 'u', 'v', 's', 't', 'bver']);

/** As a document: nothing of it depends on another. */
export function recordDocumentOf({
  base,
  own,
  u,
  value,
  sum,
  t,
  bver,
  source,
}: SenmlRecord): Document {
  const record: Record<string, Document> = { n: base + own };
  if (u !== undefined) record.u = u;
  if (typeof value === 'number' || typeof value === 'bigint') record.v = value;
  if (sum !== undefined) record.s = sum;
  if (t !== 0) record.t = t;
  if (bver !== undefined && bver !== version) record.bver = bver;
  for (const name in source) {
    const member = source[name];
    if (!resolvedAway.has(name) && member !== undefined) record[name] = member;
  }
  return record;
}
