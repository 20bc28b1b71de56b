import { type Codec, DecodeError, type Document } from '../codec/codec.ts';
import { createCodec } from '../codec/index.ts';
import {
  type FieldChoice,
  type FieldOptions,
  leaves,
  topicPartOf,
  type ValueTable,
} from '../codec/mapping-fields.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import { createScale } from '../codec/scale.ts';
import { parseText } from '../codec/text.ts';
import type { Value } from '../event/event.ts';
import { createGlob } from '../event/glob.ts';
import { parseTemplate } from '../event/template.ts';
import { type Fields, pathsUsed, Target } from './fields.ts';
import { sourceOf } from './naming.ts';

/** Fields of a mapping that says more of them than paths: names from the topic, values, units. */
export interface ShapedReader {
  /**
   * `document` is the payload, or the element that `each` found in the payload `whole`. Throws
   * `DecodeError` when there is no value at all, or beyond the limits; `problem` is why a single
   * field could not be read.
   */
  read(document: Document, whole: Document, timeIsField: boolean): ShapedFields;
}

export interface ShapedFields {
  readonly fields: Fields;
  readonly problem: string | undefined;
}

/** Whether `createFieldReader` is not enough. */
export function isShaped(mapping: IngestMapping): boolean {
  const { fields = {}, omit, values, units, each } = mapping;
  const isMore = ([name, choice]: [string, FieldChoice]): boolean =>
    name === leaves ||
    name.includes('{') ||
    typeof choice !== 'string' ||
    topicPartOf(choice) !== undefined;
  return (
    omit.length > 0 ||
    values !== undefined ||
    units !== undefined ||
    each !== undefined ||
    Object.entries(fields).some(isMore)
  );
}

/** Members to be passed over; `any` stands for members of any name. */
interface Omission {
  readonly ends: boolean;
  readonly members: ReadonlyMap<string, Omission>;
  readonly any: Omission | undefined;
}

interface Wanted {
  readonly name: string;
  /** Where it stands, or what the topic says. */
  readonly from: Path | Value;
  readonly options: FieldOptions | undefined;
  readonly codec: Codec | undefined;
  readonly scaled: ((value: number) => number) | undefined;
}

/** Names of fields whose units are known, of one mapping. */
const namesMax = 4_096;

/** What of a mapping is the same for all its topics. */
interface Prepared {
  /** What is no field, and the same where the time is one because it is not believed. */
  readonly passed: Omission | undefined;
  readonly passedButTime: Omission | undefined;
  readonly timePath: Path | undefined;
  /** Which of the units fit the name of a field, by their places. */
  unitsFor(name: string): readonly number[];
}
const prepared = new WeakMap<IngestMapping, Prepared>();

function prepare(mapping: IngestMapping): Prepared {
  const known = prepared.get(mapping);
  if (known !== undefined) return known;
  const { fields, time, each, units } = mapping;
  const omit = mapping.omit.map(parsePath);
  // With `each`, and with fields that are named, templates and time are looked for elsewhere.
  const used = each === undefined && fields === undefined ? pathsUsed(mapping) : [];
  const timePath = time === undefined || each !== undefined ? undefined : parsePath(time.path);
  const made = {
    passed: omissionOf([...omit, ...used, ...(timePath === undefined ? [] : [timePath])]),
    passedButTime: omissionOf([...omit, ...used]),
    timePath,
    unitsFor: createUnits(Object.keys(units ?? {})),
  };
  prepared.set(mapping, made);
  return made;
}

/** `levels` is what is known from the topic. */
export function createShapedReader(
  mapping: IngestMapping,
  levels: ReadonlyMap<string, string>,
): ShapedReader {
  const { fields, values } = mapping;
  const { passed, passedButTime, timePath, unitsFor } = prepare(mapping);
  const wanted =
    fields === undefined
      ? undefined
      : Object.entries(fields).map(([name, choice]) => wantedOf(name, choice, levels));
  const units = Object.values(mapping.units ?? {}).map((text) => sourceOf(text, levels));
  const unitOf = (name: string, whole: Document): string | undefined => {
    for (const place of unitsFor(name)) {
      const unit = units[place]!;
      const text = typeof unit === 'function' ? unit(whole) : unit;
      if (text !== undefined) return text;
    }
    return undefined;
  };
  return {
    read(document, whole, timeIsField) {
      const target = new ShapedTarget(values, (name) => unitOf(name, whole));
      const passing = timeIsField ? passedButTime : passed;
      if (wanted === undefined) gather(target, '', document, passing);
      for (const each of wanted ?? []) {
        target.wanted = each;
        addWanted(target, each, document, passing);
      }
      target.wanted = undefined;
      if (timeIsField && timePath !== undefined && wanted !== undefined) {
        gather(target, timePath.join('_'), valueAt(document, timePath) ?? null, undefined);
      }
      const problem = target.problem;
      if (problem === undefined || Object.keys(target.fields).length > 0) {
        return { fields: target.done(), problem };
      }
      throw new DecodeError(problem);
    },
  };
}

function wantedOf(name: string, choice: FieldChoice, levels: ReadonlyMap<string, string>): Wanted {
  const options = typeof choice === 'string' ? undefined : choice;
  const path = typeof choice === 'string' ? choice : choice.path;
  const part = topicPartOf(path);
  return {
    name: name === leaves ? '' : parseTemplate(name).fill((each) => nameOf(levels.get(each))),
    from: part === undefined ? parsePath(path) : levelValue(levels.get(part) ?? ''),
    options,
    codec: options?.codec === undefined ? undefined : createCodec(options.codec),
    scaled: scalingOf(options),
  };
}

