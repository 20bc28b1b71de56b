import { ownBytes } from '../platform/own-bytes.ts';
import { isKept } from './access.ts';
import type { Refusal } from './decode/refusal.ts';
import { topicProblem } from './decode/topic.ts';

/** What is known of one topic. */
export interface KnownTopic {
  readonly topic: string;
  readonly bytes: Buffer;
  /** Whether what is published under it is recorded. */
  readonly isKept: boolean;
  /** Whether a subscriber wants it, … */
  wanted: boolean;
  /** … as of this state of the subscriptions. */
  wantedAt: number;
}

/** Topics remembered, … */
const topicsMax = 10_000;
/** … but for those that are not worth the memory. */
const topicBytesMax = 512;

/**
 * The topics of late, by their bytes: one that is known need not be checked and made a text again.
 * Of two with one hash the later is remembered.
 */
export class TopicTable {
  readonly #topics = new Map<number, KnownTopic>();

  get size(): number {
    return this.#topics.size;
  }

  /** What is known of the topic in these bytes, or what is wrong with it. */
  find(bytes: Buffer, from: number, to: number): KnownTopic | Refusal {
    let hash = 0x811c9dc5;
    for (let index = from; index < to; index++) hash = Math.imul(hash ^ bytes[index]!, 0x01000193);
    const known = this.#topics.get(hash);
    if (known !== undefined && isSame(known.bytes, bytes, from, to)) return known;
    const problem = topicProblem(bytes, from, to);
    if (problem !== undefined) return problem;
    const topic = bytes.toString('utf8', from, to);
    const own = ownBytes(bytes.subarray(from, to));
    const entry = { topic, bytes: own, isKept: isKept(topic), wanted: false, wantedAt: -1 };
    if (own.length > topicBytesMax) return entry;
    if (known === undefined && this.#topics.size >= topicsMax) {
      this.#topics.delete(this.#topics.keys().next().value!);
    }
    this.#topics.set(hash, entry);
    return entry;
  }
}

/** From the end on: topics of one kind begin alike. */
export function isSame(known: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let index = known.length - 1; index >= 0; index--) {
    if (known[index] !== bytes[from + index]) return false;
  }
  return true;
}
