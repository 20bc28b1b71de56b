import type { Behaviour } from './behaviour.ts';

export interface SilenceOptions {
  /** From one silence to the next. */
  readonly everyMs: number;
  readonly lastsMs: number;
  /** When the first begins, after the device was switched on. */
  readonly afterMs: number;
}

/** Nothing is sent for a while, now and then: out of range, flat, hung. */
export function silence({ everyMs, lastsMs, afterMs }: SilenceOptions): Behaviour {
  return (sending, moment) => {
    const at = moment.elapsedMs - afterMs;
    return at >= 0 && at % everyMs < lastsMs ? [] : sending;
  };
}
