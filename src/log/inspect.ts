import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import { silentLogger } from '../platform/logger.ts';
import { thinnedOf } from './absence.ts';
import { brokerPath, cursorsPath, readCursorFile, replaysPath } from './cursor-file.ts';
import { newestOf } from './cursor-store.ts';
import { EventDecoder } from './event-decoder.ts';
import { groupBytesMax, segmentHeaderBytes } from './format.ts';
import { groupAt } from './group.ts';
import { type Keyring, noKeys } from './keyring.ts';
import type { Entry, Position } from './log.ts';
import { createBacklog } from './reader.ts';
import {
  findSegments,
  logIdOfFirstGroup,
  requireKeys,
  type Segment,
  segmentOf,
} from './recovery.ts';
import { segmentFolder } from './segment-header.ts';
import { type Damage, SegmentReader } from './segment-reader.ts';

export interface LogStat {
  /** The oldest position, and the newest; 1 and 0 when there is none. */
  readonly first: number;
  readonly last: number;
  readonly segments: number;
  readonly bytes: number;
  /** When the oldest and the newest were recorded, in milliseconds since the epoch. */
  readonly firstTime?: number;
  readonly lastTime?: number;
  /** Where positions without an entry are accounted for: readings were left out to make room. */
  readonly thinned: readonly { readonly from: number; readonly to: number }[];
}

export interface LogProblem {
  readonly path: string;
  readonly offset: number;
  readonly problem: string;
  /** The positions that it costs, as far as that can be told. */
  readonly from?: number;
  readonly to?: number;
}

/** Which entries, by position and by when they were recorded: both times inclusive. */
export interface EntryRange {
  readonly after?: Position;
  readonly fromTime?: number;
  readonly toTime?: number;
}

/** Looks at a log without changing it, also while a gateway writes it. */
export interface LogInspector {
  stat(): Promise<LogStat>;
  /** What there is now, in order, a few hundred at a time; ends at the end. Skips what is damaged. */
  entries(range?: EntryRange): AsyncIterable<readonly Entry[]>;
  /** Reads everything, and tells what is damaged or missing. */
  verify(): AsyncIterable<LogProblem>;
}

const entriesAtATime = 500;

/**
 * Each call sees the log as it is then. They reject with GW_LOG_UNSUPPORTED for one newer than this,
 * with GW_CONFIG_KEY_MISSING for one that is sealed with a key that is not given.
 */
export async function openLogInspector(disk: Disk, keys = noKeys): Promise<LogInspector> {
  const segmentsNow = async () => {
    const found = await findSegments(disk);
    await requireKeys(disk, found, keys);
    const logId =
      found.findLast((each) => each.header !== undefined)?.header?.logId ??
      (found[0] && (await logIdOfFirstGroup(disk, found[0].path))) ??
      0;
    return found.map((each) => ({
      ...segmentOf(each, logId),
      isHeaded: each.header !== undefined,
    }));
  };
  const entriesOf = (segments: readonly Segment[], after: number) => {
    const parts = { disk, logger: silentLogger, keys, segments, reported: new Set<string>() };
    return createBacklog(after, parts);
  };

  return {
    async stat() {
      const segments = await segmentsNow();
      let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
      const writing = segments.at(-1);
      if (writing !== undefined) bytes += (await endOf(disk, writing)) - writing.bytes;
      const oldest = (await entriesOf(segments, 0).read(1))[0];
      // The last segment may hold nothing yet.
      const newest =
        (await lastOf(entriesOf(segments.slice(-1), 0))) ??
        (await lastOf(entriesOf(segments.slice(-2), 0)));
      return {
        first: oldest?.position ?? (newest?.position ?? 0) + 1,
        last: newest?.position ?? 0,
        segments: segments.length,
        bytes,
        thinned: thinnedOf(segments, newest?.position ?? 0),
        ...(oldest && { firstTime: oldest.recordedTime }),
        ...(newest && { lastTime: newest.recordedTime }),
      };
    },
    async *entries({ after, fromTime = -Infinity, toTime = Infinity }: EntryRange = {}) {
      const segments = within(await segmentsNow(), fromTime, toTime);
      const backlog = entriesOf(segments, after ?? 0);
      for (;;) {
        const entries = await backlog.read(entriesAtATime);
        if (entries.length === 0) return;
        const wanted = entries.filter(
          ({ recordedTime }) => recordedTime >= fromTime && recordedTime <= toTime,
        );
        if (wanted.length > 0) yield wanted;
      }
    },
    async *verify() {
      // Before the log: what a reader has come to is in it by then, also while a gateway writes.
      const saved = [];
      for (const path of [cursorsPath, brokerPath] as const) {
        saved.push(newestOf(await readCursorFile(disk, silentLogger, keys, path)));
      }
      const savedMax = Math.max(...saved);
      const segments = await segmentsNow();
      let expected: number | undefined;
      for (const [index, segment] of segments.entries()) {
        const isNewest = index === segments.length - 1;
        const next = segments[index + 1]?.first;
        if (isNewest && segment.bytes <= segmentHeaderBytes) continue;
        if (!segment.isHeaded) {
          yield { path: segment.path, offset: 0, problem: 'the header is damaged' };
        }
        expected = yield* verifyWhole(disk, keys, segment, next, expected);
      }
      const newest = segments.at(-1);
      const from = Math.max(expected ?? 1, newest?.first ?? 1);
      if (savedMax >= from) {
        const problem = 'the end of the log is missing: readers have come further';
        const [path, offset] =
          newest === undefined ? [segmentFolder, 0] : [newest.path, await endOf(disk, newest)];
        yield { path, offset, problem, from, to: savedMax };
      }
      for (const path of [cursorsPath, brokerPath, replaysPath] as const) {
        const { damaged } = await readCursorFile(disk, silentLogger, keys, path);
        for (const { from: offset, to } of damaged) {
          yield { path, offset, problem: to > offset ? 'a line is damaged' : 'lines are missing' };
        }
      }
    },
  };
}

