import type { Cursor, Json } from '../log/cursor.ts';
import type { Entry, EventLog, LogReader, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';

/** What a reader has never seen because it is no longer there: both ends inclusive. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  /** The entry behind the hole. */
  readonly before: Entry;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Which entries the handler is given; the cursor passes over the others. */
  readonly accepts: (entry: Entry) => boolean;
  /** The handler is given at most this many entries at a time, … */
  readonly batchEvents: number;
  /** … and about this many bytes of payload, by `bytesOf`. */
  readonly batchBytes?: number;
  readonly bytesOf?: (entry: Entry) => number;
  /** How long a batch that is not full waits for more. */
  readonly delayMs?: number;
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
  const reader = log.reader(cursor.position);
  try {
    for (;;) {
      const batch = await gather(reader, options);
      cursor.begin();
      const snapshot =
        batch.entries.length > 0 ? await handle(batch.entries, batch.position) : undefined;
      cursor.commit(batch.position, snapshot ?? undefined);
    }
  } finally {
    reader.close();
  }
}

interface Batch {
  readonly entries: Entry[];
  position: Position;
}

async function gather(reader: LogReader, options: FollowOptions): Promise<Batch> {
  const batch: Batch = { entries: [], position: reader.position };
  const bytesMax = options.batchBytes ?? Number.POSITIVE_INFINITY;
  let bytes = 0;
  let waited = options.delayMs === undefined || options.delayMs === 0;
  for (;;) {
    const before = reader.position;
    const limit = options.batchEvents - batch.entries.length;
    const entries = await reader.next(limit, options.signal);
    if (entries.at(-1)!.position - before !== entries.length) {
      await reportHoles(before, entries, options.onHole);
    }
    for (const entry of entries) {
      if (!options.accepts(entry)) continue;
      batch.entries.push(entry);
      if (options.bytesOf !== undefined) bytes += options.bytesOf(entry);
    }
    batch.position = reader.position;
    if (batch.entries.length >= options.batchEvents || bytes >= bytesMax) return batch;
    if (reader.caughtUp) {
      if (batch.entries.length === 0 || waited) return batch;
      waited = true;
      await options.clock.sleep(options.delayMs!, options.signal);
      if (reader.caughtUp) return batch;
    }
  }
}

async function reportHoles(
  before: number,
  entries: readonly Entry[],
  onHole: FollowOptions['onHole'],
): Promise<void> {
  let expected = before + 1;
  for (const entry of entries) {
    if (entry.position !== expected) {
      await onHole({ from: expected, to: entry.position - 1, before: entry });
    }
    expected = entry.position + 1;
  }
}
