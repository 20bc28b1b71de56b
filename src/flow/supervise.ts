import type { Clock } from '../platform/clock.ts';
import { RetryLater } from '../platform/errors.ts';
import type { Random } from '../platform/random.ts';

export interface Retry {
  /** The first wait is drawn from 0 to this; each failure in a row doubles it. */
  readonly minMs: number;
  /** Waits are never longer, except where the far side asks for it. */
  readonly maxMs: number;
}

/** No far side may send us away for longer than this. */
const askedWaitMaxMs = 3_600_000;

/**
 * Runs a task again and again until it resolves or the signal is aborted; the only retry loop there
 * is. Waits with full jitter between failures; `healthy` makes the next wait a first one again.
 */
export async function supervise(
  task: (healthy: () => void) => Promise<void>,
  options: {
    readonly retry: Retry;
    readonly clock: Clock;
    readonly random: Random;
    readonly signal: AbortSignal;
    readonly onFailure: (error: unknown, waitMs: number, failuresInARow: number) => void;
    /** Errors that waiting cannot mend end the supervision and are thrown on. */
    readonly isFinal?: (error: unknown) => boolean;
  },
): Promise<void> {
  let failures = 0;
  const healthy = (): void => {
    failures = 0;
  };
  while (!options.signal.aborted) {
    try {
      return await task(healthy);
    } catch (error) {
      if (options.signal.aborted) return;
      if (options.isFinal?.(error) === true) throw error;
      failures += 1;
      const waitMs = waitMsOf(failures, options.retry, options.random, error);
      options.onFailure(error, waitMs, failures);
      await options.clock.sleep(waitMs, options.signal).catch(() => {});
    }
  }
}

function waitMsOf(failures: number, retry: Retry, random: Random, error: unknown): number {
  const ceilingMs = Math.min(retry.maxMs, retry.minMs * 2 ** Math.min(failures - 1, 30));
  const waitMs = Math.ceil(random.next() * ceilingMs);
  if (!(error instanceof RetryLater)) return waitMs;
  return Math.min(askedWaitMaxMs, error.afterMs) + waitMs;
}
