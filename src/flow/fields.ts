import { DecodeError, type Document, type FoundReading, NoValueError } from '../codec/codec.ts';
import { type IngestMapping, payloadPrefix } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import type { Value } from '../event/event.ts';
import { parseTemplate } from '../event/template.ts';

export type Fields = Readonly<Record<string, Value>>;

/** Values in one reading. */
const leavesMax = 256;
/** Characters in the name of a field, a device, a measurement, and in a tag. */
export const nameMax = 256;

/** What a mapping takes from a document as fields, in the order of the mapping or the document. */
export interface FieldReader {
  /**
   * `timeIsField` keeps the time of the payload, which is otherwise no field. Throws `DecodeError`
   * when there is no value at all, or beyond the limits.
   */
  read(document: Document, timeIsField: boolean): Fields;
  /** An object of values alone is its own fields. */
  readonly takesAll: boolean;
}

export function createFieldReader(mapping: IngestMapping): FieldReader {
  const { fields } = mapping;
  return fields === undefined ? readerOfLeaves(mapping) : readerOfPaths(mapping, fields);
}

/** What `fields` of a mapping says; only paths here, see `shaped-fields.ts` for more. */
type Fielding = NonNullable<IngestMapping['fields']>;

/** What a mapping takes from a reading that a codec found: all its fields, or those at its paths. */
export function foundFieldReader(mapping: IngestMapping): (found: FoundReading) => Fields {
  const { fields } = mapping;
  if (fields !== undefined) {
    const reader = readerOfPaths(mapping, fields);
    return (found) => reader.read(found as unknown as Document, false);
  }
  return (found) => {
    if (isFlat(found.fields)) return found.fields;
    const target = new Target();
    collect(target, '', found.fields, undefined);
    return target.done();
  };
}

/** Members to be passed over, by name; null where a way ends. */
type Skip = Map<string, Skip | null>;

function readerOfLeaves(mapping: IngestMapping): FieldReader {
  const used = pathsUsed(mapping);
  const timePath = mapping.time === undefined ? [] : [parsePath(mapping.time.path)];
  const all = [...used, ...timePath];
  const skip = skipOf(all);
  const skipButTime = skipOf(used);
  const onlyName = all.length === 1 && all[0]!.length === 1 ? all[0]![0]! : undefined;
  return {
    takesAll: skip === undefined,
    read(document, timeIsField) {
      const passed = timeIsField ? skipButTime : skip;
      // Most documents are their own fields, or are but for one member.
      if (passed === undefined) {
        if (isFlat(document)) return document;
      } else if (onlyName !== undefined) {
        const fields = flatCopy(document, onlyName);
        if (fields !== undefined) return fields;
      }
      const target = new Target();
      collect(target, '', document, passed);
      return target.done();
    },
  };
}

function readerOfPaths(mapping: IngestMapping, fields: Fielding): FieldReader {
  const wanted = Object.entries(fields).map(([name, path]) => ({
    name,
    path: parsePath(path as string),
  }));
  const timePath = mapping.time === undefined ? undefined : parsePath(mapping.time.path);
  return {
    takesAll: false,
    read(document, timeIsField) {
      const target = new Target();
      for (const { name, path } of wanted) {
        const value = valueAt(document, path);
        if (value !== undefined) collect(target, name, value, undefined);
      }
      if (timeIsField) {
        collect(target, timePath!.join('_'), valueAt(document, timePath!)!, undefined);
      }
      return target.done();
    },
  };
}

/** Where the device, the measurement and the tags are taken from the payload. */
export function pathsUsed(mapping: IngestMapping): Path[] {
  const { device, measurement, tags, units = {} } = mapping;
  const templates = [device, measurement, ...Object.values(tags), ...Object.values(units)];
  return templates
    .flatMap((template) => (template === undefined ? [] : parseTemplate(template).names))
    .filter((name) => name.startsWith(payloadPrefix))
    .map((name) => parsePath(name.slice(payloadPrefix.length)));
}

function skipOf(paths: readonly Path[]): Skip | undefined {
  const skip: Skip = new Map();
  for (const path of paths) {
    let node: Skip | null = skip;
    for (const name of path.slice(0, -1)) {
      const below: Skip | null = node.get(name) ?? (node.has(name) ? null : new Map());
      node.set(name, below);
      node = below;
      if (node === null) break;
    }
    const last = path.at(-1);
    if (node !== null && last !== undefined) node.set(last, null);
  }
  return skip.size === 0 ? undefined : skip;
}

function isFlat(document: Document): document is Fields {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return false;
  let count = 0;
  for (const name in document) {
    if (isOdd(name, (document as Fields)[name]!) || ++count > leavesMax) return false;
  }
  return count > 0;
}

/** The members of a flat object but one; undefined when it is not flat. */
function flatCopy(document: Document, left: string): Fields | undefined {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return undefined;
  }
  const fields: Record<string, Value> = {};
  let count = 0;
  for (const name in document) {
    if (name === left) continue;
    const value = (document as Fields)[name]!;
    if (isOdd(name, value) || ++count > leavesMax) return undefined;
    fields[name] = value;
  }
  return count > 0 ? fields : undefined;
}

/** Whether a member cannot stand as it is. */
function isOdd(name: string, value: Document): boolean {
  return typeof value === 'object' || name.length > nameMax || name === '' || name === '__proto__';
}

export class Target {
  readonly fields: Record<string, Value> = {};
  private count = 0;

  put(name: string, value: Value): void {
    if (name.length > nameMax) {
      throw new DecodeError(`A field's name has more than ${nameMax} characters.`);
    }
    // Assigning it would mean the prototype; no sensor is called so.
    if (name === '__proto__') return;
    if (++this.count > leavesMax) {
      throw new DecodeError(`More than ${leavesMax} values in one reading.`);
    }
    this.fields[name] = value;
  }

  done(): Fields {
    if (this.count > 0) return this.fields;
    throw new NoValueError('No number, boolean or text where the mapping looks for fields.');
  }
}

/** Puts a leaf under its name, and every leaf of an object or array under its name and the way to it. */
function collect(target: Target, name: string, node: Document, skip: Skip | undefined): void {
  // A reading that a codec found has members that are not there.
  if (node === null || node === undefined) return;
  if (typeof node !== 'object') {
    target.put(name === '' ? 'value' : name, node);
    return;
  }
  // An array with no name of its own is one without a name for its values.
  const prefix = name === '' ? (Array.isArray(node) ? 'value_' : '') : `${name}_`;
  for (const key in node) {
    const below = skip?.get(key);
    if (below === null) continue;
    collect(target, prefix + key, (node as Record<string, Document>)[key]!, below);
  }
}
