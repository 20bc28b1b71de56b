import type { Value } from '../event/event.ts';

type Flat = Record<string, number | boolean | string>;

const [quote, backslash] = [0x22, 0x5c];
const [minus, point, zero, nine] = [0x2d, 0x2e, 0x30, 0x39];
/** So many digits are exact in a double, and so is their quotient by these powers of ten. */
const digitsMax = 15;
const powers = Array.from({ length: digitsMax + 1 }, (_, places) => 10 ** places);
/** More members, and longer documents, are left to the ordinary way. */
const membersMax = 64;
const bytesMax = 4_096;
/** Longer texts are not expected to come again. */
const textBytesMax = 64;
/** Layouts of one mapping; the oldest makes room. */
export const layoutsMax = 32;
/** Of a topic, so many more documents may have had no known layout than have had one. */
const missesMax = 32;

/**
 * How a device writes its objects, learnt from one of them: the bytes between the values. One that
 * is written so again is read in a single pass over its bytes, and as `JSON.parse` would.
 */
export class JsonLayout {
  /** What stands before each value, and behind the last. */
  readonly #between: readonly Uint8Array[];
  readonly #names: readonly string[];
  /** The values of the last document; it is copied, never given away. */
  readonly #last: Flat;
  /** The last text of each member: most devices say the same again. */
  readonly #texts: readonly Text[];
  #at = 0;

  private constructor(between: readonly Uint8Array[], document: Flat) {
    this.#between = between;
    this.#names = Object.keys(document);
    this.#last = { ...document };
    this.#texts = this.#names.map(() => new Text());
  }

  /** `document` is what is in the bytes; undefined where it is not flat, or not plainly written. */
  static of(bytes: Uint8Array, document: unknown): JsonLayout | undefined {
    if (!isPlain(document) || bytes.length > bytesMax) return undefined;
    const between = bytesBetween(bytes, Object.keys(document));
    if (between === undefined) return undefined;
    const layout = new JsonLayout(between, document);
    return layout.read(bytes) === undefined ? undefined : layout;
  }

