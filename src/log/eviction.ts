import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createAges } from './age.ts';
import type { Keyring } from './keyring.ts';
import type { Position } from './log.ts';
import type { Segment } from './recovery.ts';
import type { Reserve } from './reserve.ts';
import {
  type RetentionRule,
  retentionOf,
  type Sacrifice,
  sacrificeOf,
  type Thinning,
  type WhenFull,
} from './retention.ts';
import { type Rewritten, rewritten } from './rewrite.ts';
import type { Sealing } from './seal.ts';
import { createThinning, strip } from './thin.ts';
import { isNoRoom, isWeather } from './weather.ts';

export interface EvictionParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly reserve: Reserve;
  readonly keys: Keyring;
  readonly sealing: Sealing | undefined;
  readonly readers: () => Iterable<{ readonly name: string; readonly saved: Position }>;
}

export interface EvictionRule extends RetentionRule {
  readonly whenFull: WhenFull;
  /** Under `thinOut`, every so many-th reading stays; 10. */
  readonly keepEvery?: number;
}

/** The segments, as those who write and those who remove share them. */
export interface Shelf {
  /** Oldest first. */
  readonly segments: Segment[];
  bytes: number;
  /** The newest position. */
  last: number;
  /** The segment that is being written to. */
  active: Segment | undefined;
}

/** What may be given up of what not every reader has done with. */
export type GiveUp = 'nothing' | 'one' | 'all';

export interface Outcome {
  /** Whether as many bytes fit as were asked for. */
  readonly fits: boolean;
  readonly gaveUp: boolean;
}

/** Not worth another file if it saves less. */
const worthwhile = 0.9;
/** A segment that has been stripped and holds no more than this holds nothing. */
const emptyBytesMax = 128;

/** Makes room in the log, one call after the other: what is old and delivered first. */
export function createEviction(shelf: Shelf, rule: EvictionRule, parts: EvictionParts) {
  const { disk, clock, logger, metrics, reserve } = parts;
  const { segments } = shelf;
  const agesOf = createAges(clock);
  let turn: Promise<unknown> = Promise.resolve();

  const closedSegments = () => {
    const closed = shelf.active === undefined ? segments : segments.slice(0, -1);
    const ages = agesOf(segments);
    return closed.map(({ bytes }, i) => ({ last: lastOf(i), bytes, ageMs: ages[i] }));
  };
  const lastOf = (index: number): number => {
    const next = segments[index + 1]?.first;
    return next === undefined ? shelf.last : next - 1;
  };
  const doneWith = (): number => {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { saved } of parts.readers()) lowest = Math.min(lowest, saved);
    return lowest;
  };

  const evict = async (wanted: number, maxBytes: number, giveUp: GiveUp): Promise<Outcome> => {
    for (let gaveUp = false; ; gaveUp = true) {
      while (segments[0] !== undefined && isEmptied(segments[0])) await drop(0, 1);
      const { drop: count, fits } = retentionOf(
        {
          closed: closedSegments(),
          otherBytes: (shelf.active?.bytes ?? 0) + wanted,
          doneWith: doneWith(),
        },
        { ...rule, maxBytes },
      );
      await drop(0, count);
      const closed = shelf.active === undefined ? segments : segments.slice(0, -1);
      if (fits || giveUp === 'nothing' || (giveUp === 'one' && gaveUp)) return { fits, gaveUp };
      const sacrifice = sacrificeOf(closed, rule.whenFull);
      if (sacrifice === undefined) return { fits, gaveUp };
      await perform(sacrifice);
    }
  };
  const isEmptied = (segment: Segment): boolean =>
    segment.thinning === 'stripped' && segment.bytes <= emptyBytesMax && segment !== shelf.active;

  const perform = async ({ index, act }: Sacrifice): Promise<void> => {
    const { first } = segments[index]!;
    const last = lastOf(index);
    const readers: string[] = [];
    for (const { name, saved } of parts.readers()) if (saved < last) readers.push(name);
    const done = await attempt(index, act);
    logger.error(
      { from: first, to: last, readers },
      done === 'thin'
        ? 'Left out readings that not every reader has seen, to make room for new ones.'
        : 'Dropped events that not every reader has seen, to make room for new ones.',
    );
  };
  /** Does more than was asked for when that cannot be done or would not help; says what. */
  const attempt = async (index: number, act: Sacrifice['act']): Promise<Sacrifice['act']> => {
    if (act === 'drop') {
      await drop(index, 1);
      return act;
    }
    const segment = segments[index]!;
    const again = segment.thinning === 'none' ? 'thinned' : 'rethinned';
    const after = act === 'strip' ? 'stripped' : again;
    try {
      const less = await shorten(segment, lastOf(index), after);
      if (less !== undefined) {
        await replace(segment, less, after);
        return act;
      }
    } catch (error) {
      if (!isWeather(error)) throw error;
      logger.warn(
        { path: segment.path, error: messageOf(error) },
        'A log segment stays as it was.',
      );
    }
    return await attempt(index, act === 'strip' ? 'drop' : 'strip');
  };
  /** Undefined when that would not help. */
  const shorten = async (
    segment: Segment,
    last: number,
    thinning: Thinning,
  ): Promise<Rewritten | undefined> => {
    const selection = thinning === 'stripped' ? strip : createThinning(rule.keepEvery ?? 10);
    const less = await rewritten(segment, last, selection, thinning, parts);
    // In front of all there is nobody to be told by an empty file that something was here.
    if (less.kept === 0 && segment === segments[0]) return undefined;
    const helps = less.bytes.length < segment.bytes * worthwhile;
    return helps || thinning === 'stripped' ? less : undefined;
  };

  /** Readers who are in the middle of it find out, and begin again where they were. */
  const replace = async (segment: Segment, less: Rewritten, thinning: Thinning): Promise<void> => {
    segment.version++;
    const writing = write(segment.path, less.bytes).then(() => {
      shelf.bytes += less.bytes.length - segment.bytes;
      segment.bytes = less.bytes.length;
      segment.thinning = thinning;
      segment.keyId = parts.sealing?.key.id ?? 0;
      metrics.logBytes.set(shelf.bytes);
      metrics.writtenBytes.inc(less.bytes.length);
    });
    segment.rewriting = writing.catch(() => {});
    try {
      await writing;
    } finally {
      segment.rewriting = undefined;
    }
  };
  const write = async (path: string, bytes: Uint8Array): Promise<void> => {
    try {
      await disk.replace(path, bytes);
    } catch (error) {
      if (!isNoRoom(error) || !(await reserve.spend(bytes.length))) throw error;
      await disk.replace(path, bytes);
    }
  };

  const drop = async (index: number, count: number): Promise<void> => {
    // All at once: whoever else looks at the segments meanwhile must not find some of them.
    const dropped = segments.splice(index, count);
    for (const { bytes } of dropped) shelf.bytes -= bytes;
    metrics.logBytes.set(shelf.bytes);
    for (const { path } of dropped) {
      try {
        await disk.remove(path);
      } catch (error) {
        logger.warn({ path, error: messageOf(error) }, 'A log segment could not be removed.');
      }
    }
  };

  return {
    /**
     * Applies the rule, with room for so many bytes more than there are, within `maxBytes`. Rejects
     * when the disk can no longer be trusted.
     */
    makeRoom(wanted: number, maxBytes: number, giveUp: GiveUp): Promise<Outcome> {
      const mine = turn.then(() => evict(wanted, maxBytes, giveUp));
      turn = mine.catch(() => {});
      return mine;
    },
    /** Everything up to and including this has been done with by every reader. */
    doneWith,
  };
}
