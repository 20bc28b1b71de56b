import type { Disk } from '../platform/disk.ts';
import { groupBytesMax, segmentHeaderBytes } from './format.ts';
import { type GroupPlace, groupAt, groupBytesAt, groupCandidate } from './group.ts';
import { isUnreadable } from './weather.ts';

/**
 * So much is read at a time; more only for a group that is larger. Every lane of every sink that is
 * behind has one or two of these, and what has been read lies outside the heap until that is collected.
 */
const chunkBytes = 2 ** 16;
/** When a chunk cannot be read, whatever pieces of it can are. */
const pieceBytes = 2 ** 12;

/** Bytes of a segment that are no group. */
export interface Damage {
  readonly path: string;
  readonly from: number;
  readonly to: number;
  /** The positions that should have been there; without `to` at the end of a segment. */
  readonly positions: { readonly from: number; readonly to?: number };
}

/**
 * Goes through the groups of one segment, a chunk at a time, checking each. What is damaged is
 * stepped over to the next whole group, and told.
 */
export class SegmentReader {
  readonly path: string;
  /** The bytes in which the group returned last has its place. */
  bytes: Buffer = Buffer.alloc(0);
  /** Whether the file is gone, or shorter than it should be. */
  cutShort = false;
  /** Whether damage has been told that goes on to the end. */
  endIsTold = false;
  private readonly disk: Disk;
  private readonly logId: number;
  private readonly sizeOf: () => number;
  private readonly onDamage: (damage: Damage) => void;
  /** Where in the file `bytes` begin, and how far into them we are. */
  private base = segmentHeaderBytes;
  private at = 0;
  /** The position that should come next. */
  expected: number;

  /** Reads up to `sizeOf()`, which may grow. */
  constructor(
    disk: Disk,
    segment: { readonly path: string; readonly logId: number; readonly first: number },
    sizeOf: () => number,
    onDamage: (damage: Damage) => void,
  ) {
    this.disk = disk;
    this.path = segment.path;
    this.logId = segment.logId;
    this.expected = segment.first;
    this.sizeOf = sizeOf;
    this.onDamage = onDamage;
  }

  /** Where the next group is expected in the file. */
  get offset(): number {
    return this.base + this.at;
  }

  /** The next whole group; undefined at the end, which may move on later. */
  async next(): Promise<GroupPlace | undefined> {
    for (;;) {
      const place = groupAt(this.bytes, this.at, this.logId);
      if (place === undefined) return await this.nextBehindDamage();
      if (place !== 'more') {
        this.at = place.end;
        this.expected = place.last + 1;
        return place;
      }
      const size = this.sizeOf();
      if (this.offset >= size) return undefined;
      // What it says of its length may be wrong, so a group cut short may be a damaged one.
      if (this.base + this.bytes.length >= size) return await this.nextBehindDamage();
      if (!(await this.fill(groupBytesAt(this.bytes, this.at)))) return undefined;
    }
  }

  private async nextBehindDamage(): Promise<GroupPlace | undefined> {
    const { path, offset: from } = this;
    if (!(await this.skipZeros())) return undefined;
    const place = await this.search();
    const to = place === undefined ? this.offset : this.base + place.offset;
    const { expected } = this;
    const last = place === undefined ? {} : { to: place.first - 1 };
    this.onDamage({ path, from, to, positions: { from: expected, ...last } });
    if (place !== undefined) this.expected = place.last + 1;
    else this.endIsTold = true;
    return place;
  }

  /** False when there is nothing else up to the end: room made for what was to come. */
  private async skipZeros(): Promise<boolean> {
    const { offset } = this;
    for (;;) {
      const { bytes } = this;
      while (this.at < bytes.length && bytes[this.at] === 0) this.at++;
      if (this.at < bytes.length) break;
      if (this.offset >= this.sizeOf() || !(await this.fill(chunkBytes))) return false;
    }
    // A length may begin with as many.
    this.at -= Math.min(3, this.offset - offset, this.at);
    return true;
  }

  /** Tries every place that looks like the beginning of a group. */
  private async search(): Promise<GroupPlace | undefined> {
    const size = this.sizeOf();
    for (;;) {
      const candidate = groupCandidate(this.bytes, this.at, this.logId);
      const isRead = this.base + this.bytes.length >= size;
      if (candidate === undefined) {
        // The id may lie across the end of what has been read.
        const left = this.bytes.length - segmentHeaderBytes;
        this.at = isRead ? this.bytes.length : Math.max(this.at, left);
        if (isRead || !(await this.fill(chunkBytes))) return undefined;
        continue;
      }
      this.at = candidate;
      const place = groupAt(this.bytes, candidate, this.logId);
      if (place === 'more' && !isRead) {
        if (!(await this.fill(groupBytesAt(this.bytes, candidate)))) return undefined;
      } else if (place === undefined || place === 'more') {
        this.at++;
      } else {
        this.at = place.end;
        return place;
      }
    }
  }

  /** Moves the chunk on to where we are. False when there is nothing more to be had. */
  private async fill(wanted: number): Promise<boolean> {
    const from = this.offset;
    const known = this.base + this.bytes.length - from;
    const needed = Math.min(Math.max(wanted, known + 1), groupBytesMax + 8);
    const length = Math.min(Math.max(needed, chunkBytes), this.sizeOf() - from);
    const bytes = await readWhatCanBe(this.disk, this.path, from, length);
    this.cutShort = bytes === undefined || bytes.length <= known;
    if (bytes === undefined || this.cutShort) return false;
    this.bytes = bytes;
    this.base = from;
    this.at = 0;
    return true;
  }
}

/** No byte of a length, so that it can neither begin a group nor be taken for room. */
const unreadable = 0xff;

/**
 * What the disk cannot read (EIO, a bad sector) is damaged: bytes that are no group stand for it. Throws
 * when it has another reason.
 */
async function readWhatCanBe(
  disk: Disk,
  path: string,
  offset: number,
  length: number,
): Promise<Buffer | undefined> {
  try {
    return bufferOf(await disk.readPart(path, offset, length));
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const bytes = Buffer.alloc(length, unreadable);
    for (let at = 0; at < length; at += pieceBytes) {
      try {
        const piece = await disk.readPart(path, offset + at, Math.min(pieceBytes, length - at));
        if (piece === undefined) return undefined;
        bytes.set(piece, at);
      } catch (each) {
        if (!isUnreadable(each)) throw each;
      }
    }
    return bytes;
  }
}

const bufferOf = (bytes: Uint8Array | undefined): Buffer | undefined =>
  bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
