import { crc32 } from 'node:zlib';
import {
  clockQualities,
  groupBytesMax,
  groupHeaderBytes,
  groupLengthMin,
  groupLogIdAt,
} from './format.ts';

/** A group whose checksum is right. */
export interface GroupPlace {
  readonly offset: number;
  /** Where the next one begins. */
  readonly end: number;
  readonly first: number;
  readonly count: number;
  /** Of its first event, in milliseconds since the epoch. */
  readonly recordedTime: number;
  readonly clockUnsynchronised: boolean;
}

const unsynchronised = clockQualities.indexOf('unsynchronised');

/**
 * What is to be found at that place of the bytes: a group, `more` when it may be one that goes on
 * behind them, or nothing that could be one.
 */
export function groupAt(
  bytes: Buffer,
  offset: number,
  logId: number,
): GroupPlace | 'more' | undefined {
  if (offset + groupHeaderBytes > bytes.length) return 'more';
  const length = bytes.readUInt32LE(offset);
  if (length < groupLengthMin || length > groupBytesMax) return undefined;
  if (bytes.readUInt32LE(offset + groupLogIdAt) !== logId) return undefined;
  const end = offset + 8 + length;
  if (end > bytes.length) return 'more';
  if (crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32LE(offset + 4)) return undefined;
  return {
    offset,
    end,
    first: bytes.readUIntLE(offset + 8, 6),
    count: bytes.readUInt16LE(offset + 14),
    recordedTime: bytes.readDoubleLE(offset + 24),
    clockUnsynchronised: bytes[offset + 22] === unsynchronised,
  };
}

/** The bytes of a group that continues behind those read so far. */
export const groupBytesAt = (bytes: Buffer, offset: number): number =>
  offset + 4 > bytes.length ? groupHeaderBytes : 8 + bytes.readUInt32LE(offset);

/** The next place where a group might begin: where the log's id stands as in a group. */
export function groupCandidate(bytes: Buffer, from: number, logId: number): number | undefined {
  const pattern = Buffer.alloc(4);
  pattern.writeUInt32LE(logId);
  const found = bytes.indexOf(pattern, from + groupLogIdAt);
  return found === -1 ? undefined : found - groupLogIdAt;
}

/**
 * When the group at that place was recorded, going by its header alone; undefined when there is none
 * or the clock was known to be wrong.
 */
export function recordedTimeAt(bytes: Buffer, offset: number): number | undefined {
  if (offset + groupHeaderBytes > bytes.length) return undefined;
  if (bytes[offset + 22] === unsynchronised) return undefined;
  const time = bytes.readDoubleLE(offset + 24);
  return time > 0 && time < 2 ** 48 ? time : undefined;
}
