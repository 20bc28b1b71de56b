import type { Clock } from '../../src/platform/clock.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';

/** The clock of the machine, which a test can put forward. */
export interface ForwardClock extends Clock {
  /** So much time has passed: both clocks are ahead by it, and who slept for less wakes. */
  advance(ms: number): void;
}

interface Sleeper {
  readonly due: number;
  wake(): void;
}

export function createForwardClock(): ForwardClock {
  const system = createSystemClock();
  const sleepers = new Set<Sleeper>();
  let ahead = 0;
  const monotonic = (): number => system.monotonic() + ahead;
  return {
    boot: system.boot,
    quality: () => system.quality(),
    now: () => system.now() + ahead,
    monotonic,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        const woken = new AbortController();
        const sleeper: Sleeper = {
          due: monotonic() + ms,
          wake: () => {
            sleepers.delete(sleeper);
            woken.abort();
            resolve();
          },
        };
        const aborted = (): void => {
          sleepers.delete(sleeper);
          woken.abort();
          reject(signal!.reason);
        };
        if (signal?.aborted) return aborted();
        signal?.addEventListener('abort', aborted, { once: true });
        woken.signal.addEventListener('abort', () => signal?.removeEventListener('abort', aborted));
        sleepers.add(sleeper);
        system.sleep(ms, woken.signal).then(sleeper.wake, () => {});
      });
    },
    advance(ms) {
      ahead += ms;
      const now = monotonic();
      const due = [...sleepers].filter((sleeper) => sleeper.due <= now);
      for (const sleeper of due.sort((a, b) => a.due - b.due)) sleeper.wake();
    },
  };
}
