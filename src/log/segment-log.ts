import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { absenceAt, thinnedOf } from './absence.ts';
import { createAppendQueue } from './append-queue.ts';
import { type Batch, type BatchGroup, BatchWriter } from './batch.ts';
import { type Keyring, noKeys } from './keyring.ts';
import type { Entry, EventLog, Position } from './log.ts';
import { createLookup } from './lookup.ts';
import type { Quarantine } from './quarantine.ts';
import { createReader, placeOf, type WakingReader } from './reader.ts';
import { type Recovered, recover } from './recovery.ts';
import { noReserve, type Reserve } from './reserve.ts';
import type { WhenFull } from './retention.ts';
import type { Sealing } from './seal.ts';
import { createSegmentStore, type SegmentStore } from './segment-store.ts';
import { createTail } from './tail.ts';
import { isWeather } from './weather.ts';

export interface LogOptions {
  /** Bytes on disk. A little more while a segment is being changed for the next. */
  maxBytes: number;
  /** How long what every reader has done with is kept. */
  maxAgeMs?: number;
  /** What happens when only events that some reader has not done with could make room. */
  whenFull: WhenFull;
  /** Under `thinOut`, every so many-th reading stays; 10. */
  keepEvery?: number;
  /** How long a commit waits for more appends to share it; 0 to wait for no timer. */
  commitDelayMs: number;
  /** Bytes of one file; 8 MiB, or a sixteenth of `maxBytes` if that is less. */
  segmentBytes?: number;
  /** About how much heap the newest entries may take; 8 MiB. */
  tailBytes?: number;
  /** Encoded bytes that may wait for a write; 16 MiB. Further appends wait their turn. */
  waitingBytes?: number;
  /** Set aside on the disk, and on top of `maxBytes`, for what cannot wait; 0. See `reserve.ts`. */
  reserveBytes?: number;
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
  /** Without it, nothing is encrypted. */
  readonly keys?: Keyring;
  /** Without it, a full disk takes nothing at all. */
  readonly reserve?: Reserve;
  /** Where damage is written down; otherwise it is only said. */
  readonly quarantine?: Quarantine;
}

const mebibyte = 2 ** 20;
const segmentBytesMax = 8 * mebibyte;
const segmentBytesMin = 2 ** 16;
/** How often the age of old segments is looked at. */
const expireEveryMs = 60_000;
/** How often, and with how much, it is tried whether there is room again. */
const retryMs = 1_000;
const retryBytes = 2 ** 16;

