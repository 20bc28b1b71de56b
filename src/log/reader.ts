import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { reportDamage } from './damage.ts';
import { EventDecoder } from './event-decoder.ts';
import type { GroupPlace } from './group.ts';
import type { Keyring } from './keyring.ts';
import type { Entry, LogReader, Position } from './log.ts';
import type { Quarantine } from './quarantine.ts';
import type { Segment } from './recovery.ts';
import { type Damage, SegmentReader } from './segment-reader.ts';
import type { Tail } from './tail.ts';
import { isWeather } from './weather.ts';

export interface ReaderParts {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly keys: Keyring;
  readonly tail: Tail;
  /** Oldest first; may change whenever something is awaited. */
  readonly segments: readonly Segment[];
  /** The places of damage that has been told. */
  readonly reported: Set<string>;
  readonly quarantine?: Quarantine;
}

/** Names some damage. */
export const placeOf = ({ path, from }: Pick<Damage, 'path' | 'from'>): string => `${path}:${from}`;

/** A reader, as the log sees it. */
export interface WakingReader extends LogReader {
  /** Nothing up to and including this is asked for again. */
  readonly passed: number;
  /** There is something new. */
  wake(): void;
}

const retryMs = 1_000;

export function createReader(
  after: Position,
  parts: ReaderParts & { readonly clock: Clock },
  onClose: (reader: WakingReader) => void,
): WakingReader {
  const { tail, clock, logger } = parts;
  const waiting = createWaiting();
  let position: number = after;
  /** What lies between `position` and this is not to be had. */
  let passed: number = after;
  let backlog: Backlog | undefined;

  const read = async (limit: number, signal: AbortSignal): Promise<readonly Entry[]> => {
    if (passed + 1 >= tail.first) {
      backlog = undefined;
      return tail.slice(passed, limit);
    }
    const { last } = tail;
    backlog ??= createBacklog(passed, parts);
    const entries = await backlog.read(limit).catch(async (error: unknown) => {
      if (!isWeather(error)) throw error;
      logger.warn({ error: messageOf(error) }, 'The log cannot be read at the moment.');
      backlog = undefined;
      await clock.sleep(retryMs, signal);
      return undefined;
    });
    if (entries === undefined) return [];
    if (entries.length === 0) passed = Math.max(passed, last);
    return entries;
  };

  const reader: WakingReader = {
    get position() {
      return position as Position;
    },
    get passed() {
      return passed;
    },
    get caughtUp() {
      return passed >= tail.last;
    },
    async next(limit, signal) {
      for (;;) {
        signal.throwIfAborted();
        if (passed >= tail.last) {
          await waiting.wait(signal);
          continue;
        }
        const entries = await read(limit, signal);
        if (entries.length === 0) continue;
        position = entries.at(-1)!.position;
        passed = position;
        return entries;
      }
    },
    wake: waiting.wake,
    close() {
      waiting.close();
      backlog = undefined;
      onClose(reader);
    },
  };
  return reader;
}

/** One who waits, again and again and mostly under the same signal. */
function createWaiting() {
  let resolve: (() => void) | undefined;
  let reject: ((reason: unknown) => void) | undefined;
  let signal: AbortSignal | undefined;
  const end = (reason: unknown): void => {
    reject?.(reason);
    resolve = undefined;
    reject = undefined;
  };
  const aborted = (): void => end(signal?.reason);
  const listenTo = (next: AbortSignal | undefined): void => {
    if (signal === next) return;
    signal?.removeEventListener('abort', aborted);
    signal = next;
    signal?.addEventListener('abort', aborted);
  };
  return {
    wait(next: AbortSignal): Promise<void> {
      listenTo(next);
      return new Promise((yes, no) => {
        resolve = yes;
        reject = no;
      });
    },
    wake(): void {
      resolve?.();
      resolve = undefined;
      reject = undefined;
    },
    close(): void {
      listenTo(undefined);
      end(new Error('The reader was closed.'));
    },
  };
}

/** Where a reader is. */
interface Current {
  readonly segment: Segment;
  /** Of the segment, as it was when reading began. */
  readonly version: number;
  readonly groups: SegmentReader;
  readonly events: EventDecoder;
}

export interface Backlog {
  /** The next entries on disk, none at the end of what is durable. */
  read(limit: number): Promise<Entry[]>;
  /** Where the last entry that was read stands. */
  readonly after: number;
  /** Goes on behind `after`, which is not before where it is. */
  skipTo(after: number): void;
}

