/**
 * One line of the line protocol after the other, by a scan that looks at every character once:
 *
 *   head     measurement[,tag=text]…     `,` `=` and space are escaped by a backslash
 *   fields   name=value[,name=value]…    1.5 float · 3i integer · 3u unsigned · t true f false · "text"
 *   time     digits, if any
 */
import type { Value } from '../event/event.ts';
import { DecodeError } from './codec.ts';
import { ownTextOf } from './utf8.ts';

/** A line, before its time is understood. */
export interface Line {
  readonly head: Head;
  readonly fields: Readonly<Record<string, Value>>;
  /** Digits, perhaps with a sign; empty where the line has none. */
  readonly time: string;
}

/** What a line is about; shared by all lines that begin alike. */
export interface Head {
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The device, if a tag names it, and the tags that are left. */
  readonly device: string | undefined;
  readonly otherTags: Readonly<Record<string, string>>;
  /** The fields of the last line that began so, in order: those of the next are likely the same. */
  readonly names: string[];
}

/** Beginnings of lines that are remembered: devices repeat theirs in every message. */
const headsMax = 4_096;
const headLengthMax = 1_024;
const integerLengthMax = 40;
const namesMax = 64;

const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const comma = 0x2c;
const equals = 0x3d;
const backslash = 0x5c;

/**
 * Reads the lines of texts; remembers how at most 4,096 of them began. The first of `deviceTags`
 * that a line has names its device.
 */
export function createLineReader(deviceTags: readonly string[]) {
  const heads = new Map<string, Head>();
  let text = '';
  let at = 0;

  const fail = (what: string): never => {
    const place = at - text.lastIndexOf('\n', at - 1);
    throw new DecodeError(`${what} at character ${place}`);
  };

  /** Moves to the end of what `stop` or `other` ends, unless a backslash stands before it. */
  const scan = (stop: number, other: number): void => {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === newline) return;
      if ((code === stop || code === other) && text.charCodeAt(at - 1) !== backslash) return;
    }
  };

  const head = (): Head => {
    const start = at;
    scan(space, space);
    if (text.charCodeAt(at) !== space) fail('Expected a space and fields');
    const whole = text.slice(start, at);
    const known = heads.get(whole);
    if (known !== undefined) return known;
    const end = at;
    at = start;
    const made = newHead(end);
    if (heads.size >= headsMax) heads.clear();
    if (whole.length <= headLengthMax) heads.set(ownTextOf(whole), made);
    return made;
  };

  const newHead = (end: number): Head => {
    const start = at;
    scan(comma, space);
    const measurement = ownTextOf(unescaped(text.slice(start, at), /\\([, ])/g));
    if (measurement === '') fail('Expected a measurement');
    const tags: Record<string, string> = {};
    while (at < end) {
      at++;
      const name = nameUntilEquals();
      const from = at;
      scan(comma, space);
      if (at === from) fail('Expected the text of a tag');
      tags[name] = ownTextOf(unescaped(text.slice(from, at), escapes));
    }
    const own = deviceIn(tags, deviceTags);
    return { measurement, tags: Object.freeze(tags), ...own, names: [] };
  };

  const nameUntilEquals = (): string => {
    const start = at;
    let isPlain = true;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === backslash) isPlain = false;
      if (code === newline) break;
      if ((code === equals || code === comma || code === space) && !isEscaped(start)) break;
    }
    if (text.charCodeAt(at) !== equals) fail('Expected =');
    if (at === start) fail('Expected a name');
    const name = text.slice(start, at++);
    return isPlain ? name : unescaped(name, escapes);
  };
  const isEscaped = (start: number): boolean => at > start && text.charCodeAt(at - 1) === backslash;

  const fieldName = (names: string[], index: number): string => {
    const likely = names[index];
    if (likely !== undefined && text.startsWith(likely, at)) {
      const end = at + likely.length;
      if (text.charCodeAt(end) === equals && text.charCodeAt(end - 1) !== backslash) {
        at = end + 1;
        return likely;
      }
    }
    const name = nameUntilEquals();
    // One with an escape does not stand in the text as it is.
    if (index < namesMax && index <= names.length) names[index] = ownTextOf(name);
    return name;
  };

  const value = (): Value => {
    if (text.charCodeAt(at) === quote) return quotedText();
    const start = at;
    const short = shortNumber();
    if (short !== undefined) return short;
    for (; at < text.length; at++) if (isEnd(text.charCodeAt(at))) break;
    const found = valueIn(text, start, at);
    if (found !== undefined) return found;
    at = start;
    return fail('Expected a number, a boolean or a text in quotes');
  };

  /**
   * A decimal of at most 15 digits, or an integer: both it and the power of ten are exact, so that
   * their quotient is the nearest double. Undefined, and nothing is passed, for any other value.
   */
  const shortNumber = (): Value | undefined => {
    let index = at;
    const isNegative = text.charCodeAt(index) === 0x2d;
    if (isNegative) index++;
    let digits = 0;
    let point = -1;
    let whole = 0;
    let code = text.charCodeAt(index);
    for (; ; code = text.charCodeAt(++index)) {
      if (isDigit(code)) {
        whole = whole * 10 + code - 0x30;
        digits++;
      } else if (code === 0x2e && point < 0) point = digits;
      else break;
    }
    const isInteger = code === 0x69 && point < 0;
    if (isInteger) code = text.charCodeAt(++index);
    if (digits === 0 || digits > 15 || !(index >= text.length || isEnd(code))) return undefined;
    at = index;
    if (isInteger) return BigInt(isNegative ? -whole : whole);
    const number = point < 0 ? whole : whole / 10 ** (digits - point);
    return isNegative ? -number : number;
  };

  const quotedText = (): string => {
    const start = ++at;
    let isPlain = true;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === quote) {
        const inner = text.slice(start, at++);
        return ownTextOf(isPlain ? inner : unescaped(inner, /\\(["\\])/g));
      }
      if (code === backslash) {
        isPlain = false;
        at++;
      }
    }
    at = start;
    return fail('Expected a quote that ends the text begun');
  };

  const time = (): string => {
    while (text.charCodeAt(at) === space) at++;
    const start = at;
    if (text.charCodeAt(at) === 0x2d) at++;
    while (isDigit(text.charCodeAt(at))) at++;
    const digits = text.slice(start, at);
    while (text.charCodeAt(at) === space || text.charCodeAt(at) === carriageReturn) at++;
    const isLast = at >= text.length || text.charCodeAt(at) === newline;
    if (!isLast || digits === '-' || digits.length > 20) fail('Expected a time in digits');
    return digits;
  };

  return {
    begin(whole: string): void {
      text = whole;
      at = 0;
    },
    /** The next line; undefined behind the last. Throws `DecodeError` that ends with the place. */
    next(): Line | undefined {
      for (; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code === 0x23) this.skip();
        else if (code !== newline && code !== space && code !== carriageReturn) break;
      }
      if (at >= text.length) return undefined;
      const about = head();
      while (text.charCodeAt(at) === space) at++;
      const fields: Record<string, Value> = {};
      for (let index = 0; ; index++) {
        fields[fieldName(about.names, index)] = value();
        if (text.charCodeAt(at) !== comma) break;
        at++;
      }
      return { head: about, fields, time: time() };
    },
    /** Moves to the end of the line. */
    skip(): void {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
    },
    /** The line that is being read, counted from 1. */
    lineNumber(): number {
      let count = 1;
      for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', end + 1)) {
        count++;
      }
      return count;
    },
  };
}
export type LineReader = ReturnType<typeof createLineReader>;

