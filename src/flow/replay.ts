import type { CloudEvent } from '../event/event.ts';
import { createFilter, type Select } from '../event/filter.ts';
import { isRedriven, replayedOf } from '../event/redelivery.ts';
import type { Entry, EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayEnds, GatewayError, messageOf } from '../platform/errors.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Connection, Rejection, Sink } from '../sink/sink.ts';
import { createPace } from './catch-up.ts';
import type { Timing } from './clock.ts';
import type { Note, ReplayNotes } from './replay-notes.ts';
import { type Retry, supervise } from './supervise.ts';

/** What is to be delivered again. */
export interface ReplayRequest {
  readonly sink: string;
  /** Recorded from this time, and up to that; milliseconds since the epoch, both inclusive. */
  readonly from: number;
  readonly to?: number;
  readonly device?: Select['device'];
  readonly type?: Select['type'];
  /** Events per second at most. */
  readonly rate?: number;
  /** Only counts. */
  readonly dryRun?: boolean;
}

/** How far a replay is. Positions are places in the log; it is done when `position` is `last`. */
export interface ReplayProgress {
  readonly first: number;
  readonly last: number;
  readonly position: number;
  /** Events that were asked for and that the sink selects, … */
  readonly found: number;
  /** … and of these, those it took, and those it refused for good. */
  readonly delivered: number;
  readonly rejected: number;
  /** The oldest that the log still holds was recorded then. */
  readonly keptSince: number;
  /** What is left was recorded from this time on, and up to that. */
  readonly left: { readonly from: number; readonly to?: number };
  /** Why nothing moves at the moment. */
  readonly trouble?: string;
}

export interface ReplaySink {
  readonly sink: Sink;
  readonly accepts: (entry: Entry) => boolean;
  readonly batch: { readonly events: number };
  readonly retry: Retry;
}

export interface ReplayParts {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly timing: Timing;
  /** Whether the log is in the order of time. */
  readonly isSteady: () => boolean;
  readonly sinks: readonly ReplaySink[];
  readonly onRejections: (rejections: readonly Rejection[], sink: string) => Promise<void>;
  readonly notes: ReplayNotes;
  /** Aborted when the gateway ends: what is under way is then interrupted. */
  readonly ending: AbortSignal;
}

/** Delivers again until all is delivered or the signal is aborted; resolves with the last progress. */
export type Replay = (
  request: ReplayRequest,
  signal: AbortSignal,
  onProgress: (progress: ReplayProgress) => void,
) => Promise<ReplayProgress>;

export const defaultReplayRate = 1_000;
const entriesAtATime = 500;
const progressEveryMs = 250;
const noteEveryMs = 5_000;
/** Clocks that were never stepped still stray; so much before and behind is looked at, too. */
const strayMs = 86_400_000;

/** One replay that is running. */
interface Run {
  readonly request: ReplayRequest;
  readonly use: ReplaySink;
  readonly parts: ReplayParts;
  readonly signal: AbortSignal;
  /** Changes as it goes on; a new attempt begins behind `position`. */
  readonly state: { -readonly [K in keyof ReplayProgress]: ReplayProgress[K] };
  readonly isWanted: (entry: Entry) => boolean;
  readonly isBehind: (entry: Entry) => boolean;
  readonly pace: ReturnType<typeof createPace>;
  readonly batchEvents: number;
  /** Tells how far it is; unless something changed for good, only now and then. */
  readonly tell: (trouble?: string) => ReplayProgress;
  readonly tellNowAndThen: () => void;
  /** Takes note of how far it is, for the case that the gateway ends; with `nowAndThen` not each time. */
  readonly note: (nowAndThen?: 'nowAndThen') => Promise<void>;
}

