import type { Cursor, Json } from '../log/cursor.ts';
import type { Entry, EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Memory } from '../source/source.ts';
import { recordLosses } from './broker-journal.ts';
import type { Hole } from './follow.ts';
import { follow, followedAtOnce } from './follow.ts';

export interface SourceMemoryParts {
  readonly gateway: string;
  /** The name of the source. */
  readonly source: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What the log may take on the disk. */
  readonly maxBytes: number;
  readonly onHole: (hole: Hole) => Promise<void>;
}

export interface RunningMemory {
  /** Resolves when everything that was in the log at the start has been taken. */
  readonly caughtUp: Promise<void>;
  readonly ended: Promise<void>;
  /** How far it has got. */
  readonly position: number;
  /** Everything up to and including this may be removed from the log. */
  readonly saved: Position;
  /** Records what the log no longer has. */
  tellLosses(): Promise<void>;
  /** Keeps nobody waiting for room in the log. */
  makeWay(): void;
  /** Gives what is remembered to the cursor, however little has changed. */
  keep(): void;
}

/** A snapshot is due when reading on from the last one would take reading so much. */
const eventsMax = 50_000;
const bytesMax = 8 * 2 ** 20;
/** As often for small events as for those of this size. */
const eventBytes = 160;
/** What any event takes of it at least. */
const entryBytes = 48;
/** A large snapshot waits for so many times its own size, within an eighth of the log. */
const timesItself = 4;

/**
 * Keeps the memory of a source: brings it from its last snapshot to the end of the log, and on from
 * there. A snapshot is written when the log has grown by enough to be worth it, and at the end.
 */
export function startMemory(
  memory: Memory,
  cursor: Cursor,
  parts: SourceMemoryParts,
  signal: AbortSignal,
): RunningMemory {
  const { log, metrics } = parts;
  const target = log.last;
  /** What is saved without some of its records is laid over what the log still tells of that time. */
  let partial: { readonly state: Json; readonly at: number } | undefined;
  let position: number = cursor.position;
  if (cursor.isPartial === true) {
    partial = { state: cursor.state, at: Math.min(cursor.position, target) };
    position = Math.min(partial.at, log.first - 1);
  } else memory.restore(cursor.state);
  /** What is missing on the disk is there again, and not yet saved. */
  let isMended = false;
  let passedBytes = 0;
  let arrived!: () => void;
  const caughtUp = new Promise<void>((resolve) => {
    arrived = resolve;
  });

  const keep = (): void => {
    if (partial !== undefined || position < cursor.position) return;
    // As it is now: the cursor may ask for it later, when it has moved on.
    const state = memory.snapshot() as Json;
    passedBytes = 0;
    isMended = false;
    cursor.commit(position as Position, () => state);
  };
  const layOver = (reached: number): void => {
    if (partial === undefined || reached < partial.at) return;
    memory.restore(partial.state);
    partial = undefined;
    isMended = true;
  };
  layOver(position);
  if (position >= target) arrived();
  /** A log that is full takes nothing that would make a snapshot due. */
  const isInTheWay = (): boolean => log.blocked !== undefined && position > cursor.position;
  /** Where events are large, few of them fill a small log. */
  const isMuchOfTheLog = (events: number): boolean =>
    log.bytes > parts.maxBytes / 2 && events >= (log.last - log.first + 1) / 8;
  const isDue = (): boolean => {
    const wanted = Math.max(bytesMax, memory.bytes * timesItself);
    const share = Math.floor(parts.maxBytes / 8);
    const due = Math.min(wanted, share);
    const events = Math.max(eventsMax, due / eventBytes);
    const passed = position - cursor.position;
    return passed >= events || passedBytes >= due || isMuchOfTheLog(passed);
  };
  /** Stands in for the cursor, which is moved only now and then. */
  const place: Cursor = {
    name: cursor.name,
    state: null,
    get position() {
      return position as Position;
    },
    get saved() {
      return cursor.saved;
    },
    begin() {},
    commit(next) {
      position = next;
      layOver(position);
      if (position >= target) arrived();
      if (isDue() || isMended || isInTheWay()) keep();
    },
  };
  const handle = async (entries: readonly Entry[]): Promise<void> => {
    for (const entry of entries) {
      layOver(entry.position - 1);
      memory.step(entry);
      passedBytes += entryBytes + payloadBytesOf(entry);
    }
    // At once: what is remembered and how far that is must never be apart when it is saved.
    position = entries.at(-1)!.position;
  };
  const isGone = (at: number): boolean =>
    at < log.first || (at <= log.last && log.absence(at).reason === 'retention');
  /** So that nobody is told twice of what is being recorded. */
  let telling = false;

  return {
    caughtUp,
    ended: follow(log, place, handle, {
      signal,
      clock: parts.clock,
      accepts: () => true,
      batchEvents: followedAtOnce,
      onHole: parts.onHole,
    }),
    get position() {
      return position;
    },
    get saved() {
      if (partial !== undefined) return Math.min(cursor.saved, position) as Position;
      // Who is away for long must not keep devices from being heard.
      if (log.blocked !== undefined) return cursor.saved;
      return Math.min(cursor.saved, memory.oldest - 1) as Position;
    },
    async tellLosses() {
      if (telling || memory.oldest === Number.POSITIVE_INFINITY) return;
      const losses = memory.losses(isGone);
      if (losses.length === 0) return;
      telling = true;
      try {
        for (const { client, from, upTo, messages } of losses) {
          metrics.brokerDropped.inc({ reason: 'retention' }, messages);
          const fields = { session: client, from, to: upTo, messages };
          parts.logger.error(fields, 'Messages were lost to a session: the log had no room.');
        }
        await recordLosses(losses, parts);
      } finally {
        telling = false;
      }
    },
    makeWay() {
      if (isInTheWay()) keep();
    },
    keep,
  };
}

function payloadBytesOf(entry: Entry): number {
  switch (entry.type) {
    case 'message':
      return entry.subject.length + entry.data.payload.length;
    case 'undecodable':
      return entry.data.payload.length;
    default:
      return 0;
  }
}
