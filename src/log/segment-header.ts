import { crc32 } from 'node:zlib';
import { GatewayError } from '../platform/errors.ts';
import {
  flagEncrypted,
  flagRethinned,
  flagStripped,
  flagThinned,
  formatVersion,
  magic,
  segmentFlagsKnown,
  segmentHeaderBytes,
} from './format.ts';
import type { Thinning } from './retention.ts';

/** What a segment says of itself. */
export interface SegmentHeader {
  readonly first: number;
  readonly logId: number;
  /** The key its groups are sealed with; 0 when they are in plain. */
  readonly keyId: number;
  readonly thinning: Thinning;
}

const folder = 'log';
const nameForm = /^(\d{20})\.seg$/;

export const segmentFolder = folder;
export const segmentPathOf = (first: number): string =>
  `${folder}/${String(first).padStart(20, '0')}.seg`;

/** The first position a segment is named after; undefined for any other file. */
export function firstOfName(name: string): number | undefined {
  const digits = nameForm.exec(name)?.[1];
  const first = digits === undefined ? Number.NaN : Number(digits);
  return first >= 1 && first < 2 ** 48 ? first : undefined;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  magic.copy(bytes);
  bytes.writeUInt16LE(formatVersion, 8);
  const { keyId, thinning } = header;
  let flags = keyId === 0 ? 0 : flagEncrypted;
  if (thinning !== 'none') flags |= flagThinned;
  if (thinning === 'stripped') flags |= flagStripped;
  if (thinning === 'rethinned') flags |= flagRethinned;
  bytes.writeUInt16LE(flags, 10);
  bytes.writeUIntLE(header.first, 12, 6);
  bytes.writeUInt32LE(header.logId, 20);
  bytes.writeUInt32LE(keyId, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

/**
 * Undefined for what is not a whole segment header. Throws GW_LOG_UNSUPPORTED for one that is whole
 * and newer than we are.
 */
export function decodeSegmentHeader(path: string, bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes || !magic.equals(bytes.subarray(0, 8))) return undefined;
  if (bytes.readUInt32LE(28) !== crc32(bytes.subarray(0, 28))) return undefined;
  const version = bytes.readUInt16LE(8);
  const flags = bytes.readUInt16LE(10);
  if (version > formatVersion || (flags & ~segmentFlagsKnown) !== 0) {
    throw new GatewayError(
      'GW_LOG_UNSUPPORTED',
      `${path} has version ${version} and flags ${flags}, this is version ${formatVersion}`,
    );
  }
  return {
    first: bytes.readUIntLE(12, 6),
    logId: bytes.readUInt32LE(20),
    keyId: (flags & flagEncrypted) !== 0 ? bytes.readUInt32LE(24) : 0,
    thinning: thinningOf(flags),
  };
}

function thinningOf(flags: number): Thinning {
  if ((flags & flagThinned) === 0) return 'none';
  if ((flags & flagStripped) !== 0) return 'stripped';
  return (flags & flagRethinned) !== 0 ? 'rethinned' : 'thinned';
}
