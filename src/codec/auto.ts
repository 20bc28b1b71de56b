import { z } from 'zod';
import type { Codec, CodecKind, Document } from './codec.ts';
import { jsonCodec } from './json.ts';
import { textCodec } from './text.ts';

const quote = 0x22;
const openBrace = 0x7b;
const openBracket = 0x5b;

/**
 * JSON when it is JSON, else text. What begins with a brace or a bracket is JSON or an error: half
 * an object is no measurement. `null` is JSON; numbers and words read alike either way.
 */
export const autoCodec: Codec = {
  name: 'auto',
  contentType: jsonCodec.contentType,
  decode(payload) {
    const first = firstCharacterOf(payload);
    if (first === openBrace || first === openBracket) return jsonCodec.decode(payload);
    return first === quote ? quoted(payload) : scalar(payload);
  },
  encode: jsonCodec.encode,
};

export const auto = {
  options: z.strictObject({}),
  create: () => autoCodec,
} as const satisfies CodecKind;

function quoted(payload: Uint8Array): Document {
  try {
    return jsonCodec.decode(payload);
  } catch {
    return textCodec.decode(payload);
  }
}

function scalar(payload: Uint8Array): Document {
  const value = textCodec.decode(payload);
  return value === 'null' ? null : value;
}

/** The code of the first character that is not space, a byte order mark left aside. */
function firstCharacterOf(payload: Uint8Array): number {
  let at = payload[0] === 0xef && payload[1] === 0xbb && payload[2] === 0xbf ? 3 : 0;
  while (isSpace(payload[at])) at++;
  return payload[at] ?? -1;
}

function isSpace(code: number | undefined): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
