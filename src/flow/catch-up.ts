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

const batchesPerSecond = 10;
/** Beside live delivery batches begin with this size; a smaller one would hardly take less time. */
const besideMin = 100;
/** A larger one keeps the processor, here or at the far side, busy for long enough to be felt (decision 020). */
const besideMax = 250;
/** After so many live batches that have met some of the backlog the size is thought over. */
const samples = 16;
/** What is compared: three of four batches are as quick. Who else is busy makes a few very slow. */
const share = 0.75;
/** Live batches may take so many times as long beside a backlog, and a moment more. */
const slowerMax = 1.5;
const slowerMs = 0.2;
const growsBy = 1.25;
const shrinksBy = 0.7;

/** How many events of a backlog are delivered at once. */
export interface BatchSize {
  readonly events: number;
  /** A live batch took so long; `isBeside` when it met some of the backlog under way. */
  liveTook(ms: number, isBeside: boolean): void;
}

/**
 * As many as a batch may have, or as a tenth of what the rate allows in a second, while nothing else
 * is delivered. Beside live delivery few, and more while that does not slow it down by half.
 */
export function createBatchSize(
  eventsMax: number,
  rate: number | undefined,
  isLive: () => boolean,
): BatchSize {
  const perSecond = rate ?? Number.POSITIVE_INFINITY;
  const max = Math.max(1, Math.min(eventsMax, Math.ceil(perSecond / batchesPerSecond)));
  let beside = besideMin;
  const alone: number[] = [];
  const met: number[] = [];
  return {
    get events() {
      return isLive() ? Math.min(max, Math.round(beside)) : max;
    },
    liveTook(ms, isBeside) {
      if (!isBeside) {
        alone.push(ms);
        if (alone.length > samples) alone.shift();
        return;
      }
      if (met.push(ms) < samples) return;
      const mostMs = mostOf(met.splice(0));
      if (alone.length < samples) return;
      const isSlower = mostMs > slowerMax * mostOf(alone) + slowerMs;
      beside *= isSlower ? shrinksBy : growsBy;
      beside = Math.max(besideMin, Math.min(beside, besideMax));
    },
  };
}

function mostOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;
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
const liveForMs = 10_000;
/** How long it is expected once there is a backlog: until then nobody can have shown that there is any. */
const expectedForMs = 250;
/** A rest is so many times as long as the batch was, … */
const restShare = 3;
/** … but never longer: a batch that takes long mostly waits for the far side. */
const restMaxMs = 15;
/** How often it is looked whether live delivery is done. */
const pollMs = 1;
/** A batch of the backlog waits so long for live delivery to be done: that may never be. */
const waitMaxMs = 10;

/** Leaves three quarters of the processor to live delivery while there is any, and lets it go first. */
export interface GiveWay {
  /** A live batch goes out. */
  liveBegins(): void;
  /** Whether some of the backlog was under way when it went out. */
  liveEnds(): boolean;
  /** Whether there is any, or may be: a backlog has just arisen. */
  isLive(): boolean;
  backlogArises(): void;
  backlogBegins(): void;
  backlogEnds(tookMs: number): void;
  /**
   * Between two batches of the backlog. Then whatever has arrived has gone out, and been answered; or
   * has had its time for that.
   */
  rest(signal: AbortSignal): Promise<void>;
}

/** `isLivePending` says whether something new is about to be delivered, or has not been yet. */
export function createGiveWay(clock: Clock, isLivePending: () => boolean): GiveWay {
  let liveAt = Number.NEGATIVE_INFINITY;
  let isUnderWay = false;
  let hasMet = false;
  let tookMs = 0;
  const isLive = (): boolean => clock.monotonic() - liveAt < liveForMs;
  return {
    isLive,
    liveBegins() {
      liveAt = clock.monotonic();
      hasMet = isUnderWay;
    },
    liveEnds: () => hasMet,
    backlogArises() {
      liveAt = Math.max(liveAt, clock.monotonic() - liveForMs + expectedForMs);
    },
    backlogBegins() {
      isUnderWay = true;
    },
    backlogEnds(ms) {
      isUnderWay = false;
      tookMs = ms;
    },
    async rest(signal) {
      await clock.sleep(isLive() ? Math.min(restShare * tookMs, restMaxMs) : 0, signal);
      const endsAt = clock.monotonic() + waitMaxMs;
      while (isLive() && isLivePending() && clock.monotonic() < endsAt) {
        await clock.sleep(pollMs, signal);
      }
    },
  };
}
