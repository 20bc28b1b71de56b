import { z } from 'zod';
import { parseLosslessJson } from '../event/lossless-json.ts';
import { type Codec, type CodecKind, DecodeError, type Document } from './codec.ts';
import { jsonProblemOf } from './json-problem.ts';
import { textOf } from './utf8.ts';

/** Objects and arrays may stand within each other this deep. */
const levelsMax = 32;

const integerMin = -(2n ** 63n);
const integerMax = 2n ** 64n - 1n;

/**
 * JSON (RFC 8259) in UTF-8. Whole numbers of 64 bits, signed or not, are exact: those a double
 * cannot hold come as `bigint`; larger ones are rounded. Refused, beside what is not JSON: nesting
 * beyond 32 levels, and numbers too large for a double. Of two members of one name the later counts.
 */
export const jsonCodec: Codec = {
  name: 'json',
  contentType: 'application/json',
  readsJsonObjects: true,
  decode(payload) {
    const text = textOf(payload);
    let document: Document;
    try {
      document = JSON.parse(text) as Document;
    } catch {
      throw new DecodeError(`Not JSON: ${jsonProblemOf(text)}.`);
    }
    return isExactNode(document, 0) ? document : exactly(parseLosslessJson(text) as Document);
  },
  encode: (document) => Buffer.from(jsonOf(document)),
};

export const json = {
  options: z.strictObject({}),
  create: () => jsonCodec,
} as const satisfies CodecKind;

/** Whether no number may have lost digits. Throws beyond the limits. */
function isExact(node: object, level: number): boolean {
  if (level > levelsMax) throw new DecodeError(`Nested deeper than ${levelsMax} levels.`);
  let exact = true;
  if (Array.isArray(node)) {
    for (const value of node) if (!isExactNode(value, level)) exact = false;
    return exact;
  }
  for (const name in node) {
    if (!isExactNode((node as Record<string, Document>)[name]!, level)) exact = false;
  }
  return exact;
}

function isExactNode(value: Document, level: number): boolean {
  if (typeof value === 'number') return isExactNumber(value);
  return typeof value !== 'object' || value === null || isExact(value, level + 1);
}

function isExactNumber(value: number): boolean {
  if (value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER) return true;
  if (Number.isFinite(value)) return false;
  throw new DecodeError('A number is too large: 1.8e308 is the most a double holds.');
}

/** Puts a rounded number where a `bigint` exceeds 64 bits. */
function exactly(node: Document): Document {
  if (typeof node === 'bigint') return node < integerMin || node > integerMax ? Number(node) : node;
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(exactly);
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, exactly(value)]));
}

function jsonOf(node: Document): string {
  if (typeof node === 'bigint') return `${node}`;
  if (typeof node !== 'object' || node === null) return JSON.stringify(node);
  if (Array.isArray(node)) return `[${node.map(jsonOf).join()}]`;
  const members = Object.entries(node).map(
    ([key, value]) => `${JSON.stringify(key)}:${jsonOf(value)}`,
  );
  return `{${members.join()}}`;
}
