import { crc32 } from 'node:zlib';
import type { ClockQuality } from '../platform/clock.ts';
import type { Started } from './age.ts';
import {
  clockQualities,
  flagEncrypted,
  flagThinned,
  groupBytesMax,
  groupHeaderBytes,
  groupLengthMin,
  groupLogIdAt,
} from './format.ts';
import type { Keyring } from './keyring.ts';
import {
  drawNonce,
  groupPurpose,
  nonceBytes,
  type Sealing,
  sealInPlace,
  tagBytes,
  unseal,
} from './seal.ts';

/** A group whose checksum is right. */
export interface GroupPlace {
  readonly offset: number;
  /** Where the next one begins. */
  readonly end: number;
  readonly first: number;
  /** Events in it. */
  readonly count: number;
  /** Positions up to here have their place in it; those that have no event were left out. */
  readonly last: number;
  readonly flags: number;
  /** 0 when it is not encrypted. */
  readonly keyId: number;
  /** Of its first event, in milliseconds since the epoch. */
  readonly recordedTime: number;
  readonly clockUnsynchronised: boolean;
}

const unsynchronised = clockQualities.indexOf('unsynchronised');
const lastBytes = 6;
const keyIdBytes = 4;

const keyIdAt = (flags: number): number =>
  groupHeaderBytes + ((flags & flagThinned) !== 0 ? lastBytes : 0);

/** Where in a group with those flags the boot stands. */
export const bodyAtOf = (flags: number): number =>
  keyIdAt(flags) + ((flags & flagEncrypted) !== 0 ? keyIdBytes + nonceBytes : 0);

/** What comes behind the events. */
export const tagBytesOf = (flags: number): number => ((flags & flagEncrypted) !== 0 ? tagBytes : 0);

/** What a group says before its events. */
export interface GroupStart {
  readonly first: number;
  readonly logId: number;
  readonly flags: number;
  readonly clock: ClockQuality;
  readonly recordedTime: number;
  readonly monotonic: number;
}

/** Writes what is known when a group begins; there must be room for `bodyAtOf` its flags. */
export function writeGroupStart(bytes: Buffer, at: number, start: GroupStart): void {
  bytes.writeUIntLE(start.first, at + 8, 6);
  bytes.writeUInt32LE(start.logId, at + groupLogIdAt);
  bytes.writeUInt16LE(start.flags, at + 20);
  bytes[at + 22] = clockQualities.indexOf(start.clock);
  bytes[at + 23] = 0;
  bytes.writeDoubleLE(start.recordedTime, at + 24);
  bytes.writeDoubleLE(start.monotonic, at + 32);
}

/**
 * Completes the group of `count` events that ends at `end`, up to position `last`; returns where it
 * ends then. There must be room for `tagBytesOf` its flags behind the end.
 */
export function finishGroup(
  bytes: Buffer,
  at: number,
  end: number,
  { count, last, sealing }: { count: number; last: number; sealing: Sealing | undefined },
): number {
  const flags = bytes.readUInt16LE(at + 20);
  const whole = end + tagBytesOf(flags);
  bytes.writeUInt32LE(whole - at - 8, at);
  bytes.writeUInt16LE(count, at + 14);
  if ((flags & flagThinned) !== 0) bytes.writeUIntLE(last, at + groupHeaderBytes, lastBytes);
  if ((flags & flagEncrypted) !== 0 && sealing !== undefined) {
    const nonceAt = at + keyIdAt(flags) + keyIdBytes;
    bytes.writeUInt32LE(sealing.key.id, nonceAt - keyIdBytes);
    drawNonce(sealing.random, bytes, nonceAt);
    const logId = bytes.readUInt32LE(at + groupLogIdAt);
    const first = bytes.readUIntLE(at + 8, 6);
    sealInPlace(bytes, nonceAt + nonceBytes, end, {
      key: sealing.key.derived(groupPurpose(logId, first)),
      nonce: bytes.subarray(nonceAt, nonceAt + nonceBytes),
      authenticated: bytes.subarray(at + 8, nonceAt),
    });
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(at + 8, whole)), at + 4);
  return whole;
}

/** The bytes of a group's boot and events; throws what `Keyring.keyOf` and `unseal` throw. */
export function bodyOf(bytes: Buffer, place: GroupPlace, keys: Keyring): Buffer {
  const { offset, end, flags, keyId, first } = place;
  const at = offset + bodyAtOf(flags);
  if (keyId === 0) return bytes.subarray(at, end);
  const key = keys.keyOf(keyId, `the group of position ${first}`);
  return unseal(bytes.subarray(at, end), {
    key: key.derived(groupPurpose(bytes.readUInt32LE(offset + groupLogIdAt), first)),
    nonce: bytes.subarray(at - nonceBytes, at),
    authenticated: bytes.subarray(offset + 8, at - nonceBytes),
  });
}

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
  const flags = bytes.readUInt16LE(offset + 20);
  if (bodyAtOf(flags) + tagBytesOf(flags) > 8 + length) return undefined;
  const first = bytes.readUIntLE(offset + 8, 6);
  const count = bytes.readUInt16LE(offset + 14);
  const isThinned = (flags & flagThinned) !== 0;
  return {
    offset,
    end,
    first,
    count,
    last: isThinned ? bytes.readUIntLE(offset + groupHeaderBytes, lastBytes) : first + count - 1,
    flags,
    keyId: (flags & flagEncrypted) !== 0 ? bytes.readUInt32LE(offset + keyIdAt(flags)) : 0,
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
 * When the group at that place was recorded, by both clocks, going by its header alone: the wall clock is
 * undefined when it was known to be wrong, both are when there is no group.
 */
export function startedOf(bytes: Buffer, offset: number): Started {
  const none = { startedAt: undefined, startedMonotonic: undefined };
  if (offset + groupHeaderBytes > bytes.length) return none;
  const time = bytes.readDoubleLE(offset + 24);
  const monotonic = bytes.readDoubleLE(offset + 32);
  const isSensible = (each: number): boolean => each >= 0 && each < 2 ** 48;
  // No group begins at no time, but one that only says that nothing is left.
  if (!isSensible(monotonic) || !isSensible(time) || (time === 0 && monotonic === 0)) return none;
  const isWrong = bytes[offset + 22] === unsynchronised || time === 0;
  return { startedAt: isWrong ? undefined : time, startedMonotonic: monotonic };
}
