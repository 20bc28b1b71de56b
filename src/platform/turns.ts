import type { Clock } from './clock.ts';

/** Work that would take long, in turns between which everything else goes on. */
export interface Turns {
  /** To be awaited between any two steps, when it is not undefined: the turn is over. */
  readonly rest: Promise<void> | undefined;
}

const turnMsDefault = 2;

/** A turn takes `turnMs` milliseconds, 2 unless given. */
export function createTurns(
  clock: Pick<Clock, 'monotonic' | 'sleep'>,
  turnMs = turnMsDefault,
): Turns {
  let endsAt = clock.monotonic() + turnMs;
  const wait = async (): Promise<void> => {
    await clock.sleep(0);
    endsAt = clock.monotonic() + turnMs;
  };
  return {
    get rest() {
      return clock.monotonic() < endsAt ? undefined : wait();
    },
  };
}
