import type { Disk, DiskFile } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Started } from './age.ts';
import { keepTail, type Parts, reportDamage, reportLost, setAside } from './damage.ts';
import { groupHeaderBytes, segmentHeaderBytes } from './format.ts';
import { startedOf } from './group.ts';
import { type Keyring, noKeys } from './keyring.ts';
import type { Thinning } from './retention.ts';
import {
  decodeSegmentHeader,
  firstOfName,
  type SegmentHeader,
  segmentFolder,
  segmentPathOf,
} from './segment-header.ts';
import { type Damage, SegmentReader } from './segment-reader.ts';
import { isUnreadable, isWeather } from './weather.ts';

/** A file of the log. */
export interface Segment {
  /** The position it is named after; what it holds begins there or later. */
  readonly first: number;
  readonly path: string;
  readonly logId: number;
  /** The key it is sealed with; 0 when it is in plain. */
  keyId: number;
  thinning: Thinning;
  /** Its durable bytes. */
  bytes: number;
  /** Moves when it begins to be rewritten: what was read of it before no longer holds … */
  version: number;
  /** … and what is read of it until this has resolved may be of either. */
  rewriting: Promise<unknown> | undefined;
  startedAt: Started['startedAt'];
  startedMonotonic: Started['startedMonotonic'];
}

/** What the files were found to mean. */
export interface Recovered {
  /** Oldest first. */
  readonly segments: Segment[];
  /** The file that goes on being written to; its segment is the last. */
  readonly active: DiskFile | undefined;
  /** Undefined when there was no log. */
  readonly logId: number | undefined;
  /** The newest position there has ever been. */
  readonly last: number;
  /** Damage in front of whole groups, which has been told. */
  readonly damage: readonly Damage[];
}

/** A file that has the name of a segment. */
export interface Found extends Started {
  readonly first: number;
  readonly path: string;
  readonly size: number;
  readonly header: SegmentHeader | undefined;
}

/**
 * Makes sense of whatever is in the folder and makes it durable: what a killed process wrote may be
 * in the page cache only, and nobody may act upon that. Reads no more than the last segment whole.
 */
export async function recover(parts: Parts, savedMax: number): Promise<Recovered> {
  const found = await findSegments(parts.disk);
  // Before anything is touched: without its key a log is not damaged, it is closed.
  await requireKeys(parts.disk, found, parts.keys ?? noKeys);
  const logId = found.findLast((each) => each.header !== undefined)?.header?.logId;
  let last = savedMax;
  while (found.length > 0) {
    const newest = found.at(-1)!;
    const scan = await scanSegment(parts.disk, newest, logId);
    if (scan === undefined) {
      await setAside(newest, parts);
      found.pop();
      continue;
    }
    const segments = found.map((each) => segmentOf(each, logId ?? scan.logId));
    last = Math.max(newest.first - 1, scan.last);
    if (savedMax > last) reportLost(newest.path, savedMax, last, scan.end, parts);
    const damage = scan.damage.filter(({ to }) => to <= scan.end);
    for (const each of [...headless(found.slice(0, -1)), ...damage]) reportDamage(each, parts);
    const active = await openNewest(segments.at(-1)!, scan, damage.length > 0, parts);
    last = Math.max(last, savedMax);
    return { segments, active, logId: logId ?? scan.logId, last, damage };
  }
  if (savedMax > 0) reportLost(segmentFolder, savedMax, 0, 0, parts);
  return { segments: [], active: undefined, logId, last, damage: [] };
}

/** Throws GW_CONFIG_KEY_MISSING when a segment is sealed with a key that we do not have. */
export async function requireKeys(
  disk: Disk,
  found: readonly Found[],
  keys: Keyring,
): Promise<void> {
  for (const { path, size, header, first } of found) {
    let keyId = header?.keyId ?? 0;
    if (header === undefined) {
      const logId = await logIdOfFirstGroup(disk, path);
      if (logId === undefined) continue;
      const groups = new SegmentReader(
        disk,
        { path, logId, first },
        () => size,
        () => {},
      );
      keyId = (await groups.next())?.keyId ?? 0;
    }
    if (keyId !== 0) keys.keyOf(keyId, path);
  }
}

