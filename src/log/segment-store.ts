import type { Clock } from '../platform/clock.ts';
import type { Disk, DiskFile } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { segmentHeaderBytes } from './format.ts';
import type { Position } from './log.ts';
import type { Recovered, Segment } from './recovery.ts';
import { type RetentionRule, retentionOf } from './retention.ts';
import { encodeSegmentHeader, segmentFolder, segmentPathOf } from './segment-header.ts';
import { final, isNoRoom, isWeather } from './weather.ts';

const retryMs = 1_000;
/**
 * The file is kept so much longer than what is in it. A sync of bytes within the file costs the disk
 * half of one that must also record a new length.
 */
const aheadBytes = 2 ** 18;

export interface StoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readers: () => Iterable<{ readonly name: string; readonly saved: Position }>;
}

export interface StoreRule extends RetentionRule {
  readonly segmentBytes: number;
}

/** Bytes of whole groups, to be written to one segment. */
export interface Part {
  readonly bytes: Uint8Array;
  readonly first: number;
  readonly last: number;
  /** When its first group was recorded, if the clock could be believed. */
  readonly startedAt: number | undefined;
}

/** The files of the log: where the next bytes go, and which of the old ones may still stay. */
export interface SegmentStore {
  /** Oldest first. */
  readonly segments: readonly Segment[];
  readonly bytes: number;
  readonly blocked: string | undefined;
  /** How much fits into the segment that so many bytes would go to. */
  roomFor(bytes: number): number;
  /**
   * Resolves when the part would survive power loss: true. Waits out a full disk or log; gives up
   * only when `signal` is aborted meanwhile: false. Rejects when the disk can no longer be trusted.
   */
  write(part: Part, signal: AbortSignal): Promise<boolean>;
  /** Drops what has become too old. */
  expire(): Promise<void>;
  close(): Promise<void>;
}

interface Active {
  readonly file: DiskFile;
  readonly segment: Segment;
  /** How long the file is on disk. */
  length: number;
}