/** Where the last whole group ends: the file may be kept longer than what is in it. */
async function endOf(disk: Disk, segment: Segment): Promise<number> {
  const groups = new SegmentReader(
    disk,
    segment,
    () => segment.bytes,
    () => {},
  );
  let end = Math.min(segment.bytes, segmentHeaderBytes);
  while ((await groups.next()) !== undefined) end = groups.offset;
  return end;
}

async function lastOf(backlog: ReturnType<typeof createBacklog>): Promise<Entry | undefined> {
  let last: Entry | undefined;
  for (;;) {
    const entries = await backlog.read(entriesAtATime);
    if (entries.length === 0) return last;
    last = entries.at(-1);
  }
}

/** Leaves out segments at both ends that hold nothing recorded within those times. */
function within(segments: readonly Segment[], fromTime: number, toTime: number): Segment[] {
  let from = 0;
  // Where the clock could not be believed, the next segment whose could be tells.
  for (let i = 1; i < segments.length; i++) {
    const { startedAt } = segments[i]!;
    if (startedAt === undefined) continue;
    if (startedAt >= fromTime) break;
    from = i;
  }
  const behind = segments.findIndex(
    ({ startedAt = -Infinity }, i) => i >= from && startedAt > toTime,
  );
  return segments.slice(from, behind === -1 ? undefined : behind);
}

/** Somebody may be writing there: by now it is whole, or its length says that it goes on. */
async function isUnderWay(disk: Disk, segment: Segment, offset: number): Promise<boolean> {
  const bytes = await disk.readPart(segment.path, offset, groupBytesMax + 8);
  return bytes !== undefined && groupAt(Buffer.from(bytes), 0, segment.logId) !== undefined;
}

/** Again, when the segment was rewritten or removed while it was looked at. */
async function* verifyWhole(
  disk: Disk,
  keys: Keyring,
  segment: Segment,
  next: number | undefined,
  expected: number | undefined,
): AsyncGenerator<LogProblem, number | undefined> {
  if (next === undefined) return yield* verifySegment(disk, keys, segment, next, expected);
  for (let attempt = 1; ; attempt++) {
    const problems: LogProblem[] = [];
    const steps = verifySegment(disk, keys, segment, next, expected);
    let step = await steps.next();
    for (; step.done !== true; step = await steps.next()) problems.push(step.value);
    const size = await disk.size(segment.path);
    if (size === segment.bytes || attempt === attemptsMax) {
      yield* problems;
      return step.value;
    }
    const now = (await findSegments(disk)).find(({ first }) => first === segment.first);
    if (now === undefined) return undefined;
    Object.assign(segment, segmentOf(now, segment.logId));
  }
}
const attemptsMax = 5;

/**
 * Returns the position that should follow. What is missing in front of the next segment, which begins at
 * the position `next`, is missing at the end of this one.
 */
async function* verifySegment(
  disk: Disk,
  keys: Keyring,
  segment: Segment,
  next: number | undefined,
  expectedFirst: number | undefined,
): AsyncGenerator<LogProblem, number | undefined> {
  const { path } = segment;
  const damage: Damage[] = [];
  const groups = new SegmentReader(
    disk,
    segment,
    () => segment.bytes,
    (each) => damage.push(each),
  );
  const events = new EventDecoder(segment.logId, keys);
  let expected = expectedFirst ?? segment.first;
  for (;;) {
    const group = await groups.next();
    for (const { from: offset, to, positions } of damage.splice(0)) {
      const atEnd = group === undefined;
      if (next === undefined && atEnd && (await isUnderWay(disk, segment, offset))) continue;
      const last = positions.to ?? (next && next - 1);
      const isCostly = last !== undefined && last >= expected;
      const cost = isCostly ? { from: expected, to: last } : {};
      yield { path, offset, problem: `${to - offset} bytes are damaged`, ...cost };
      if (isCostly) expected = last + 1;
    }
    if (group === undefined) {
      // Behind a segment that was made shorter another may have been removed to make room.
      if (next === undefined || expected >= next || segment.thinning !== 'none') return expected;
      const problem = 'its end is missing, or the file behind it';
      yield { path, offset: groups.offset, problem, from: expected, to: next - 1 };
      return next;
    }
    const offset = groups.offset - (group.end - group.offset);
    if (group.first !== expected && segment.thinning === 'none') {
      const from = Math.min(expected, group.first);
      const to = Math.max(expected, group.first) - 1;
      const problem = group.first > expected ? 'positions are missing' : 'positions appear again';
      yield { path, offset, problem, from, to };
    }
    expected = group.last + 1;
    try {
      events.open(groups.bytes, group);
      while (events.remaining > 0) events.take(entriesAtATime, 0, []);
    } catch (error) {
      const problem = `events cannot be decoded: ${messageOf(error)}`;
      yield { path, offset, problem, from: group.first, to: expected - 1 };
    }
  }
}
