import { messageOf } from '../platform/errors.ts';
import { type ActiveSegment, createActiveSegment, roomFor } from './active-segment.ts';
import type { Started } from './age.ts';
import {
  createEviction,
  type EvictionParts,
  type EvictionRule,
  type GiveUp,
  type Shelf,
} from './eviction.ts';
import { segmentHeaderBytes } from './format.ts';
import type { Recovered, Segment } from './recovery.ts';
import { encodeSegmentHeader, segmentFolder, segmentPathOf } from './segment-header.ts';
import { final, isNoRoom, isWeather } from './weather.ts';

/** Tries of one urgent write, each with more of the reserve. */
const attemptsMax = 3;

export interface StoreRule extends EvictionRule {
  readonly segmentBytes: number;
  /** How much more than `maxBytes` the log may hold of what only the gateway can say. */
  readonly reserveBytes?: number;
}

/** Bytes of whole groups, to be written to one segment. */
export interface Part extends Started {
  readonly bytes: Uint8Array;
  readonly first: number;
  readonly last: number;
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
   * Resolves with true when the part would survive power loss, with false when there is no room for
   * it or no leave to write at the moment. What is `urgent` may use the reserve. Rejects when the disk
   * can no longer be trusted.
   */
  write(part: Part, urgent: boolean): Promise<boolean>;
  /** Drops what has become too old, and sets room aside again. */
  expire(): Promise<void>;
  close(): Promise<void>;
}

export function createSegmentStore(
  recovered: Recovered & { readonly logId: number },
  rule: StoreRule,
  parts: EvictionParts,
): SegmentStore {
  const { disk, logger, metrics, reserve } = parts;
  const { segments, logId } = recovered;
  const keyId = parts.sealing?.key.id ?? 0;
  const lengthMax = rule.segmentBytes;
  const bytesHeld = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const shelf: Shelf = { segments, bytes: bytesHeld, last: recovered.last, active: undefined };
  const eviction = createEviction(shelf, rule, parts);
  let active: ActiveSegment | undefined;
  const activate = (next: ActiveSegment | undefined): void => {
    active = next;
    shelf.active = next?.segment;
  };
  if (recovered.active !== undefined) {
    const segment = segments.at(-1)!;
    const { bytes: length } = segment;
    activate(createActiveSegment(disk, recovered.active, segment, { length, lengthMax }));
  }
  let blocked: string | undefined;
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
    void reserve.fill();
  };

  const retain = async (wanted: number, maxBytes: number, giveUp: GiveUp): Promise<boolean> => {
    const { fits, gaveUp } = await eviction.makeRoom(wanted, maxBytes, giveUp);
    if (gaveUp) mayGiveUpUnseen = false;
    return fits;
  };
  /** Makes room within so many bytes; false when there can be none at the moment. */
  const makeRoom = async (wanted: number, maxBytes: number): Promise<boolean> => {
    if (shelf.bytes + wanted <= maxBytes) return true;
    if (await retain(wanted, maxBytes, 'all')) return true;
    const held = active?.segment.bytes ?? 0;
    const mayGo = rule.whenFull !== 'refuseNew' || eviction.doneWith() >= shelf.last;
    if (held > segmentHeaderBytes && mayGo) {
      await retire();
      if (await retain(wanted, maxBytes, 'all')) return true;
    }
    // What is too large even for an empty log must not wait for ever.
    return shelf.bytes <= segmentHeaderBytes;
  };

  const retire = async (): Promise<void> => {
    await active?.retire();
    activate(undefined);
  };

  /** The new file and its name are durable before anything in it can be acknowledged. */
  const roll = async (first: number): Promise<void> => {
    await retire();
    const path = segmentPathOf(first);
    const header = encodeSegmentHeader({ first, logId, keyId, thinning: 'none' });
    const file = await disk.open(path);
    try {
      if (file.size > 0) await file.truncate(0);
      await file.append(header);
      await file.extend(roomFor(header.length, lengthMax));
      await final(file.sync());
      await final(disk.syncFolder(segmentFolder));
    } catch (error) {
      await file.close();
      throw error;
    }
    metrics.writtenBytes.inc(header.length);
    if (segments.at(-1)?.first === first) shelf.bytes -= segments.pop()!.bytes;
    const segment: Segment = {
      ...{ first, path, logId, keyId, thinning: 'none' },
      ...{ bytes: header.length, version: 0, rewriting: undefined },
      ...{ startedAt: undefined, startedMonotonic: undefined },
    };
    segments.push(segment);
    shelf.bytes += header.length;
    const length = roomFor(header.length, lengthMax);
    activate(createActiveSegment(disk, file, segment, { length, lengthMax }));
    if (rule.maxAgeMs !== undefined) await retain(0, rule.maxBytes, 'nothing');
  };

  const isFull = (wanted: number): boolean => {
    if (active === undefined) return true;
    const held = active.segment.bytes;
    return held > segmentHeaderBytes && held + wanted > rule.segmentBytes;
  };

  const append = async (part: Part): Promise<void> => {
    if (isFull(part.bytes.length)) await roll(part.first);
    const { segment } = active!;
    await active!.append(part.bytes);
    if (segment.startedMonotonic === undefined) {
      segment.startedAt = part.startedAt;
      segment.startedMonotonic = part.startedMonotonic;
    }
    shelf.bytes += part.bytes.length;
    shelf.last = part.last;
    metrics.writtenBytes.inc(part.bytes.length);
    metrics.logBytes.set(shelf.bytes);
  };

  /** What was spent of the reserve goes before what can wait. */
  const repay = async (): Promise<void> => {
    if (!reserve.isOwed) return;
    const error = await reserve.fill();
    if (!reserve.isOwed) return;
    throw error ?? Object.assign(new Error('ENOSPC: the disk is full'), { code: 'ENOSPC' });
  };

  /** What can be done about it when writing failed: whether to try again at once. */
  const giveWay = async (error: unknown, part: Part, urgent: boolean): Promise<boolean> => {
    if (!isWeather(error)) throw error;
    block(messageOf(error));
    await active?.release();
    if (!isNoRoom(error)) return false;
    // One byte too much: something goes, if it may.
    await retain(0, shelf.bytes - 1, mayGiveUpUnseen ? 'one' : 'nothing');
    return urgent && (await reserve.spend(part.bytes.length));
  };

  metrics.logBytes.set(shelf.bytes);
  return {
    segments,
    get bytes() {
      return shelf.bytes;
    },
    get blocked() {
      return blocked;
    },
    roomFor(wanted) {
      const held = isFull(wanted) ? segmentHeaderBytes : active!.segment.bytes;
      return rule.segmentBytes - held;
    },
    async write(part, urgent) {
      for (let attempt = 1; ; attempt++) {
        try {
          const maxBytes = rule.maxBytes + (urgent ? (rule.reserveBytes ?? 0) : 0);
          if (!(await makeRoom(part.bytes.length, maxBytes))) {
            block('the log holds log.maxBytes of events that readers have not done with');
            return false;
          }
          if (!urgent) await repay();
          await append(part);
          if (!urgent) {
            mayGiveUpUnseen = true;
            unblock();
          }
          return true;
        } catch (error) {
          const again = await giveWay(error, part, urgent).catch((each: unknown) => {
            // The reserve lies on the same disk.
            if (isWeather(each)) return false;
            throw each;
          });
          if (!again || attempt === attemptsMax) return false;
        }
      }
    },
    async expire() {
      if (rule.maxAgeMs !== undefined) await retain(0, rule.maxBytes, 'nothing');
      await reserve.fill();
    },
    async close() {
      await retire();
    },
  };
}
