/**
 * What a line of the log looks like, for people:
 *
 *   2026-11-20T14:09:00.123Z warn  Delivery failed. sink=cloud error="connect ECONNREFUSED"
 *
 * One line per message whatever the fields hold: a value with a space, a quote, an equals sign or a
 * control character is written as a JSON string.
 */
import { messageOf } from './errors.ts';

const depthMax = 4;
const itemsMax = 32;
const textLengthMax = 2_000;
const hidden = '[redacted]';

const secretWord = /pass(word|phrase|wd)|token|secret|authorization|cookie|credential/i;
/** `key`, `api_key`, `apiKey`, but not `monkey`. */
const keyWord = /^keys?$|[_-]keys?$|[a-z0-9]Keys?$|KEYS?$/;
const urlPassword = /(:\/\/[^\s/:@]{0,256}):[^\s/@]{1,1000}@/g;

/**
 * The fields as JSON can hold them: secrets hidden by their names, passwords in URLs too, errors as
 * their message (with `stacks`, their stack beside it), all of it bounded. Never throws.
 */
export function jsonFieldsOf(
  fields: Readonly<Record<string, unknown>>,
  stacks: boolean,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) {
    const value = propertyOf(fields, name);
    if (value === undefined) continue;
    // pino writes these itself; a field of that name would appear twice in one JSON object.
    const shown = reservedNames.has(name) ? `${name}_` : name;
    result[shown] = jsonValueOf(name, value, 0);
    if (stacks && value instanceof Error && value.stack !== undefined) {
      result.stack = textOf(value.stack);
    }
  }
  return result;
}

const reservedNames = new Set(['level', 'time', 'message']);

function propertyOf(object: object, name: string): unknown {
  try {
    return (object as Record<string, unknown>)[name];
  } catch {
    return '[unreadable]';
  }
}

function jsonValueOf(name: string, value: unknown, depth: number): unknown {
  if (secretWord.test(name) || keyWord.test(name)) return hidden;
  switch (typeof value) {
    case 'string':
      return textOf(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : jsonObjectOf(value, depth);
    default:
      return textOf(String(value));
  }
}

function jsonObjectOf(value: object, depth: number): unknown {
  try {
    if (value instanceof Error) return textOf(messageOf(value));
    if (value instanceof Date) return value.toISOString();
    if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
    if (depth >= depthMax) return '…';
    if (Array.isArray(value)) {
      const items = value.slice(0, itemsMax).map((each) => jsonValueOf('', each, depth + 1));
      return value.length > itemsMax ? [...items, '…'] : items;
    }
    const entries = Object.keys(value).slice(0, itemsMax);
    return Object.fromEntries(
      entries.map((name) => [name, jsonValueOf(name, propertyOf(value, name), depth + 1)]),
    );
  } catch {
    return '[unreadable]';
  }
}

function textOf(text: string): string {
  // Cut twice: a password at the edge is found while its `@` is still there.
  const shown = text.slice(0, 2 * textLengthMax).replace(urlPassword, `$1:${hidden}@`);
  return shown.length > textLengthMax ? `${shown.slice(0, textLengthMax)}…` : shown;
}

export interface TextStyle {
  readonly colour: boolean;
  readonly time: boolean;
  /** A stack may take lines of its own. */
  readonly lines: boolean;
}

const levelColour: Readonly<Record<string, string>> = {
  error: '\u001b[31m',
  warn: '\u001b[33m',
  info: '\u001b[32m',
  debug: '\u001b[2m',
};
const dim = '\u001b[2m';
const plain = '\u001b[0m';

/** One message, as parsed from its JSON, as one line with its line feed. */
export function textLineOf(message: Record<string, unknown>, style: TextStyle): string {
  const { level, time, message: words, stack, ...fields } = message;
  const paint = (colour: string, text: string) => (style.colour ? colour + text + plain : text);
  let line = style.time ? `${paint(dim, String(time))} ` : '';
  line += `${paint(levelColour[String(level)] ?? '', String(level).padEnd(5))} `;
  line += oneLine(String(words));
  for (const name of Object.keys(fields)) {
    line += ` ${paint(dim, `${oneLine(name)}=`)}${fieldOf(fields[name])}`;
  }
  if (stack !== undefined) {
    line += style.lines
      ? `\n    ${String(stack).split('\n').map(oneLine).join('\n    ')}`
      : ` stack=${fieldOf(stack)}`;
  }
  return `${line}\n`;
}

function fieldOf(value: unknown): string {
  if (typeof value !== 'string') return oneLine(JSON.stringify(value) ?? 'undefined');
  return /^[^\s"=\p{C}]+$/u.test(value) ? value : oneLine(JSON.stringify(value));
}

/** Characters that would break the line or steer the terminal, escaped. */
function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
}
