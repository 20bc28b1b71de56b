import type { Draft } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { type Batch, type BatchGroup, BatchWriter } from './batch.ts';
import type { Entry, EventLog, Position } from './log.ts';
import { createReader, placeOf, type WakingReader } from './reader.ts';
import { type Recovered, recover } from './recovery.ts';
import { createSegmentStore, type SegmentStore } from './segment-store.ts';
import { createTail } from './tail.ts';

export interface LogOptions {
  /** Bytes on disk. A little more while a segment is being changed for the next. */
  maxBytes: number;
  /** How long what every reader has done with is kept. */
  maxAgeMs?: number;
  /** What happens when only events that some reader has not done with could make room. */
  whenFull: 'dropOldest' | 'refuseNew';
  /** How long a commit waits for more appends to share it; 0 to wait for no timer. */
  commitDelayMs: number;
  /** Bytes of one file; 8 MiB, or a sixteenth of `maxBytes` if that is less. */
  segmentBytes?: number;
  /** About how much heap the newest entries may take; 8 MiB. */
  tailBytes?: number;
  /** Encoded bytes that may wait for a write; 16 MiB. Further appends wait their turn. */
  waitingBytes?: number;
}

export interface LogParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** All who must not lose what they have not seen, with the positions they have saved. */
  readonly readers: () => Iterable<{ readonly name: string; readonly saved: Position }>;
  /** The newest position that anybody has ever saved: should the log have lost it, it goes on behind. */
  readonly newest?: Position;
}

const mebibyte = 2 ** 20;
const segmentBytesMax = 8 * mebibyte;
const segmentBytesMin = 2 ** 16;
/** How often the age of old segments is looked at. */
const expireEveryMs = 60_000;

/**
 * Opens the log in the folder `log`, or begins one. Rejects with GW_LOG_UNSUPPORTED for one that is
 * newer than this program, GW_DATA_UNREADABLE or GW_LOG_WRITE_FAILED when the disk says so; damaged
 * files are told and worked around.
 */
export async function openEventLog(parts: LogParts, options: LogOptions): Promise<EventLog> {
  let savedMax = parts.newest ?? 0;
  for (const { saved } of parts.readers()) savedMax = Math.max(savedMax, saved);
  try {
    const recovered = await recover(parts, savedMax);
    const logId = recovered.logId ?? Math.floor(parts.random.next() * 2 ** 32);
    const shareBytes = Math.max(segmentBytesMin, Math.floor(options.maxBytes / 16));
    const segmentBytes = options.segmentBytes ?? Math.min(segmentBytesMax, shareBytes);
    const store = createSegmentStore({ ...recovered, logId }, { ...options, segmentBytes }, parts);
    return createEventLog(store, { ...recovered, logId }, parts, options);
  } catch (error) {
    throw explained(error);
  }
}

function explained(error: unknown): Error {
  if (error instanceof GatewayError) return error;
  const code = (error as { readonly code?: string } | undefined)?.code;
  return code === 'EACCES' || code === 'EPERM'
    ? new GatewayError('GW_DATA_UNREADABLE', `holds an event log: ${messageOf(error)}`, error)
    : new GatewayError('GW_LOG_WRITE_FAILED', messageOf(error), error);
}

/** An append for which there was no room yet. */
interface Waiting {
  readonly drafts: readonly Draft[];
  readonly resolve: (position: Position) => void;
  readonly reject: (reason: unknown) => void;
}

