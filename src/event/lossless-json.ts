/**
 * JSON text, with whole numbers of any size kept: those a double cannot hold exactly are `bigint`.
 * (`JSON.parse` rounds them, and `JSON.stringify` refuses a `bigint`.)
 */
import { numberText } from './number-text.ts';

/**
 * JSON of anything made of JSON values and `bigint`. A number that is not finite becomes `null`,
 * and so does what has no JSON; keys without a value are left out. As `JSON.stringify` otherwise.
 */
export function toLosslessJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'number':
      return numberJson(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `[${value.map(toLosslessJson).join()}]` : objectJson(value);
    default:
      return 'null';
  }
}

function objectJson(value: object): string {
  let text = '{';
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    text += `${text === '{' ? '' : ','}${quoted(key)}:${toLosslessJson(member)}`;
  }
  return `${text}}`;
}

/** A double as JSON; `null` when it is not finite. Big ones get a point, to tell them from a `bigint`. */
export function numberJson(value: number): string {
  if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER)
    return numberText(value);
  if (!Number.isFinite(value)) return 'null';
  const digits = `${value}`;
  return digits.includes('e') ? digits : `${digits}.0`;
}

/** A JSON string. Anything a string can hold survives, unpaired surrogates as their escapes. */
export function quoted(text: string): string {
  // Looking at every character beats JSON.stringify for names, and loses for long texts.
  if (text.length > 40) return JSON.stringify(text);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x22 || code === 0x5c || (code >= 0xd800 && code <= 0xdfff)) {
      return JSON.stringify(text);
    }
  }
  return `"${text}"`;
}

const longNumber = /\d{16}/;

/**
 * As `JSON.parse`, but whole numbers beyond what a double holds exactly come as `bigint`. Throws a
 * SyntaxError for what is not JSON.
 */
export function parseLosslessJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return longNumber.test(text) ? parseValid(text) : value;
}

const token = /\s*(?:("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null)|([[\]{},:]))/y;

/** `text` is known to be JSON, so only its meaning is of interest here. */
function parseValid(text: string): unknown {
  token.lastIndex = 0;
  const next = () => token.exec(text) ?? ['', undefined, undefined, undefined, ''];
  const value = ([, string, number, word, mark]: readonly (string | undefined)[]): unknown => {
    if (number !== undefined) return numberOf(number);
    if (mark === undefined) return JSON.parse((string ?? word)!);
    const members: unknown[] = [];
    for (let item = next(); item[4] !== ']' && item[4] !== '}'; item = next()) {
      if (item[4] === ',') continue;
      if (mark === '[') members.push(value(item));
      else {
        next(); // The colon.
        members.push([JSON.parse(item[1]!), value(next())]);
      }
    }
    // From entries, because a member named __proto__ must stay a member.
    return mark === '[' ? members : Object.fromEntries(members as [string, unknown][]);
  };
  return value(next());
}

function numberOf(digits: string): number | bigint {
  const number = Number(digits);
  return Number.isSafeInteger(number) || !/^-?\d+$/.test(digits) ? number : BigInt(digits);
}