export const segmentOf = (
  { first, path, size, header, startedAt, startedMonotonic }: Found,
  logId: number,
): Segment => ({
  first,
  path,
  logId: header?.logId ?? logId,
  keyId: header?.keyId ?? 0,
  thinning: header?.thinning ?? 'none',
  bytes: size,
  version: 0,
  rewriting: undefined,
  startedAt,
  startedMonotonic,
});

/** What is in the folder, oldest first. Throws GW_LOG_UNSUPPORTED. */
export async function findSegments(disk: Disk): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of await disk.list(segmentFolder)) {
    const first = firstOfName(name);
    if (first === undefined) continue;
    const path = segmentPathOf(first);
    const size = await disk.size(path);
    const head = await readHead(disk, path);
    if (size === undefined || head === undefined) continue;
    const header = decodeSegmentHeader(path, head);
    found.push({ first, path, size, header, ...startedOf(head, segmentHeaderBytes) });
  }
  return found;
}

/** What a segment begins with. A piece that cannot be read is like one that is damaged. */
async function readHead(disk: Disk, path: string): Promise<Buffer | undefined> {
  try {
    const bytes = await disk.readPart(path, 0, segmentHeaderBytes + groupHeaderBytes);
    return bytes && Buffer.from(bytes);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return Buffer.alloc(0);
  }
}

interface Scan {
  readonly logId: number;
  readonly last: number;
  /** Where the last whole group ends. */
  readonly end: number;
  readonly damage: readonly Damage[];
}

/** It costs no position: groups are found without it. */
const damagedHeader = ({ path, first }: Pick<Found, 'path' | 'first'>): Damage => ({
  ...{ path, from: 0, to: segmentHeaderBytes },
  positions: { from: first, to: first - 1 },
});

const headless = (found: readonly Found[]): Damage[] =>
  found.filter(({ header }) => header === undefined).map(damagedHeader);

/** Undefined when nothing in the file can be read. */
async function scanSegment(
  disk: Disk,
  { first, path, size, header }: Found,
  knownLogId: number | undefined,
): Promise<Scan | undefined> {
  const logId = header?.logId ?? knownLogId ?? (await logIdOfFirstGroup(disk, path));
  if (logId === undefined) return undefined;
  const damage: Damage[] = [];
  if (header === undefined) {
    damage.push(damagedHeader({ path, first }));
  }
  let end = segmentHeaderBytes;
  let last = first - 1;
  const reader = new SegmentReader(
    disk,
    { path, logId, first },
    () => size,
    (each) => damage.push(each),
  );
  for (let place = await reader.next(); place !== undefined; place = await reader.next()) {
    end = reader.offset;
    last = Math.max(last, place.last);
  }
  if (header === undefined && end === segmentHeaderBytes) return undefined;
  return { logId, last, end, damage };
}

/** Where even the header is damaged, the first group may still say whose it is. */
export async function logIdOfFirstGroup(disk: Disk, path: string): Promise<number | undefined> {
  const head = await readHead(disk, path);
  if (head === undefined || head.length < segmentHeaderBytes + groupHeaderBytes) return undefined;
  return head.readUInt32LE(segmentHeaderBytes + 16);
}

/** Cuts what was never acknowledged; writes on only behind what is whole. */
async function openNewest(
  segment: Segment,
  { end, damage }: Scan,
  isDamaged: boolean,
  parts: Parts,
): Promise<DiskFile | undefined> {
  const { disk, logger, keys = noKeys } = parts;
  const { path } = segment;
  segment.bytes = end;
  try {
    const file = await disk.open(path);
    const tail = damage.find(({ from }) => from >= end);
    let isWorn = false;
    if (tail !== undefined) {
      logger.info({ path, offset: end }, 'Cut off an unfinished write, which nobody relied on.');
      isWorn = (await keepTail(file, tail, parts)) === 'unreadable';
    }
    if (file.size > end) await file.truncate(end);
    await file.sync();
    await disk.syncFolder(segmentFolder);
    const isOurs = segment.keyId === (keys.current?.id ?? 0) && segment.thinning === 'none';
    if (!isDamaged && !isWorn && isOurs) return file;
    await file.close();
  } catch (error) {
    if (!isWeather(error)) throw error;
    logger.warn({ path, error: messageOf(error) }, 'The log cannot be written to at the moment.');
  }
  return undefined;
}
