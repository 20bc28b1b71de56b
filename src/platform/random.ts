import { randomFillSync } from 'node:crypto';

/** Chance, as a thing that is handed in. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

const words = new Uint32Array(64);
let used = words.length;

/** The machine's own. */
export const systemRandom: Random = {
  next() {
    if (used === words.length) {
      randomFillSync(words);
      used = 0;
    }
    return words[used++]! / 2 ** 32;
  },
};

/** Repeatable: the same seed gives the same numbers on every machine (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
  };
}
