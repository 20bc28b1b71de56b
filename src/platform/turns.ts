import type { Clock } from './clock.ts';

/** Work that would take long, in turns between which everything else goes on. */
export interface Turns {
  /** To be awaited between any two steps, when it is not undefined: the turn is over. */
  readonly rest: Promise<void> | undefined;
}

const turnMs = 2;

export function createTurns(clock: Pick<Clock, 'monotonic' | 'sleep'>): Turns {
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
