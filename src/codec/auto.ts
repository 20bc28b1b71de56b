import { z } from 'zod';
import { cborCodec } from './cbor.ts';
import { type Codec, type CodecKind, DecodeError, type Document, type Found } from './codec.ts';
import { jsonCodec } from './json.ts';
import { createLineFinder } from './line-protocol.ts';
import { senmlCborReadingsOf, senmlReadingsOf } from './senml.ts';
import { textCodec } from './text.ts';

const quote = 0x22;
const openBrace = 0x7b;
const openBracket = 0x5b;
const equals = 0x3d;

/**
 * What plainly is what it is:
 *
 *   { or [ first           JSON, or an error: half an object is no measurement. An array of nothing
 *                          but SenML records, all of them named, is SenML
 *   a byte 80–bf, or d9 d9 f7    no text begins so: CBOR, if an object or objects fill the payload
 *   name field=value …     line protocol, if every line is that
 *   anything else          one value as text; `null` is JSON, as is what stands in quotes if it can be
 */
export function createAutoCodec(): Codec {
  const linesIn = createLineFinder();
  const find = (payload: Uint8Array, _: string, receivedAt: number): Found => {
    const first = firstCharacterOf(payload);
    if (first === openBrace) return { document: jsonCodec.decode(payload) };
    if (first === openBracket) {
      const document = jsonCodec.decode(payload);
      const readings = senmlReadingsOf(document, receivedAt);
      return readings === undefined ? { document } : { readings };
    }
    if (first === quote) return { document: quoted(payload) };
    const objects = first >= 0x80 ? objectsIn(payload) : undefined;
    if (objects !== undefined) {
      const readings = senmlCborReadingsOf(objects, receivedAt);
      return readings === undefined ? { document: objects } : { readings };
    }
    if (payload.indexOf(equals) > 0) {
      const readings = linesOf(payload, linesIn);
      if (readings !== undefined) return { readings };
    }
    return { document: scalar(payload) };
  };
  return {
    name: 'auto',
    contentType: jsonCodec.contentType,
    readsJsonObjects: true,
    find,
    decode(payload) {
      const first = firstCharacterOf(payload);
      if (first === openBrace || first === openBracket) return jsonCodec.decode(payload);
      if (first === quote) return quoted(payload);
      return (first >= 0x80 ? objectsIn(payload) : undefined) ?? scalar(payload);
    },
    encode: jsonCodec.encode,
  };
}

export const auto = {
  options: z.strictObject({}),
  create: createAutoCodec,
} as const satisfies CodecKind;

function quoted(payload: Uint8Array): Document {
  return readable(jsonCodec, payload) ?? textCodec.decode(payload);
}

function scalar(payload: Uint8Array): Document {
  const value = textCodec.decode(payload);
  return value === 'null' ? null : value;
}

/** What a codec reads; undefined for what it refuses. */
function readable(codec: Codec, payload: Uint8Array): Document | undefined {
  try {
    return codec.decode(payload);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** An object, or an array of objects, in CBOR; undefined for any other bytes. */
function objectsIn(payload: Uint8Array): Document | undefined {
  const first = payload[0]!;
  const isMarked = first === 0xd9 && payload[1] === 0xd9 && payload[2] === 0xf7;
  if (!isMarked && first > 0xbf) return undefined;
  const document = readable(cborCodec, payload);
  const list = Array.isArray(document) ? (document as readonly Document[]) : [document];
  const isObjects =
    list.length > 0 &&
    list.every(
      (each) =>
        typeof each === 'object' &&
        each !== null &&
        !Array.isArray(each) &&
        Object.keys(each).length > 0,
    );
  return isObjects ? document : undefined;
}

function linesOf(payload: Uint8Array, linesIn: ReturnType<typeof createLineFinder>) {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const text = bytes.toString();
  // What is no text is said so by the codec of texts.
  return text.includes('\ufffd') ? undefined : linesIn(text);
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
