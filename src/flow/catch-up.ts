import type { Entry } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { ageMsOf } from './clock.ts';

/** What becomes of events that a sink could not take in time. */
export interface CatchUp {
  /** `liveFirst`: they drain beside what is new. `oldestFirst`: what is new waits behind them. */
  readonly order: 'liveFirst' | 'oldestFirst';
  /** Further behind than this many events, or … */
  readonly behindEvents: number;
  /** … than this many milliseconds, and they are a backlog. */
  readonly behindAgeMs: number;
  /** Events a second of a backlog; as many as the sink takes when it is not given. */
  readonly rate?: number;
}

/** So many events of a backlog at once: few enough that what is new need not wait for long. */
const backlogBatchEvents = 1_000;
const batchesPerSecond = 10;

/** How much of a backlog is delivered at once. */
export function backlogBatchOf(batchEvents: number, catchUp: CatchUp | undefined): number {
  const share = Math.ceil((catchUp?.rate ?? Number.POSITIVE_INFINITY) / batchesPerSecond);
  return Math.max(1, Math.min(batchEvents, backlogBatchEvents, share));
}

/** Whether delivery that would begin with this entry is so far behind that live goes first. */
export function isFarBehind(
  oldest: Entry,
  last: number,
  catchUp: CatchUp | undefined,
  clock: Clock,
): boolean {
  if (catchUp?.order !== 'liveFirst') return false;
  if (last - oldest.position + 1 > catchUp.behindEvents) return true;
  return ageMsOf(oldest, clock) > catchUp.behindAgeMs;
}

/** Makes the backlog give way to live delivery. */
export interface GiveWay {
  /** Runs what delivers live events. */
  live<T>(work: () => Promise<T>): Promise<T>;
  /** Resolves when no live delivery is under way; after one of them in any case. */
  turn(): Promise<void>;
}

export function createGiveWay(): GiveWay {
  let current: Promise<unknown> | undefined;
  return {
    async live(work) {
      const done = work();
      current = done.catch(() => {});
      try {
        return await done;
      } finally {
        current = undefined;
      }
    },
    async turn() {
      await current;
    },
  };
}

/** Waits so that no more than `rate` events a second pass; without a rate not at all. */
export function createPace(rate: number | undefined, clock: Clock) {
  let freeAt = Number.NEGATIVE_INFINITY;
  return async (events: number, signal: AbortSignal): Promise<void> => {
    if (rate === undefined || events === 0) return;
    const now = clock.monotonic();
    const startAt = Math.max(now, freeAt);
    freeAt = startAt + (events / rate) * 1_000;
    if (startAt > now) await clock.sleep(startAt - now, signal);
  };
}
