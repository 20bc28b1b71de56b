/** Names and texts of InfluxDB's line protocol, made safe. See `line-protocol.ts`. */

/** What InfluxDB keeps for itself, as a tag or a field. */
const reserved = new Set(['time', '_field', '_measurement']);

const unsafe = /[\p{Cc}\\,= ]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through.
const controls = /[\u0000-\u001f\u007f]/g;
const escapingBackslash = /\\(?=[\\,= ]|$)/g;

/** A name of a tag or field, or the text of a tag. Of one line, with nothing in it that ends it. */
export function escaped(text: string): string {
  return unsafe.test(text) ? spelled(text).replace(/[,= ]/g, '\\$&') : text;
}

/** As `escaped`, for a measurement: there `=` is a sign like any other, and # begins a comment. */
export function escapedMeasurement(text: string): string {
  const name = text.startsWith('#') ? `＃${text.slice(1)}` : text;
  return unsafe.test(name) ? spelled(name).replace(/[, ]/g, '\\$&') : name;
}

/** A text as the value of a field, in quotes. */
export function quotedText(text: string): string {
  return /["\\]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`;
}

function spelled(text: string): string {
  return text
    .replace(controls, (c) =>
      c === '\u007f' ? '␡' : String.fromCharCode(0x2400 + c.charCodeAt(0)),
    )
    .replace(escapingBackslash, '＼');
}

/** `name`, followed by as many `_` as it takes to be nobody else's and not reserved. */
export function freeName(name: string, isTaken: (name: string) => boolean): string {
  let free = name;
  while (reserved.has(free) || isTaken(free)) free += '_';
  return free;
}