/** Reads segment by segment, group by group; holds one chunk of one file, and keeps none open. */
export function createBacklog(start: number, parts: Omit<ReaderParts, 'tail'>): Backlog {
  const { disk, logger, keys, segments, reported } = parts;
  let after = start;
  let opened: GroupPlace | undefined;
  let current: Current | undefined;
  /** Damage that has been met, and may turn out to be of a file that has been replaced meanwhile. */
  const met: Damage[] = [];

  const report = (damage: Damage): void => {
    const place = placeOf(damage);
    if (reported.has(place)) return;
    // A limit only: whoever has so much damage has been told.
    if (reported.size > 1_000) reported.clear();
    reported.add(place);
    reportDamage(damage, parts);
  };
  /** At the end of a segment, the next one says up to where something is missing. */
  const completed = (damage: Damage, { first }: Segment): Damage => {
    if (damage.positions.to !== undefined) return damage;
    const next = segments.find((segment) => segment.first > first);
    if (next === undefined) return damage;
    return { ...damage, positions: { from: damage.positions.from, to: next.first - 1 } };
  };
  const openSegment = (segment: Segment): void => {
    current = {
      segment,
      version: segment.version,
      groups: new SegmentReader(
        disk,
        segment,
        () => segment.bytes,
        (damage) => met.push(damage),
      ),
      events: new EventDecoder(segment.logId, keys),
    };
  };
  /** False for a group whose bytes are whole and make no sense: it is damaged, too. */
  const decodes = (step: () => void): boolean => {
    const { events, groups } = current!;
    try {
      step();
      return true;
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      const { path, offset: to } = groups;
      const { end, offset, first, last } = opened!;
      report({ path, from: to - (end - offset), to, positions: { from: first, to: last } });
      logger.debug({ path, error: messageOf(error) }, 'A group could not be decoded.');
      events.abandon();
      return false;
    }
  };
  /** The end of a segment may be missing without a trace: the next one begins too late. */
  const tellOfEnd = (next: Segment): void => {
    const { segment, groups } = current!;
    // Not where segments between the two have made room meanwhile, or what was read no longer is.
    const follows = segments[segments.indexOf(segment) + 1] === next && segments.includes(segment);
    if (!follows || segment.thinning !== 'none') return;
    if (groups.endIsTold || groups.expected >= next.first) return;
    const { path, offset, expected: from } = groups;
    report({ path, from: offset, to: offset, positions: { from, to: next.first - 1 } });
  };
  /** The first segment that may hold something behind `after` and behind the current one. */
  const moveOn = (): boolean => {
    const behind = current?.segment.first ?? 0;
    let next: Segment | undefined;
    for (const segment of segments) {
      if (segment.first <= behind) continue;
      if (next !== undefined && segment.first > after + 1) break;
      next = segment;
    }
    if (next === undefined) return false;
    if (current !== undefined) tellOfEnd(next);
    openSegment(next);
    return true;
  };
  /** The next group of the current segment, or of what the segment has been rewritten to meanwhile. */
  const nextGroup = async () => {
    for (;;) {
      if (current === undefined) return undefined;
      const { segment, version, groups } = current;
      const isAsItWas = (): boolean =>
        segment.rewriting === undefined && segment.version === version;
      if (isAsItWas()) {
        const group = await groups.next();
        if (isAsItWas()) {
          for (const damage of met.splice(0)) report(completed(damage, segment));
          return group;
        }
      }
      met.length = 0;
      await segment.rewriting;
      openSegment(segment);
    }
  };
  /** False at the end. */
  const openGroup = async (): Promise<boolean> => {
    for (;;) {
      const group = await nextGroup();
      const groups = current?.groups;
      if (group !== undefined) {
        if (group.last <= after) continue;
        opened = group;
        if (decodes(() => current!.events.open(groups!.bytes, group))) return true;
        continue;
      }
      // The segment may have grown, and been followed by another, since its end was seen.
      const grown =
        groups !== undefined && !groups.cutShort && groups.offset < current!.segment.bytes;
      if (!grown && !moveOn()) return false;
    }
  };

  return {
    get after() {
      return after;
    },
    skipTo(position) {
      after = Math.max(after, position);
    },
    async read(limit) {
      const entries: Entry[] = [];
      while (entries.length === 0) {
        if ((current?.events.remaining ?? 0) === 0 && !(await openGroup())) break;
        decodes(() => current!.events.take(limit, after, entries));
      }
      if (entries.length > 0) after = entries.at(-1)!.position;
      return entries;
    },
  };
}