/** One replay, from its beginning or from where that note was made. */
export async function replay(
  request: ReplayRequest,
  use: ReplaySink,
  parts: ReplayParts,
  signal: AbortSignal,
  onProgress: (progress: ReplayProgress) => void,
  note?: Note,
): Promise<ReplayProgress> {
  const run = await prepare(request, use, parts, signal, onProgress, note);
  run.tell();
  await run.note();
  const delivering = supervise((healthy) => deliverAgain(run, healthy), {
    retry: use.retry,
    clock: parts.clock,
    random: parts.random,
    signal,
    isFinal: (error) => error instanceof GatewayError && error.code === 'GW_SINK_REFUSED',
    onFailure: (error) => void run.tell(messageOf(error)),
  });
  try {
    await delivering;
    signal.throwIfAborted();
  } catch (error) {
    // Up to here, and not up to where it was seconds ago.
    if (signal.reason instanceof GatewayEnds) await run.note();
    throw error;
  }
  if (run.state.found === 0 && note === undefined) {
    const since = isoOf(run.state.keptSince);
    throw new GatewayError('GW_REPLAY_EMPTY', `The log is kept since ${since}.`);
  }
  return run.tell();
}

async function prepare(
  request: ReplayRequest,
  use: ReplaySink,
  parts: ReplayParts,
  signal: AbortSignal,
  onProgress: (progress: ReplayProgress) => void,
  noted?: Note,
): Promise<Run> {
  const { log, clock } = parts;
  const keptSince = (await recordedAt(log.first, parts, signal)) ?? clock.now();
  const state = {
    ...(noted === undefined
      ? await beginningOf(request, parts, signal)
      : placeOf(noted, request, parts)),
    keptSince,
  };
  const rate = request.rate ?? defaultReplayRate;
  let told = Number.NEGATIVE_INFINITY;
  let notedAt = Number.NEGATIVE_INFINITY;
  const tell = (trouble?: string): ReplayProgress => {
    const progress = { ...state, ...(trouble === undefined ? {} : { trouble }) };
    told = clock.monotonic();
    onProgress(progress);
    return progress;
  };
  return {
    ...{ request, use, parts, signal, state, tell },
    isWanted: wantedBy(request, use),
    isBehind: endOf(request, parts),
    pace: createPace(rate, clock),
    // At most a tenth of a second's worth at once.
    batchEvents: Math.max(1, Math.min(use.batch.events, Math.ceil(rate / 10))),
    tellNowAndThen() {
      if (clock.monotonic() - told >= progressEveryMs) tell();
    },
    async note(nowAndThen) {
      const isDue = clock.monotonic() - notedAt >= noteEveryMs;
      if (request.dryRun === true || (nowAndThen !== undefined && !isDue)) return;
      notedAt = clock.monotonic();
      const { dryRun: _never, ...wanted } = request;
      const { keptSince: _kept, left, ...place } = state;
      await parts.notes.set({ ...wanted, since: request.from, ...left, ...place });
    },
  };
}

/** Nothing is done yet. */
async function beginningOf(request: ReplayRequest, parts: ReplayParts, signal: AbortSignal) {
  const { last } = parts.log;
  const first = await firstOf(request.from, last, parts, signal);
  const none = { found: 0, delivered: 0, rejected: 0 };
  return { ...{ first, last, position: first - 1 }, ...none, left: leftOf(request, parts) };
}

/** As it was noted, but for what the log no longer has. */
function placeOf(note: Note, request: ReplayRequest, { log }: ReplayParts) {
  const { first, found, delivered, rejected, from } = note;
  const last = Math.min(note.last, log.last);
  const position = Math.min(Math.max(note.position, log.first - 1), last);
  const left = { from, ...(request.to === undefined ? {} : { to: request.to }) };
  return { first, last, position, found, delivered, rejected, left };
}

/** By the time of recording only where that goes up: otherwise it would have to begin anew. */
function leftOf({ from, to }: ReplayRequest, { clock, isSteady }: ReplayParts) {
  const end = to ?? (isSteady() ? clock.now() : undefined);
  return { from, ...(end === undefined ? {} : { to: end }) };
}