  /** Undefined where the bytes are anything but that layout with numbers, texts and booleans in it. */
  read(bytes: Uint8Array): Readonly<Record<string, Value>> | undefined {
    const names = this.#names;
    const last = this.#last;
    const between = this.#between;
    this.#at = 0;
    for (let index = 0; index < names.length; index++) {
      if (!this.#passes(bytes, between[index]!)) return undefined;
      const name = names[index]!;
      const first = bytes[this.#at]!;
      if (first === quote) {
        const text = this.#texts[index]!;
        const end = text.read(bytes, this.#at + 1);
        if (end < 0) return undefined;
        last[name] = text.value;
        this.#at = end + 1;
      } else if (first === minus || (first >= zero && first <= nine)) {
        const value = this.#number(bytes);
        if (Number.isNaN(value)) return undefined;
        last[name] = value;
      } else {
        const value = this.#word(bytes);
        if (value === undefined) return undefined;
        last[name] = value;
      }
    }
    if (!this.#passes(bytes, between[names.length]!) || this.#at !== bytes.length) return undefined;
    return { ...last };
  }

  #passes(bytes: Uint8Array, expected: Uint8Array): boolean {
    const at = this.#at;
    const { length } = expected;
    for (let index = 0; index < length; index++) {
      if (bytes[at + index] !== expected[index]) return false;
    }
    this.#at = at + length;
    return true;
  }

  /** NaN for what is no number, or may need more care. */
  #number(bytes: Uint8Array): number {
    let at = this.#at;
    const negative = bytes[at] === minus;
    if (negative) at += 1;
    const start = at;
    let digits = 0;
    let byte = bytes[at]!;
    while (byte >= zero && byte <= nine) {
      digits = digits * 10 + byte - zero;
      byte = bytes[++at]!;
    }
    const whole = at - start;
    if (whole === 0 || (whole > 1 && bytes[start] === zero)) return Number.NaN;
    let places = 0;
    if (byte === point) {
      byte = bytes[++at]!;
      const from = at;
      while (byte >= zero && byte <= nine) {
        digits = digits * 10 + byte - zero;
        byte = bytes[++at]!;
      }
      places = at - from;
      if (places === 0) return Number.NaN;
    }
    if (whole + places > digitsMax) return Number.NaN;
    this.#at = at;
    const value = places === 0 ? digits : digits / powers[places]!;
    return negative ? -value : value;
  }

  #word(bytes: Uint8Array): boolean | undefined {
    if (this.#passes(bytes, trueBytes)) return true;
    return this.#passes(bytes, falseBytes) ? false : undefined;
  }
}

const trueBytes = Uint8Array.from(Buffer.from('true'));
const falseBytes = Uint8Array.from(Buffer.from('false'));

class Text {
  value = '';
  readonly #bytes = new Uint8Array(textBytesMax);

  /** Returns where its closing quote stands; -1 for one with escapes, or beyond ASCII. */
  read(bytes: Uint8Array, from: number): number {
    const known = this.#bytes;
    const { length } = this.value;
    let same = 0;
    if (length <= textBytesMax) while (same < length && bytes[from + same] === known[same]) same++;
    if (same === length && bytes[from + length] === quote) return from + length;
    // What is remembered of it is about to go.
    this.value = '';
    let to = from;
    for (; bytes[to] !== quote; to++) {
      const byte = bytes[to]!;
      // Behind the end there is none, and no comparison with that holds.
      if (!(byte >= 0x20 && byte < 0x7f) || byte === backslash) return -1;
      if (to - from < textBytesMax) known[to - from] = byte;
    }
    this.value = latin1(bytes, from, to);
    return to;
  }
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('latin1', from, to);
}

function isPlain(document: unknown): document is Flat {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return false;
  const names = Object.keys(document);
  return (
    names.length > 0 &&
    names.length <= membersMax &&
    names.every((name) => {
      const type = typeof (document as Flat)[name];
      // Members named like an index do not stand in the order they were written.
      return (
        /^[A-Za-z_][\x20-\x21\x23-\x5b\x5d-\x7e]{0,63}$/.test(name) &&
        name !== '__proto__' &&
        type !== 'object'
      );
    })
  );
}

const member = /[ \t\r\n]*[{,][ \t\r\n]*"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*/y;
const value = /"[^"\\]*"|[-0-9.a-zA-Z+]+/y;

/** The bytes are an object with members of these names: where they stand in it, if it is so plain. */
function bytesBetween(bytes: Uint8Array, names: readonly string[]): Uint8Array[] | undefined {
  const text = latin1(bytes, 0, bytes.length);
  const between: Uint8Array[] = [];
  let at = 0;
  for (const name of names) {
    member.lastIndex = at;
    if (member.exec(text)?.[1] !== name) return undefined;
    between.push(Uint8Array.from(bytes.subarray(at, member.lastIndex)));
    value.lastIndex = member.lastIndex;
    if (!value.test(text)) return undefined;
    at = value.lastIndex;
  }
  // Of two members of one name, the later is still to come.
  if (!/^[ \t\r\n]*}[ \t\r\n]*$/.test(text.slice(at))) return undefined;
  between.push(Uint8Array.from(bytes.subarray(at)));
  return between;
}

/** The layouts of devices that are expected to be alike. */
export class KnownLayouts {
  readonly all: JsonLayout[] = [];
  #next = 0;

  /** Takes the place of the oldest when there are too many; returns which that is. */
  add(layout: JsonLayout): number {
    const place = this.#next;
    this.all[place] = layout;
    this.#next = (place + 1) % layoutsMax;
    return place;
  }
}

/** Reads the documents of one topic by the layouts that are known. */
export class LayoutReader {
  readonly #known: KnownLayouts;
  /** Where the layout stands that fitted last. */
  #last = 0;
  #misses = 0;

  constructor(known: KnownLayouts) {
    this.#known = known;
  }

  /** Undefined for what is to be read otherwise, and then learnt from. */
  read(bytes: Uint8Array): Readonly<Record<string, Value>> | undefined {
    const document = this.#known.all[this.#last]?.read(bytes) ?? this.#readByOther(bytes);
    if (document !== undefined && this.#misses > 0) this.#misses -= 1;
    return document;
  }

  /** Gives up where devices write in ever new ways. */
  learn(bytes: Uint8Array, document: unknown): void {
    if (this.#misses > missesMax) return;
    this.#misses += 1;
    const layout = JsonLayout.of(bytes, document);
    if (layout !== undefined) this.#last = this.#known.add(layout);
  }

  #readByOther(bytes: Uint8Array): Readonly<Record<string, Value>> | undefined {
    if (this.#misses > missesMax) return undefined;
    const { all } = this.#known;
    for (let place = 0; place < all.length; place++) {
      const document = place === this.#last ? undefined : all[place]!.read(bytes);
      if (document === undefined) continue;
      this.#last = place;
      return document;
    }
    return undefined;
  }
}