/**
 * Opens the log in the folder `log`, or begins one. Rejects with GW_LOG_UNSUPPORTED for one that is
 * newer than this program, GW_CONFIG_KEY_MISSING for one that it has no key for, GW_DATA_UNREADABLE or GW_LOG_WRITE_FAILED when the disk says so; damaged
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
    const { keys = noKeys, reserve = noReserve, random } = parts;
    const sealing = keys.current && { key: keys.current, random };
    const rule = { ...options, segmentBytes };
    const held = { ...parts, keys, reserve, sealing };
    const store = createSegmentStore({ ...recovered, logId }, rule, held);
    await reserve.fill();
    return createEventLog(store, { ...recovered, logId }, { ...parts, keys, sealing }, options);
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

function createEventLog(
  store: SegmentStore,
  start: Recovered & { readonly logId: number },
  parts: LogParts & { readonly keys: Keyring; readonly sealing: Sealing | undefined },
  options: LogOptions,
): EventLog {
  const { clock, logger, metrics, keys, sealing } = parts;
  const writer = new BatchWriter(start.logId, clock, start.last + 1, sealing);
  const queue = createAppendQueue(writer, options.waitingBytes ?? 16 * mebibyte);
  const tail = createTail(start.last, options.tailBytes ?? 8 * mebibyte);
  const readers = new Set<WakingReader>();
  const reported = new Set(start.damage.map(placeOf));
  const { disk, quarantine } = parts;
  const readerParts = {
    ...{ disk, clock, logger, keys, tail, segments: store.segments, reported },
    ...(quarantine === undefined ? {} : { quarantine }),
  };
  const countAppended = createTypeCounter(metrics);
  const closing = new AbortController();
  let committing: Promise<void> | undefined;
  /** While there is no room: ends the wait for the next try early, and whether urgent appends may. */
  let nudge: AbortController | undefined;
  let mayNudge = false;
  let hasFailed = false;
  let tellFailure: (reason: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    tellFailure = resolve;
  });

  const fail = (error: unknown): void => {
    hasFailed = true;
    queue.clear();
    const failure = new GatewayError('GW_LOG_WRITE_FAILED', messageOf(error), error);
    logger.error({ code: failure.code, error: messageOf(error) }, 'The event log has failed.');
    tellFailure(failure);
  };

  /** One at a time: what is appended while a write is under way shares the next. */
  const commit = async (): Promise<void> => {
    let linger = true;
    do {
      // Even no delay lets everything that has arrived by now share the commit.
      if (linger) await clock.sleep(options.commitDelayMs, closing.signal).catch(() => {});
      linger = options.commitDelayMs > 0;
      const batch = queue.take();
      if (await writeBatch(batch, false)) writer.recycle(batch);
      else if (!(await untilThereIsRoom())) return;
    } while (!queue.isEmpty);
    committing = undefined;
  };

  /** What is urgent is written from the reserve. False when the log was closed meanwhile. */
  const untilThereIsRoom = async (): Promise<boolean> => {
    let retryAt = clock.monotonic() + retryMs;
    for (;;) {
      nudge = new AbortController();
      // Where the reserve is used up, or the disk takes nothing at all, what is urgent waits too.
      mayNudge = !queue.hasUrgent || (await writeBatch(queue.takeUrgent(), true));
      if (queue.isEmpty) return true;
      if (mayNudge && clock.monotonic() >= retryAt) {
        if (await writeBatch(queue.take(retryBytes), false)) return true;
      }
      if (clock.monotonic() >= retryAt) retryAt = clock.monotonic() + retryMs;
      if (!closing.signal.aborted) {
        await clock.sleep(retryAt - clock.monotonic(), nudge.signal).catch(() => {});
      }
      if (closing.signal.aborted) return false;
    }
  };

  /** False when there is no room for all of it; the rest waits again. */
  const writeBatch = async (batch: Batch, urgent: boolean): Promise<boolean> => {
    const { groups, bytes, ends, appends } = batch;
    let written = 0;
    let resolved = 0;
    for (let from = 0; from < groups.length; ) {
      const room = store.roomFor(groups[from]!.end - written);
      const to = lastThatFits(groups, from, written + room);
      const { last, end } = groups[to]!;
      const { startedAt, startedMonotonic } = groups[from]!;
      const started = { startedAt, startedMonotonic };
      const part = { ...started, bytes: bytes.subarray(written, end), first: tail.last + 1, last };
      const begunMs = clock.monotonic();
      if (!(await store.write(part, urgent))) {
        queue.putBack(appends.slice(resolved), tail.last);
        return false;
      }
      metrics.commitSeconds.observe((clock.monotonic() - begunMs) / 1_000);
      // In this order: durable, there to be read, acknowledged, readers awake.
      publish(entriesOf(batch, part), part.bytes.length);
      while (resolved < ends.length && ends[resolved]! <= last) {
        appends[resolved]!.resolve(ends[resolved++]!);
      }
      for (const reader of readers) reader.wake();
      written = end;
      from = to + 1;
    }
    return true;
  };

  const isHeld = (): boolean => store.blocked !== undefined;

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
  if (options.maxAgeMs !== undefined || parts.reserve !== undefined) {
    expireNowAndThen().catch(() => {});
  }
  return {
    append(drafts) {
      return new Promise((resolve, reject) => {
        if (hasFailed) return;
        if (closing.signal.aborted) reject(new Error('The log is closed.'));
        else if (drafts.length === 0) resolve(tail.last as Position);
        else {
          // While nothing can be written, what is urgent must find its way around what waits.
          queue.add({ drafts, resolve, reject }, committing !== undefined && isHeld());
          if (mayNudge && queue.hasUrgent) nudge?.abort();
          if (committing === undefined && !queue.isEmpty) committing = commit().catch(fail);
        }
      });
    },
    reader(after) {
      const reader = createReader(after, readerParts, (closed) => readers.delete(closed));
      readers.add(reader);
      return reader;
    },
    entriesAt: createLookup(readerParts),
    get first() {
      const oldest = store.segments[0]?.first ?? Number.POSITIVE_INFINITY;
      return Math.min(oldest, tail.last + 1) as Position;
    },
    get last() {
      return tail.last as Position;
    },
    get isAppending() {
      return committing !== undefined;
    },
    absence: (position) => absenceAt(store.segments, tail.last, position),
    get thinned() {
      return thinnedOf(store.segments, tail.last);
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
      nudge?.abort();
      await committing;
      await store.close().catch((error: unknown) => {
        // After a failure there is nothing left to be told; a disk that takes nothing holds all that matters.
        if (!hasFailed && !isWeather(error)) throw error;
      });
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
