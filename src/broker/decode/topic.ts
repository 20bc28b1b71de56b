import { isUtf8 } from 'node:buffer';
import { broken } from './clauses.ts';
import type { Refusal } from './refusal.ts';

/** Levels of a topic: each costs memory where it is kept, and time where it is looked for. */
export const topicLevelsMax = 128;

const slash = 0x2f;
const hash = 0x23;
const plus = 0x2b;
/** `$share/` */
const shareMark = [0x24, 0x73, 0x68, 0x61, 0x72, 0x65, 0x2f] as const;

/** What is wrong with the name of a topic, if anything. An empty one is the caller's affair. */
export function topicProblem(
  bytes: Uint8Array,
  from: number,
  to: number,
  utf8: Refusal = broken.topicUtf8,
  wildcard: Refusal = broken.topicWildcard,
): Refusal | undefined {
  let ascii = true;
  let levels = 1;
  for (let index = from; index < to; index++) {
    const byte = bytes[index]!;
    if (byte === 0) return broken.topicNull;
    if (byte === hash || byte === plus) return wildcard;
    if (byte === slash) levels += 1;
    else if (byte >= 0x80) ascii = false;
  }
  if (levels > topicLevelsMax) return broken.topicLevels;
  return ascii || isUtf8(bytes.subarray(from, to)) ? undefined : utf8;
}

/** Whether a filter asks for a shared subscription. */
export function isShared(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < shareMark.length) return false;
  return shareMark.every((byte, index) => bytes[from + index] === byte);
}

/**
 * What is wrong with a topic filter, if anything [MQTT5-4.7]. The grammar of `$share/…` is that of
 * MQTT 5; to older clients it is a name like any other.
 */
export function filterProblem(
  bytes: Uint8Array,
  from: number,
  to: number,
  level: number,
  utf8: Refusal,
): Refusal | undefined {
  if (from === to) return broken.filterEmpty;
  let ascii = true;
  for (let index = from; index < to; index++) {
    const byte = bytes[index]!;
    if (byte === 0) return broken.topicNull;
    if (byte >= 0x80) ascii = false;
  }
  if (!ascii && !isUtf8(bytes.subarray(from, to))) return utf8;
  if (level !== 5 || !isShared(bytes, from, to)) return wildcardProblem(bytes, from, to);
  return sharedProblem(bytes, from + shareMark.length, to);
}

function wildcardProblem(bytes: Uint8Array, from: number, to: number): Refusal | undefined {
  for (let index = from; index < to; index++) {
    const byte = bytes[index]!;
    if (byte !== hash && byte !== plus) continue;
    const begins = index === from || bytes[index - 1] === slash;
    if (byte === hash && !(begins && index + 1 === to)) return broken.multiLevelWildcard;
    if (byte === plus && !(begins && (index + 1 === to || bytes[index + 1] === slash))) {
      return broken.singleLevelWildcard;
    }
  }
  return undefined;
}

/** `name/filter`: the name has a character at least, and no wildcard; the filter is not empty. */
function sharedProblem(bytes: Uint8Array, from: number, to: number): Refusal | undefined {
  let at = from;
  while (at < to && bytes[at] !== slash) {
    if (bytes[at] === hash || bytes[at] === plus) return broken.shareName;
    at += 1;
  }
  if (at === from) return broken.shareName;
  if (at + 1 >= to) return broken.shareFilter;
  return wildcardProblem(bytes, at + 1, to);
}
