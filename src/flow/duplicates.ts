/**
 * The ids of the newest messages that name themselves, so that a repeat can be dropped.
 *
 *   ring    the ids in order of arrival, 128 bits each; the oldest makes room for the newest
 *   slots   open addressing by the first word: the place in the ring plus one, 0 where free
 *
 * 100,000 ids take 2.6 MB. What is compared is the whole id, not a shorter hash of it: two messages
 * are taken for one only when their events would have the same id.
 */
import { readHashId } from '../event/hash-id.ts';

export interface DuplicateWindow {
  /** Whether the id is among the newest that are remembered. */
  has(id: string): boolean;
  /** Forgets the oldest when it is full. An id that no identity made is ignored. */
  remember(id: string): void;
  /** Ids remembered. */
  readonly size: number;
}

const wordsPerId = 4;

/** Remembers the `limit` newest ids. */
export function createDuplicateWindow(limit: number): DuplicateWindow {
  const ring = new Uint32Array(limit * wordsPerId);
  // At most half full, so that a search is short.
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(limit * 2)));
  const mask = slots.length - 1;
  const words = new Uint32Array(wordsPerId);
  let next = 0;
  let size = 0;

  /** The slot of the id in `words`, or the free one where it would go. */
  const find = (): number => {
    for (let slot = words[0]! & mask; ; slot = (slot + 1) & mask) {
      const place = slots[slot]!;
      if (place === 0 || isAt(place - 1)) return slot;
    }
  };
  const isAt = (place: number): boolean => {
    const at = place * wordsPerId;
    for (let word = 0; word < wordsPerId; word++) {
      if (ring[at + word] !== words[word]) return false;
    }
    return true;
  };
  const slotOf = (place: number): number => {
    let slot = ring[place * wordsPerId]! & mask;
    while (slots[slot] !== place + 1) slot = (slot + 1) & mask;
    return slot;
  };
  /** Moves what lies behind a freed slot up, so that no search ends too early. */
  const free = (freed: number): void => {
    let hole = freed;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = ring[(slots[slot]! - 1) * wordsPerId]! & mask;
      // It may move up unless its home lies behind the hole.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      slots[hole] = slots[slot]!;
      hole = slot;
    }
    slots[hole] = 0;
  };
  return {
    has: (id) => readHashId(id, words) && slots[find()] !== 0,
    remember(id) {
      if (!readHashId(id, words) || slots[find()] !== 0) return;
      if (size === limit) free(slotOf(next));
      else size++;
      ring.set(words, next * wordsPerId);
      slots[find()] = next + 1;
      next = (next + 1) % limit;
    },
    get size() {
      return size;
    },
  };
}
