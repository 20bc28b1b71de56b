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
 * An event therefore has its place in the log, modulo a million, for the digits below the
 * millisecond. Being a property of the event alone, that is the same on every attempt, however
 * batches are cut; and it tells apart any two events less than a million places apart. An event
 * without a place (a dead letter sent again) has a hash of its source and id there.
 */
export function nanosecondsOf(event: CloudEvent): string {
  const position = (event as { readonly position?: number }).position;
  const below = (position ?? hashOf(event.source, event.id)) % 1_000_000;
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