export function createSegmentStore(
  recovered: Recovered & { readonly logId: number },
  rule: StoreRule,
  parts: StoreParts,
): SegmentStore {
  const { disk, clock, logger, metrics } = parts;
  const { segments, logId } = recovered;
  let { last } = recovered;
  let active: Active | undefined;
  if (recovered.active !== undefined) {
    const segment = segments.at(-1)!;
    active = { file: recovered.active, segment, length: segment.bytes };
  }
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let blocked: string | undefined;
  /** Whether a failed write may have left bytes behind the last good ones. */
  let torn = false;
  /** A full disk costs undelivered events once; only if that helped may it do so again. */
  let mayGiveUpUnseen = true;

  const block = (reason: string): void => {
    if (blocked === undefined) logger.warn({ reason }, 'Events cannot be appended; they wait.');
    blocked = reason;
    metrics.logBlocked.set(1);
  };
  const unblock = (): void => {
    if (blocked === undefined) return;
    logger.info({ reason: blocked }, 'Events can be appended again.');
    blocked = undefined;
    metrics.logBlocked.set(0);
  };

  const closedSegments = () => {
    const closed = active === undefined ? segments : segments.slice(0, -1);
    let endedBy = active?.segment.startedAt;
    const described: (Segment & { last: number; endedBy: number | undefined })[] = [];
    for (let i = closed.length - 1; i >= 0; i--) {
      const segment = closed[i]!;
      const until = segments[i + 1]?.first;
      described[i] = { ...segment, last: until === undefined ? last : until - 1, endedBy };
      endedBy = segment.startedAt ?? endedBy;
    }
    return described;
  };
  const doneWith = (): number => {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { saved } of parts.readers()) lowest = Math.min(lowest, saved);
    return lowest;
  };

  /** Applies the rule, with room for so many bytes more; says whether they fit then. */
  const retain = async (wanted: number, maxBytes: number, giveUp: boolean): Promise<boolean> => {
    const closed = closedSegments();
    const verdict = retentionOf(
      {
        closed,
        otherBytes: (active?.segment.bytes ?? 0) + wanted,
        doneWith: doneWith(),
        now: clock.now(),
      },
      { ...rule, maxBytes, whenFull: giveUp ? rule.whenFull : 'refuseNew' },
    );
    if (verdict.unseen > 0) {
      mayGiveUpUnseen = false;
      const from = closed[verdict.drop - verdict.unseen]!.first;
      reportUnseen(from, closed[verdict.drop - 1]!.last);
    }
    await drop(verdict.drop);
    return verdict.fits;
  };
  const reportUnseen = (from: number, to: number): void => {
    const readers: string[] = [];
    for (const { name, saved } of parts.readers()) if (saved < to) readers.push(name);
    logger.error(
      { from, to, readers },
      'Dropped events that not every reader has seen, to make room for new ones.',
    );
  };
  const drop = async (count: number): Promise<void> => {
    // All at once: whoever else looks at the segments meanwhile must not find some of them.
    const dropped = segments.splice(0, count);
    for (const segment of dropped) bytes -= segment.bytes;
    metrics.logBytes.set(bytes);
    for (const { path } of dropped) {
      try {
        await disk.remove(path);
      } catch (error) {
        logger.warn({ path, error: messageOf(error) }, 'A log segment could not be removed.');
      }
    }
  };

  /** Makes room within `maxBytes`; false when there can be none at the moment. */
  const makeRoom = async (wanted: number): Promise<boolean> => {
    if (bytes + wanted <= rule.maxBytes) return true;
    if (await retain(wanted, rule.maxBytes, true)) return true;
    const held = active?.segment.bytes ?? 0;
    if (held > segmentHeaderBytes && (rule.whenFull === 'dropOldest' || doneWith() >= last)) {
      await retire();
      if (await retain(wanted, rule.maxBytes, true)) return true;
    }
    // What is too large even for an empty log must not wait for ever.
    return bytes <= segmentHeaderBytes;
  };

  const lengthFor = (needed: number): number =>
    Math.max(needed, Math.min(needed + aheadBytes, rule.segmentBytes));

  const retire = async (): Promise<void> => {
    const retired = active;
    active = undefined;
    if (retired === undefined) return;
    const { file, segment, length } = retired;
    // Only for tidiness: whoever reads it stops at the zeros.
    if (length > segment.bytes) await file.truncate(segment.bytes).catch(() => {});
    await file.close();
  };

  /** The new file and its name are durable before anything in it can be acknowledged. */
  const roll = async (first: number): Promise<void> => {
    await retire();
    const path = segmentPathOf(first);
    const header = encodeSegmentHeader({ first, logId });
    const file = await disk.open(path);
    try {
      if (file.size > 0) await file.truncate(0);
      await file.append(header);
      await file.extend(lengthFor(header.length));
    } catch (error) {
      await file.close();
      throw error;
    }
    await final(file.sync());
    await final(disk.syncFolder(segmentFolder));
    metrics.writtenBytes.inc(header.length);
    if (segments.at(-1)?.first === first) bytes -= segments.pop()!.bytes;
    const segment = { first, path, logId, bytes: header.length, startedAt: undefined };
    segments.push(segment);
    bytes += header.length;
    active = { file, segment, length: lengthFor(header.length) };
    torn = false;
    if (rule.maxAgeMs !== undefined) await retain(0, rule.maxBytes, false);
  };

  const isFull = (wanted: number): boolean => {
    if (active === undefined) return true;
    const held = active.segment.bytes;
    return held > segmentHeaderBytes && held + wanted > rule.segmentBytes;
  };

  const extend = async (to: Active, needed: number): Promise<void> => {
    if (needed <= to.length) return;
    const length = lengthFor(needed);
    await to.file.extend(length);
    to.length = length;
  };

  const append = async (part: Part): Promise<DiskFile> => {
    if (isFull(part.bytes.length)) await roll(part.first);
    const { file, segment } = active!;
    if (torn) {
      await file.truncate(segment.bytes);
      active!.length = segment.bytes;
    }
    torn = true;
    await extend(active!, segment.bytes + part.bytes.length);
    await file.append(part.bytes);
    return file;
  };

  const acknowledge = (part: Part): void => {
    const { segment } = active!;
    torn = false;
    segment.startedAt ??= part.startedAt;
    segment.bytes += part.bytes.length;
    bytes += part.bytes.length;
    last = part.last;
    mayGiveUpUnseen = true;
    metrics.writtenBytes.inc(part.bytes.length);
    metrics.logBytes.set(bytes);
    unblock();
  };

  metrics.logBytes.set(bytes);
  return {
    segments,
    get bytes() {
      return bytes;
    },
    get blocked() {
      return blocked;
    },
    roomFor(wanted) {
      const held = isFull(wanted) ? segmentHeaderBytes : active!.segment.bytes;
      return rule.segmentBytes - held;
    },
    async write(part, signal) {
      for (;;) {
        try {
          if (await makeRoom(part.bytes.length)) {
            const file = await append(part);
            await final(file.sync());
            acknowledge(part);
            return true;
          }
          block('the log holds log.maxBytes of events that readers have not done with');
        } catch (error) {
          if (!isWeather(error)) throw error;
          block(messageOf(error));
          // One byte too much: the oldest segment goes, if it may.
          if (isNoRoom(error)) await retain(0, bytes - 1, mayGiveUpUnseen);
        }
        try {
          await clock.sleep(retryMs, signal);
        } catch {
          return false;
        }
      }
    },
    async expire() {
      await retain(0, rule.maxBytes, false);
    },
    async close() {
      await retire();
    },
  };
}
