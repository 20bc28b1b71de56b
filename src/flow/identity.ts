import type { Document } from '../codec/codec.ts';
import { propertyPrefix } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import { hashIdOf } from '../event/hash-id.ts';
import type { Message } from '../source/source.ts';

/** What makes a message unique, as a mapping says it. */
export interface Identity {
  readonly of: readonly (Path | { readonly property: string })[];
  /** Whether an element of an array can be told from the others by what it holds. */
  readonly elementsDiffer: boolean;
}

export function parseIdentity(texts: readonly string[]): Identity {
  const of = texts.map((text) =>
    text.startsWith(propertyPrefix)
      ? { property: text.slice(propertyPrefix.length) }
      : parsePath(text),
  );
  return { of, elementsDiffer: of.some((each) => Array.isArray(each)) };
}

/**
 * Adds what makes the reading unique to what it is of, and names it by that. Undefined unless the
 * message has all of it: what cannot be told apart is never dropped.
 */
export function identityOf(
  of: (string | number | bigint | boolean)[],
  identity: Identity,
  document: Document,
  message: Message,
  index: number,
): string | undefined {
  if (identity.of.length === 0) return undefined;
  for (const each of identity.of) {
    const value = 'property' in each ? propertyOf(message, each.property) : valueAt(document, each);
    if (value === undefined || value === null || typeof value === 'object') return undefined;
    of.push(value);
  }
  if (!identity.elementsDiffer) of.push(index);
  return hashIdOf(of);
}

function propertyOf(message: Message, name: string): string | undefined {
  const { properties } = message;
  if (properties === undefined || !Object.hasOwn(properties, name)) return undefined;
  const value = properties[name]!;
  return typeof value === 'string' ? value : value.join('\n');
}
