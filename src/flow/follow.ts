import type { Cursor, Json } from '../log/cursor.ts';
import type { Absence, Entry, EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';

/** What a reader has never seen because it is no longer there: both ends inclusive. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  /** The entry behind the hole. */
  readonly before: Entry;
  readonly reason: Absence['reason'];
  /** More that is missing up to here, for the same reason, is told with this hole. */
  readonly toldTo: number;
}

/** Up to which position holes have been told, from one gathering to the next. */
export interface Told {
  to: number;
}

export interface GatherOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Which entries are gathered; the others are passed over. */
  readonly accepts: (entry: Entry) => boolean;
  /** At most this many entries at a time, which may change between batches, … */
  readonly batchSize: { readonly events: number };
  /** … and about this many bytes of payload, by `bytesOf`. */
  readonly batchBytes?: number;
  readonly bytesOf?: (entry: Entry) => number;
  /** How long a batch that is not full waits for more. */
  readonly delayMs?: number;
  readonly told?: Told;
}

export interface FollowOptions extends Omit<GatherOptions, 'batchSize'> {
  /** The handler is given at most this many entries at a time. */
  readonly batchEvents: number;
  /** Called before anything behind the hole is handled. */
  readonly onHole: (hole: Hole) => Promise<void>;
}

/** May return how to make the snapshot that is saved with the new position. */
export type Handle = (
  entries: readonly Entry[],
  position: Position,
  // biome-ignore lint/suspicious/noConfusingVoidType: most handlers have nothing to remember.
) => Promise<(() => Json) | void>;

/**
 * The loop: read, gather, handle, commit. Runs until the signal is aborted (then rejects with its
 * reason) or the handler throws; the cursor then still stands before what was not handled.
 */
export async function follow(
  log: EventLog,
  cursor: Cursor,
  handle: Handle,
  options: FollowOptions,
): Promise<never> {
  const gathering = openGathering(log, cursor.position, Number.POSITIVE_INFINITY, {
    ...options,
    batchSize: { events: options.batchEvents },
  });
  // What was made before and not yet saved stays what is to be saved.
  let snapshot: (() => Json) | undefined;
  try {
    for (;;) {
      const batch = await gathering.next();
      cursor.begin();
      if (batch.hole !== undefined) await options.onHole(batch.hole);
      if (batch.entries.length > 0) {
        snapshot = (await handle(batch.entries, batch.position)) ?? snapshot;
      }
      cursor.commit(batch.position, snapshot);
    }
  } finally {
    gathering.close();
  }
}

/** A piece of the log without a hole in it that has not been told; or a hole, and nothing else. */
export interface Batch {
  readonly entries: readonly Entry[];
  /** How many others were passed over. */
  readonly unwanted: number;
  /** How many positions in it have no entry, of which a hole has told before. */
  readonly missing: number;
  /** The last position of it. */
  readonly position: Position;
  readonly hole?: Hole;
}

export interface Gathering {
  /** The next batch; it may hold nothing that was wanted. Waits at the end of the log. */
  next(): Promise<Batch>;
  close(): void;
}

/** What the gateway's own readers are given at once: half a dozen of them may go through a backlog at one time. */
export const followedAtOnce = 200;

const stepMs = 50;
const passedMax = 50_000;
/** Who goes through what is on the disk lets others have the processor after so long. */
const turnMs = 2;
const restMaxMs = 10;

/** Gathers batches from just behind `after` up to `end`, behind which `next` must not be called. */
export function openGathering(
  log: EventLog,
  after: Position,
  end: number,
  options: GatherOptions,
): Gathering {
  const { signal, clock, accepts, bytesOf } = options;
  const delayMs = options.delayMs ?? 0;
  const bytesMax = options.batchBytes ?? Number.POSITIVE_INFINITY;
  const reader = log.reader(after);
  let position: number = after;
  const told = options.told ?? { to: 0 };
  let turnEndsAt = clock.monotonic() + turnMs;
  /** Has been read, and stands behind a hole. */
  let behindHole: readonly Entry[] = [];

  /** The next entries without an untold hole in between, or none where there is one. */
  const read = async (limit: number): Promise<readonly Entry[]> => {
    const entries =
      behindHole.length > 0
        ? behindHole
        : await reader.next(Math.min(limit, end - position), signal);
    behindHole = [];
    const whole = wholeFrom(entries, position, end, told.to);
    if (whole !== entries.length) behindHole = entries.slice(whole);
    return whole === entries.length ? entries : entries.slice(0, whole);
  };
  const holeBefore = (entry: Entry): Batch => {
    const from = position + 1;
    position = Math.min(entry.position - 1, end);
    const to = position;
    const batch = { entries: [], unwanted: 0, missing: 0, position: to as Position };
    if (to <= told.to) return { ...batch, missing: to - from + 1 };
    const { reason, until } = log.absence(from);
    told.to = Math.max(to, until);
    return { ...batch, hole: { from, to, before: entry, reason, toldTo: told.to } };
  };
  const caughtUp = (): boolean => behindHole.length === 0 && reader.caughtUp;

  /**
   * What is read from the disk is mostly in memory already: without this nobody else has a turn. Who
   * wants nothing of it, as a lane for alerts behind a backlog of readings, rests for as long.
   */
  const yieldTurn = async (isWanted: boolean): Promise<void> => {
    if (caughtUp()) return;
    const overMs = clock.monotonic() - turnEndsAt;
    if (overMs < 0) return;
    await clock.sleep(isWanted ? 0 : Math.min(turnMs + overMs, restMaxMs), signal);
    turnEndsAt = clock.monotonic() + turnMs;
  };

  const next = async (): Promise<Batch> => {
    const eventsMax = options.batchSize.events;
    const wanted: Entry[] = [];
    const begun = position;
    let unwanted = 0;
    let missing = 0;
    let bytes = 0;
    let deadline: number | undefined;
    const batch = (): Batch => ({
      entries: wanted,
      unwanted,
      missing,
      position: position as Position,
    });
    while (position < end) {
      const entries = await read(eventsMax - wanted.length);
      if (entries.length === 0) return position > begun ? batch() : holeBefore(behindHole[0]!);
      for (const entry of entries) {
        if (!accepts(entry)) {
          unwanted++;
          continue;
        }
        wanted.push(entry);
        if (bytesOf !== undefined) bytes += bytesOf(entry);
      }
      const to = entries.at(-1)!.position;
      missing += to - position - entries.length;
      position = to;
      await yieldTurn(wanted.length > 0);
      if (wanted.length >= eventsMax || bytes >= bytesMax) break;
      // Who wants little of much must get on nevertheless.
      if (position - begun >= passedMax) break;
      if (caughtUp() && wanted.length === 0) break;
      deadline ??= clock.monotonic() + delayMs;
      while (position < end && caughtUp()) {
        const leftMs = deadline - clock.monotonic();
        if (leftMs <= 0) return batch();
        // In small steps: a batch that fills up must not fall behind what the log keeps in memory.
        await clock.sleep(Math.min(leftMs, stepMs), signal);
      }
    }
    return batch();
  };
  return { next, close: () => reader.close() };
}

/** How many of the entries follow upon `position` without an untold hole, and are not behind `end`. */
function wholeFrom(
  entries: readonly Entry[],
  position: number,
  end: number,
  toldTo: number,
): number {
  const { length } = entries;
  const last = entries.at(-1)!.position;
  if (last === position + length && last <= end) return length;
  let count = 0;
  let before = position;
  while (count < length) {
    const at = entries[count]!.position;
    if (at > end || (at !== before + 1 && at - 1 > toldTo)) break;
    before = at;
    count++;
  }
  return count;
}