function scalingOf(options: FieldOptions | undefined): Wanted['scaled'] {
  const { scale, add, decimals } = options ?? {};
  if (scale === undefined && add === undefined && decimals === undefined) return undefined;
  const steps = createScale(scale ?? 1, add ?? 0);
  const power = 10 ** (decimals ?? 0);
  return (value) =>
    decimals === undefined ? steps.of(value) : Math.round(steps.of(value) * power) / power;
}

/** What `#` stood for may hold several levels. */
function nameOf(level: string | undefined): string | undefined {
  return level?.replaceAll('/', '_');
}

/** A level that looks like a number is one. */
function levelValue(level: string): Value {
  const value = level === '' ? '' : parseText(level);
  return typeof value === 'object' ? level : value;
}

function addWanted(
  target: ShapedTarget,
  { name, from, codec }: Wanted,
  document: Document,
  passing: Omission | undefined,
): void {
  if (!Array.isArray(from)) {
    target.put(name, from as Value);
    return;
  }
  let value = valueAt(document, from);
  if (value === undefined) return;
  if (codec !== undefined && typeof value === 'string') {
    value = decoded(codec, value);
    gather(target, name, value, undefined);
  } else gather(target, name, value, below(passing, from));
}

function decoded(codec: Codec, text: string): Document {
  const payload = Buffer.from(text);
  if (codec.find === undefined) return codec.decode(payload);
  const found = codec.find(payload, '', 0);
  return 'document' in found ? found.document : (found.readings as unknown as Document);
}

function omissionOf(paths: readonly Path[]): Omission | undefined {
  if (paths.length === 0) return undefined;
  const rest = paths.filter((path) => path.length > 0);
  const names = new Set(rest.map((path) => path[0]!));
  const under = (name: string): Omission | undefined =>
    omissionOf(rest.filter((path) => path[0] === name || path[0] === '*').map((p) => p.slice(1)));
  return {
    ends: rest.length < paths.length,
    members: new Map([...names].filter((name) => name !== '*').map((n) => [n, under(n)!])),
    any: names.has('*') ? under('*') : undefined,
  };
}

function member(omission: Omission | undefined, name: string): Omission | undefined {
  return omission?.members.get(name) ?? omission?.any;
}

function below(omission: Omission | undefined, path: Path): Omission | undefined {
  return path.reduce(member, omission);
}

/** As `collect` does, but for what is to be passed over. */
function gather(
  target: Target,
  name: string,
  node: Document | undefined,
  omit: Omission | undefined,
): void {
  // A reading that a codec found has members that are not there.
  if (node === null || node === undefined || omit?.ends === true) return;
  if (typeof node !== 'object') {
    target.put(name === '' ? 'value' : name, node);
    return;
  }
  const prefix = name === '' ? (Array.isArray(node) ? 'value_' : '') : `${name}_`;
  for (const key in node) {
    gather(target, prefix + key, (node as Record<string, Document>)[key]!, member(omit, key));
  }
}

/** Which of the patterns a name of a field fits; remembers that of 4,096 names in `known`. */
export function createUnits(
  patterns: readonly string[],
  known = new Map<string, readonly number[]>(),
): Prepared['unitsFor'] {
  const globs = patterns.map((pattern) => createGlob(pattern));
  if (globs.length === 0) return () => [];
  return (name) => {
    const places = known.get(name);
    if (places !== undefined) return places;
    const found = globs.flatMap((fits, place) => (fits(name) ? [place] : []));
    if (known.size >= namesMax) known.clear();
    known.set(name, found);
    return found;
  };
}

/** Turns texts and numbers into what they stand for, and adds units. */
class ShapedTarget extends Target {
  wanted: Wanted | undefined;
  problem: string | undefined;
  private readonly values: ValueTable | undefined;
  private readonly unitOf: (name: string) => string | undefined;

  constructor(values: ValueTable | undefined, unitOf: (name: string) => string | undefined) {
    super();
    this.values = values;
    this.unitOf = unitOf;
  }

  override put(name: string, given: Value): void {
    const { options, scaled } = this.wanted ?? {};
    let value = meaningOf(given, options?.values ?? this.values);
    if (value === null) return;
    if (options?.type !== undefined) {
      const typed = asType(value, options.type);
      if (typed === undefined) {
        this.problem ??= `${name}: ${JSON.stringify(`${value}`.slice(0, 100))} is no ${options.type}.`;
        return;
      }
      value = typed;
    }
    if (typeof value === 'number' && scaled !== undefined) value = scaled(value);
    super.put(name, value);
    const unit = options?.unit ?? (typeof value === 'boolean' ? undefined : this.unitOf(name));
    if (unit !== undefined && unit !== '') super.put(`${name}_unit`, unit);
  }
}

function meaningOf(given: Value, values: ValueTable | undefined): Value | null {
  if (values === undefined || typeof given === 'boolean') return given;
  const key = `${given}`;
  return Object.hasOwn(values, key) ? values[key]! : given;
}

/** Undefined for what is not of that type, and does not say it. */
function asType(value: Value, type: NonNullable<FieldOptions['type']>): Value | undefined {
  if (type === 'text') return `${value}`;
  const said = typeof value === 'string' ? spoken(value) : value;
  if (type === 'auto') return said ?? value;
  if (type === 'boolean') return typeof said === 'boolean' ? said : undefined;
  if (typeof said === 'bigint') return said;
  if (typeof said !== 'number') return undefined;
  return type === 'number' || Number.isInteger(said) ? said : undefined;
}

function spoken(text: string): Value | undefined {
  try {
    const value = parseText(text);
    return typeof value === 'object' ? undefined : value;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
