import type { Document } from './codec.ts';

/** The way to a place in a document: names of members and indexes, from the outside in. */
export type Path = readonly string[];

/**
 * `temp.value`, `rx.0.rssi`: names and indexes joined by dots, a dot within a name written `\.`.
 * `.` alone is the whole document. Throws an Error for a path with an empty part.
 */
export function parsePath(text: string): Path {
  if (text === '.') return [];
  const parts: string[] = [''];
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === '\\' && text[at + 1] === '.') parts[parts.length - 1] += text[++at]!;
    else if (character === '.') parts.push('');
    else parts[parts.length - 1] += character;
  }
  if (parts.includes('')) throw new Error(`${text} is not a path such as temp.value or rx.0.rssi`);
  return parts;
}

/** What stands there; undefined where there is nothing. */
export function valueAt(document: Document, path: Path): Document | undefined {
  let node: Document | undefined = document;
  for (let level = 0; level < path.length; level++) {
    if (typeof node !== 'object' || node === null) return undefined;
    const name = path[level]!;
    // Own members only: every object inherits a `constructor`, which no device sent.
    node = Object.hasOwn(node, name) ? (node as Record<string, Document>)[name] : undefined;
  }
  return node;
}
