import { DecodeError, type Document, type FoundReading } from '../codec/codec.ts';
import { elementKey, payloadPrefix } from '../codec/mapping-options.ts';
import { parsePath, valueAt } from '../codec/path.ts';
import { parseTemplate } from '../event/template.ts';
import { nameMax } from './fields.ts';

/**
 * A text, or how to read it from a document, where it may be missing; `key` is the name of the
 * element, where the mapping has `each`.
 */
export type Source = string | ((document: Document, key?: string) => string | undefined);

/** What a template says, `levels` being what is known from the topic. */
export function sourceOf(text: string, levels: ReadonlyMap<string, string>): Source {
  const template = parseTemplate(text);
  const paths = new Map(
    template.names
      .filter((name) => name.startsWith(payloadPrefix))
      .map((name) => [name, parsePath(name.slice(payloadPrefix.length))]),
  );
  const namesElement = template.names.includes(elementKey) && !levels.has(elementKey);
  if (paths.size === 0 && !namesElement) return template.fill((name) => levels.get(name));
  return (document, key) => {
    let complete = true;
    const filled = template.fill((name) => {
      if (namesElement && name === elementKey) return key;
      const path = paths.get(name);
      if (path === undefined) return levels.get(name);
      const value = valueAt(document, path);
      const missing = value === undefined || typeof value === 'object';
      if (missing) complete = false;
      return missing ? '' : `${value}`;
    });
    return complete ? filled : undefined;
  };
}

/** Reads the tags of a document. Throws `DecodeError` for one that is too long. */
export function tagReader(
  tags: readonly (readonly [name: string, template: string])[],
  levels: ReadonlyMap<string, string>,
): (document: Document, key?: string) => Readonly<Record<string, string>> {
  const sources = tags.map(([name, text]) => [name, sourceOf(text, levels)] as const);
  const read = (document: Document, key?: string): Readonly<Record<string, string>> => {
    const values: Record<string, string> = {};
    for (const [name, source] of sources) {
      const value = typeof source === 'string' ? source : source(document, key);
      if (value === undefined || value === '') continue;
      checkLength('A tag', value);
      values[name] = value;
    }
    return values;
  };
  if (sources.some(([, source]) => typeof source !== 'string')) return read;
  // The same object for every reading of a topic: nobody may change it.
  let shared: Readonly<Record<string, string>> | undefined;
  return () => {
    shared ??= Object.freeze(read(null));
    return shared;
  };
}

/** Throws `DecodeError` beyond 256 characters. */
export function checkLength(what: string, text: string): void {
  if (text.length > nameMax) throw new DecodeError(`${what} has more than ${nameMax} characters.`);
}

/** Tags of one reading. */
const tagsMax = 64;

/** The tags that a reading was found with, those of the mapping over them. */
export function foundTagReader(
  hasOwn: boolean,
  tagsOf: (document: Document) => Readonly<Record<string, string>>,
): (found: FoundReading, document: Document) => Readonly<Record<string, string>> {
  let checked: Readonly<Record<string, string>> | undefined;
  return ({ tags }, document) => {
    if (tags === undefined) return tagsOf(document);
    if (tags !== checked) {
      checkTags(tags);
      checked = tags;
    }
    return hasOwn ? { ...tags, ...tagsOf(document) } : tags;
  };
}

function checkTags(tags: Readonly<Record<string, string>>): void {
  const names = Object.keys(tags);
  if (names.length > tagsMax) throw new DecodeError(`More than ${tagsMax} tags in one reading.`);
  for (const name of names) {
    checkLength('The name of a tag', name);
    checkLength('A tag', tags[name]!);
  }
}