function createEventLog(
  store: SegmentStore,
  start: Recovered & { readonly logId: number },
  parts: LogParts,
  options: LogOptions,
): EventLog {
  const { clock, logger, metrics } = parts;
  const waitingBytes = options.waitingBytes ?? 16 * mebibyte;
  const writer = new BatchWriter(start.logId, clock, start.last + 1);
  const tail = createTail(start.last, options.tailBytes ?? 8 * mebibyte);
  const readers = new Set<WakingReader>();
  const reported = new Set(start.damage.map(placeOf));
  const readerParts = { disk: parts.disk, logger, tail, segments: store.segments, reported };
  const countAppended = createTypeCounter(metrics);
  const waiting: Waiting[] = [];
  const closing = new AbortController();
  let committing: Promise<void> | undefined;
  let hasFailed = false;
  let tellFailure: (reason: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    tellFailure = resolve;
  });

  const fail = (error: unknown): void => {
    hasFailed = true;
    waiting.length = 0;
    const failure = new GatewayError('GW_LOG_WRITE_FAILED', messageOf(error), error);
    logger.error({ error: messageOf(error) }, 'The event log has failed.');
    tellFailure(failure);
  };

  const add = (
    drafts: readonly Draft[],
    resolve: Waiting['resolve'],
    reject: Waiting['reject'],
  ) => {
    try {
      writer.add(drafts, resolve);
    } catch (error) {
      reject(error);
    }
  };

  const takeBatch = (): Batch => {
    const batch = writer.take();
    let admitted = 0;
    while (admitted < waiting.length && writer.bytes < waitingBytes) {
      const { drafts, resolve, reject } = waiting[admitted++]!;
      add(drafts, resolve, reject);
    }
    waiting.splice(0, admitted);
    return batch;
  };

  /** One at a time: what is appended while a write is under way shares the next. */
  const commit = async (): Promise<void> => {
    let linger = true;
    do {
      // Even no delay lets everything that has arrived by now share the commit.
      if (linger) await clock.sleep(options.commitDelayMs, closing.signal).catch(() => {});
      linger = options.commitDelayMs > 0;
      const batch = takeBatch();
      if (!(await writeBatch(batch))) return;
      writer.recycle(batch);
    } while (!writer.isEmpty);
    committing = undefined;
  };

  /** False when the log was closed before there was room for all of it. */
  const writeBatch = async (batch: Batch): Promise<boolean> => {
    const { groups, bytes, ends, resolvers } = batch;
    let written = 0;
    let resolved = 0;
    for (let from = 0; from < groups.length; ) {
      const room = store.roomFor(groups[from]!.end - written);
      const to = lastThatFits(groups, from, written + room);
      const { last, end } = groups[to]!;
      const { startedAt } = groups[from]!;
      const part = { bytes: bytes.subarray(written, end), first: tail.last + 1, last, startedAt };
      const begunMs = clock.monotonic();
      if (!(await store.write(part, closing.signal))) return false;
      metrics.commitSeconds.observe((clock.monotonic() - begunMs) / 1_000);
      // In this order: durable, there to be read, acknowledged, readers awake.
      publish(entriesOf(batch, part), part.bytes.length);
      while (resolved < ends.length && ends[resolved]! <= last) {
        resolvers[resolved]!(ends[resolved++]!);
      }
      for (const reader of readers) reader.wake();
      written = end;
      from = to + 1;
    }
    return true;
  };

  const publish = (entries: readonly Entry[], bytes: number): void => {
    let passed = tail.last;
    // Who is behind the tail reads the disk: keeping entries would not bring it back.
    for (const reader of readers) {
      if (reader.passed + 1 >= tail.first) passed = Math.min(passed, reader.passed);
    }
    tail.forget(passed);
    tail.push(entries, bytes);
    countAppended(entries);
    metrics.logPosition.set(tail.last);
  };

  const expireNowAndThen = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(expireEveryMs, closing.signal);
      await store.expire();
    }
  };

  metrics.logPosition.set(start.last);
  if (options.maxAgeMs !== undefined) expireNowAndThen().catch(() => {});
  return {
    append(drafts) {
      return new Promise((resolve, reject) => {
        if (hasFailed) return;
        if (closing.signal.aborted) reject(new Error('The log is closed.'));
        else if (drafts.length === 0) resolve(tail.last as Position);
        else if (waiting.length > 0 || writer.bytes >= waitingBytes) {
          waiting.push({ drafts, resolve, reject });
        } else {
          add(drafts, resolve, reject);
          if (committing === undefined && !writer.isEmpty) committing = commit().catch(fail);
        }
      });
    },
    reader(after) {
      const reader = createReader(after, readerParts, (closed) => readers.delete(closed));
      readers.add(reader);
      return reader;
    },
    get first() {
      const oldest = store.segments[0]?.first ?? Number.POSITIVE_INFINITY;
      return Math.min(oldest, tail.last + 1) as Position;
    },
    get last() {
      return tail.last as Position;
    },
    get bytes() {
      return store.bytes;
    },
    get blocked() {
      return store.blocked;
    },
    failed,
    async close() {
      closing.abort();
      await committing;
      // After a failure there is nothing left to be told.
      await store.close().catch(hasFailed ? () => {} : undefined);
    },
  };
}

/** The last of the groups that end within so many bytes; the first in any case. */
function lastThatFits(groups: readonly BatchGroup[], from: number, endMax: number): number {
  let to = from;
  while (to + 1 < groups.length && groups[to + 1]!.end <= endMax) to++;
  return to;
}

function entriesOf({ entries }: Batch, part: { first: number; last: number }): readonly Entry[] {
  const offset = part.first - entries[0]!.position;
  const count = part.last - part.first + 1;
  return count === entries.length ? entries : entries.slice(offset, offset + count);
}

function createTypeCounter(metrics: Metrics): (entries: readonly Entry[]) => void {
  const readings = metrics.appended.labels({ type: 'reading' });
  return (entries) => {
    let count = 0;
    for (const { type } of entries) {
      if (type === 'reading') count++;
      else metrics.appended.inc({ type });
    }
    if (count > 0) readings.inc(count);
  };
}
