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

/** A batch of a backlog should keep the processor busy for about a millisecond, not longer: */
const batchEventsMin = 250;
/** So many batches of one size are timed, and the quickest counts. */
const timed = 4;
/** A batch twice as large that takes hardly longer: it is the way there and back that takes time. */
const growsBy = 1.2;
/** After so many batches a larger one is tried again. */
const tryAgainAfter = 400;
const batchesPerSecond = 10;

/** How many events of a backlog are delivered at once. */
export interface BatchSize {
  readonly events: number;
  /** A batch of so many has taken so long. */
  took(events: number, ms: number): void;
}

/**
 * Starts small, so that what is new need not wait for a large batch to be made, and grows while twice
 * as much takes hardly longer, up to `eventsMax` or a tenth of what the rate allows in a second.
 */
export function createBatchSize(eventsMax: number, rate = Number.POSITIVE_INFINITY): BatchSize {
  const max = Math.max(1, Math.min(eventsMax, Math.ceil(rate / batchesPerSecond)));
  const min = Math.min(max, batchEventsMin);
  let events = min;
  let isSettled = false;
  let smallerMs = Number.POSITIVE_INFINITY;
  let bestMs = Number.POSITIVE_INFINITY;
  let count = 0;
  const begin = (next: number, knownMs: number): void => {
    events = next;
    smallerMs = knownMs;
    bestMs = Number.POSITIVE_INFINITY;
    count = 0;
  };
  const decide = (): void => {
    if (bestMs > growsBy * smallerMs) {
      isSettled = true;
      begin(Math.max(min, events >> 1), Number.POSITIVE_INFINITY);
    } else if (events < max) begin(Math.min(max, events * 2), bestMs);
    else isSettled = true;
  };
  return {
    get events() {
      return events;
    },
    took(batchEvents, ms) {
      if (batchEvents < events) return;
      bestMs = Math.min(bestMs, ms);
      count++;
      if (count >= tryAgainAfter) {
        isSettled = false;
        begin(events, Number.POSITIVE_INFINITY);
      }
      if (count === timed && !isSettled) decide();
    },
  };
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

/** How long live delivery counts as going on after the last of it. */
const liveForMs = 1_000;
/** A rest is so many times as long as the batch was, … */
const restShare = 2;
/** … but never longer: a batch that takes long mostly waits for the far side. */
const restMaxMs = 10;

/** Leaves two thirds of the processor to live delivery while there is any. */
export interface GiveWay {
  /** Something live was delivered. */
  live(): void;
  /** After a batch of the backlog that took so long; whatever has arrived by now goes first. */
  rest(tookMs: number, signal: AbortSignal): Promise<void>;
}

export function createGiveWay(clock: Clock): GiveWay {
  let liveAt = Number.NEGATIVE_INFINITY;
  return {
    live() {
      liveAt = clock.monotonic();
    },
    async rest(tookMs, signal) {
      const isLive = clock.monotonic() - liveAt < liveForMs;
      await clock.sleep(isLive ? Math.min(restShare * tookMs, restMaxMs) : 0, signal);
    },
  };
}