/** The tag `device` is what every sink calls the device anyway; any other stays a tag, too. */
function deviceIn(
  tags: Readonly<Record<string, string>>,
  deviceTags: readonly string[],
): Pick<Head, 'device' | 'otherTags'> {
  const tag = deviceTags.find((name) => Object.hasOwn(tags, name));
  if (tag === undefined) return { device: undefined, otherTags: tags };
  if (tag !== 'device') return { device: tags[tag], otherTags: tags };
  const { device, ...others } = tags;
  return { device, otherTags: Object.freeze(others) };
}

const escapes = /\\([,= ])/g;
function unescaped(text: string, escaped: RegExp): string {
  return text.includes('\\') ? text.replace(escaped, '$1') : text;
}

/** Whether a value ends there. */
function isEnd(code: number): boolean {
  return code === comma || code === space || code === newline || code === carriageReturn;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

const booleans: Readonly<Record<string, boolean>> = {
  ...{ t: true, T: true, true: true, True: true, TRUE: true },
  ...{ f: false, F: false, false: false, False: false, FALSE: false },
};

/** Undefined for what is no value. Integers are `bigint`, whatever their size: they stay integers. */
function valueIn(text: string, start: number, end: number): Value | undefined {
  const first = text.charCodeAt(start);
  if (!isDigit(first) && first !== 0x2d && first !== 0x2b && first !== 0x2e) {
    const word = text.slice(start, end);
    return Object.hasOwn(booleans, word) ? booleans[word] : undefined;
  }
  const last = text.charCodeAt(end - 1);
  if (last === 0x69 || last === 0x75) return integerOf(text.slice(start, end - 1), last === 0x75);
  // What Number takes beside decimals: 0x1f, 0b1, 0o7.
  if ((text.charCodeAt(start + 1) | 0x20) >= 0x62 && (text.charCodeAt(start + 1) | 0x20) !== 0x65) {
    return undefined;
  }
  const number = Number(text.slice(start, end));
  return Number.isFinite(number) ? number : undefined;
}

function integerOf(digits: string, isUnsigned: boolean): bigint | undefined {
  if (digits.length > integerLengthMax || !/^[+-]?\d+$/.test(digits)) return undefined;
  const integer = BigInt(digits.length < 16 ? Number(digits) : digits.replace('+', ''));
  const wrapped = isUnsigned ? BigInt.asUintN(64, integer) : BigInt.asIntN(64, integer);
  return wrapped === integer ? integer : undefined;
}
