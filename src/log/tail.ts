import type { Entry } from './log.ts';

/** More entries are not kept, however small they are. */
const countMax = 2 ** 16;
const countFirst = 2 ** 10;
/** What the objects of an entry take, and what each of its bytes on disk becomes. */
const entryHeapBytes = 384;
const heapPerByte = 4;

/**
 * The newest entries, as they were appended, for as long as a reader has yet to take them: a reader
 * that keeps up never touches the disk. Bounded by an estimate of the heap they hold, and by count.
 */
export interface Tail {
  /** The oldest position kept; `last + 1` when none is. */
  readonly first: number;
  readonly last: number;
  /** Adds the entries that follow `last`, together so many bytes on disk. */
  push(entries: readonly Entry[], bytes: number): void;
  /** Forgets everything up to and including that position. */
  forget(position: number): void;
  /** Up to `limit` entries behind `after`, which must not be before `first - 1`. */
  slice(after: number, limit: number): readonly Entry[];
}

export function createTail(last: number, heapBytesMax: number): Tail {
  let slots = new Array<Entry | undefined>(countFirst).fill(undefined);
  let sizes = new Uint32Array(countFirst);
  let first = last + 1;
  let next = first;
  let heapBytes = 0;

  const grow = (): void => {
    const count = slots.length * 2;
    const grownSlots = new Array<Entry | undefined>(count).fill(undefined);
    const grownSizes = new Uint32Array(count);
    for (let position = first; position < next; position++) {
      grownSlots[position % count] = slots[position % slots.length];
      grownSizes[position % count] = sizes[position % slots.length]!;
    }
    slots = grownSlots;
    sizes = grownSizes;
  };
  const dropOne = (): void => {
    const at = first++ % slots.length;
    slots[at] = undefined;
    heapBytes -= sizes[at]!;
  };

  return {
    get first() {
      return first;
    },
    get last() {
      return next - 1;
    },
    push(entries, bytes) {
      const size = Math.ceil(entryHeapBytes + (heapPerByte * bytes) / entries.length);
      for (const entry of entries) {
        if (next - first === slots.length) {
          if (slots.length < countMax) grow();
          else dropOne();
        }
        const at = next++ % slots.length;
        slots[at] = entry;
        sizes[at] = size;
        heapBytes += size;
        while (heapBytes > heapBytesMax && first < next - 1) dropOne();
      }
    },
    forget(position) {
      const until = Math.min(position + 1, next);
      while (first < until) dropOne();
    },
    slice(after, limit) {
      const count = Math.min(limit, next - 1 - after);
      const entries = new Array<Entry>(count);
      for (let i = 0; i < count; i++) entries[i] = slots[(after + 1 + i) % slots.length]!;
      return entries;
    },
  };
}
