import { z } from 'zod';
import { type Codec, type CodecKind, DecodeError, type Document, NoValueError } from './codec.ts';
import { textOf } from './utf8.ts';

/** A longer text is a document of some other kind. */
const bytesMax = 1_024;

/**
 * One value as plain text in UTF-8, white space around it left out:
 *
 *   21.5        a number, as JSON writes them, a leading + allowed; whole ones exact to 64 bits
 *   21.5 °C     { value: 21.5, unit: "°C" }: a unit has no digit and at most 16 characters
 *   true false  a boolean, in any case
 *   on          anything else is a string: on and off too, since a device may also say auto
 *
 * Refused: nothing at all, more than 1 KiB, control characters, and `nan` and `inf`, by which a
 * sensor says that it has no value.
 */
export const textCodec: Codec = {
  name: 'text',
  contentType: 'text/plain',
  decode(payload) {
    if (payload.byteLength > bytesMax) {
      throw new DecodeError(
        `A text has at most ${bytesMax} bytes; these are ${payload.byteLength}.`,
      );
    }
    return parseText(textOf(payload));
  },
  encode: (document) => Buffer.from(textFor(document)),
};

export const text = {
  options: z.strictObject({}),
  create: () => textCodec,
} as const satisfies CodecKind;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a text must not hold.
const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
const number =
  /^([+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:\s*([^\s\d.,:;+\-/][^\s\d]{0,15}))?$/;
const noValue = /^[+-]?(?:nan|inf|infinity)$/i;

/** As `textCodec` decodes it, from a text. */
export function parseText(raw: string): Document {
  const text = raw.trim();
  if (text === '') throw new DecodeError('The text is empty.');
  const spoiler = control.exec(text);
  if (spoiler !== null) {
    throw new DecodeError(
      `Not text: a control character (code ${spoiler[0].charCodeAt(0)}) at character ${raw.indexOf(spoiler[0]) + 1}.`,
    );
  }
  const parts = number.exec(text);
  if (parts !== null) {
    const value = numberOf(parts[1]!);
    return parts[2] === undefined ? value : { value, unit: parts[2] };
  }
  if (noValue.test(text)) throw new NoValueError(`${text} is no value: the sensor has none.`);
  if (/^true$/i.test(text)) return true;
  if (/^false$/i.test(text)) return false;
  return text;
}

function numberOf(digits: string): number | bigint {
  const value = Number(digits);
  if (!Number.isFinite(value)) {
    throw new DecodeError('A number is too large: 1.8e308 is the most a double holds.');
  }
  if (Number.isSafeInteger(value) || !/^[+-]?\d+$/.test(digits)) return value;
  const exact = BigInt(digits.replace('+', ''));
  return BigInt.asIntN(64, exact) === exact || BigInt.asUintN(64, exact) === exact ? exact : value;
}

function textFor(document: Document): string {
  if (document === null || typeof document !== 'object') return `${document}`;
  const { value, unit } = document as { value?: Document; unit?: Document };
  if (value === undefined || unit === undefined) {
    throw new TypeError('A text holds one value, or a value and its unit.');
  }
  return `${textFor(value)} ${textFor(unit)}`;
}
