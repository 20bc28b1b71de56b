/** Times of InfluxDB's line protocol. */
import type { CloudEvent } from '../event/event.ts';

/** The times that InfluxDB can hold, in milliseconds since the epoch: the years 1677 to 2262. */
export const timeMinMs = -9_223_372_036_853;
export const timeMaxMs = 9_223_372_036_853;

const threeDigits = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));
let secondStart = Number.NaN;
let second = '';

/**
 * The time of an event in nanoseconds, as text. InfluxDB keeps one point per series and time, the
 * later replacing the earlier, so two facts of one device in one millisecond must not share a time.
 * The digits below the millisecond are therefore made from the id of the event, and so the same on
 * every attempt, replay and redrive. An id that the log gave ends in the position of the event: any
 * two less than a million places apart are told apart for certain, others by chance, one in a million.
 */
export function nanosecondsOf(event: CloudEvent): string {
  const below = endOf(event.id) ?? hashOf(event.source, event.id) % 1_000_000;
  const ms = Math.floor(event.time);
  if (ms < 1000) return String(BigInt(ms) * 1_000_000n + BigInt(below));
  if (!(ms >= secondStart && ms < secondStart + 1000)) {
    const seconds = Math.floor(ms / 1000);
    secondStart = seconds * 1000;
    second = `${seconds}`;
  }
  const thousands = Math.floor(below / 1000);
  return (
    second +
    threeDigits[ms - secondStart]! +
    threeDigits[thousands]! +
    threeDigits[below - thousands * 1000]!
  );
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const digits = new Int8Array(128).fill(-1);
for (let value = 0; value < alphabet.length; value++) {
  digits[alphabet.charCodeAt(value)] = value;
  digits[alphabet.toLowerCase().charCodeAt(value)] = value;
}
const idLength = 26;

/** The last 20 bits of an id in base32, modulo a million; undefined for another kind of id. */
function endOf(id: string): number | undefined {
  if (id.length !== idLength) return undefined;
  let end = 0;
  for (let at = idLength - 4; at < idLength; at++) {
    const value = digits[id.charCodeAt(at) & 127]!;
    if (value < 0) return undefined;
    end = end * 32 + value;
  }
  return end % 1_000_000;
}

/** The time of an event in milliseconds, as text. */
export function millisecondsOf(event: CloudEvent): string {
  return `${Math.floor(event.time)}`;
}

/** 32 bits of FNV-1a: the same in every version of the gateway, as points stored depend on it. */
function hashOf(...texts: readonly string[]): number {
  let hash = 0x811c9dc5;
  for (const text of texts) {
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
    hash = Math.imul(hash ^ 0xffff, 0x01000193);
  }
  return hash >>> 0;
}