/** One attempt, from where the last one ended. */
async function deliverAgain(run: Run, healthy: () => void): Promise<void> {
  const { parts, signal, state, use } = run;
  let connection: Connection | undefined;
  const connect = async (): Promise<Connection> => (connection ??= await use.sink.connect(signal));
  const reader = parts.log.reader(state.position as Position);
  try {
    while (state.position < state.last) {
      const limit = Math.min(entriesAtATime, state.last - state.position);
      const entries = await reader.next(limit, signal);
      const end = entries.findIndex(run.isBehind);
      const some = parts.timing.correct(end === -1 ? entries : entries.slice(0, end));
      await handOver(some.filter(run.isWanted), run, connect, healthy);
      state.position = end === -1 ? reader.position : state.last;
      const reached = entries.at(-1)!.recordedTime;
      if (parts.isSteady() && reached > state.left.from) {
        state.left = { ...state.left, from: reached };
      }
      await run.note('nowAndThen');
      run.tellNowAndThen();
      // Live delivery comes first.
      await parts.clock.sleep(0, signal);
    }
  } finally {
    reader.close();
    await connection?.close();
  }
}

/** What was found and not delivered is found again by the next attempt. */
async function handOver(
  wanted: readonly Entry[],
  run: Run,
  connect: () => Promise<Connection>,
  healthy: () => void,
): Promise<void> {
  const { request, parts, signal, state } = run;
  for (let from = 0; from < wanted.length; from += run.batchEvents) {
    const batch = wanted.slice(from, from + run.batchEvents);
    if (request.dryRun !== true) {
      await run.pace(batch.length, signal);
      const rejections = await (await connect()).deliver(batch.map(replayedOf), signal);
      await parts.onRejections(rejections, request.sink);
      const delivered = batch.length - rejections.length;
      state.rejected += rejections.length;
      state.delivered += delivered;
      parts.metrics.replayed.inc({ sink: request.sink }, delivered);
      healthy();
    }
    state.found += batch.length;
    state.position = batch.at(-1)!.position;
    run.tellNowAndThen();
  }
}

function isoOf(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

/** What was asked for and the sink selects, but for what was already sent again. */
function wantedBy(request: ReplayRequest, use: ReplaySink): (entry: Entry) => boolean {
  const { from, to = Number.POSITIVE_INFINITY, device, type } = request;
  const filter = createFilter({
    ...(device === undefined ? {} : { device }),
    ...(type === undefined ? {} : { type }),
  }) as (event: CloudEvent) => boolean;
  return (entry) =>
    entry.recordedTime >= from &&
    entry.recordedTime <= to &&
    !isRedriven(entry) &&
    use.accepts(entry) &&
    filter(entry);
}

/** Whether nothing that was asked for can stand there or behind. */
function endOf({ to }: ReplayRequest, parts: ReplayParts): (entry: Entry) => boolean {
  if (to === undefined || !parts.isSteady()) return () => false;
  return (entry) => entry.recordedTime > to + strayMs;
}

/** When the entry there was recorded; undefined when there is none. */
async function recordedAt(
  position: number,
  { log }: ReplayParts,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (position > log.last) return undefined;
  const reader = log.reader((position - 1) as Position);
  try {
    return (await reader.next(1, signal))[0]!.recordedTime;
  } finally {
    reader.close();
  }
}

/** A position before which nothing was recorded from that time on. */
async function firstOf(
  time: number,
  last: number,
  parts: ReplayParts,
  signal: AbortSignal,
): Promise<number> {
  let low: number = parts.log.first;
  if (!parts.isSteady()) return low;
  let high = last + 1;
  while (high - low > entriesAtATime) {
    const middle = Math.floor((low + high) / 2);
    const found = await recordedAt(middle, parts, signal);
    if (found !== undefined && found < time - strayMs) low = middle;
    else high = middle;
  }
  return low;
}
