import type { Draft } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';
import type { Started } from './age.ts';
import { entryOf, Ids, type Stamp } from './entry.ts';
import { EventEncoder } from './event-encoder.ts';
import {
  bootBytesOf,
  flagEncrypted,
  groupBytesMax,
  groupBytesWanted,
  groupCountMax,
  rewriteBytes,
} from './format.ts';
import { bodyAtOf, finishGroup, tagBytesOf, writeGroupStart } from './group.ts';
import type { Entry, Position } from './log.ts';
import type { Sealing } from './seal.ts';

/** The wall clock may stray this far from the monotonic one before a new group says where it is. */
const strayMaxMs = 20;
/** Buffers that have grown larger in a burst are not kept. */
const keptBytesMax = 2 ** 20;
const bufferBytes = 2 ** 16;

/** A group of a batch that is ready to be written. */
export interface BatchGroup extends Started {
  /** Where it ends in the bytes of its batch. */
  readonly end: number;
  readonly last: number;
}

/** Events to be recorded together, and who waits for that. */
export interface Append {
  readonly drafts: readonly Draft[];
  readonly resolve: (position: Position) => void;
  readonly reject: (reason: unknown) => void;
}

/** What one commit takes: whole groups, their entries, and who waits for them. */
export interface Batch {
  readonly bytes: Buffer;
  readonly groups: readonly BatchGroup[];
  readonly entries: readonly Entry[];
  /** In order, … */
  readonly appends: readonly Append[];
  /** … and what each resolves with. */
  readonly ends: readonly Position[];
}

/** An append that is too large for a group. */
export class AppendTooLarge extends RangeError {
  override readonly name = 'AppendTooLarge';
}

/** Gathers appends into groups while the batch before is being written. */
export class BatchWriter {
  private readonly encoder = new EventEncoder(Buffer.allocUnsafeSlow(bufferBytes));
  private spare: Buffer | undefined;
  private readonly logId: number;
  private readonly clock: Clock;
  private readonly bootBytes: Uint8Array;
  private readonly ids: Ids;
  private readonly sealing: Sealing | undefined;
  private readonly flags: number;
  private groups: BatchGroup[] = [];
  private entries: Entry[] = [];
  private ends: Position[] = [];
  private appends: Append[] = [];
  /** Where the open group begins; -1 when none is. */
  private groupAt = -1;
  private groupFirst = 0;
  private stamp: Stamp;
  /** The stamp the open group began with. */
  private base: Stamp;
  private next: number;

  /** `next` is the position of the first event to come. Groups are in plain without `sealing`. */
  constructor(logId: number, clock: Clock, next: number, sealing?: Sealing) {
    this.sealing = sealing;
    this.flags = sealing === undefined ? 0 : flagEncrypted;
    this.logId = logId;
    this.clock = clock;
    this.bootBytes = bootBytesOf(clock.boot);
    this.ids = new Ids(logId);
    this.next = next;
    this.stamp = { recordedTime: 0, monotonic: 0, boot: clock.boot, clock: 'unknown' };
    this.base = this.stamp;
  }

  /** Bytes gathered so far. */
  get bytes(): number {
    return this.encoder.at;
  }
  get isEmpty(): boolean {
    return this.ends.length === 0;
  }

  /**
   * Adds the events of one append to one group. Throws `AppendTooLarge`, or what the encoder throws
   * for data no event may carry; then nothing of the append is kept.
   */
  add(append: Append): void {
    const { drafts } = append;
    const advanceMs = this.groupFor(drafts.length);
    if (!this.tryAdd(drafts, advanceMs)) {
      // It does not fit behind what is in the group already; it may fit into one of its own.
      this.begin();
      if (!this.tryAdd(drafts, 0)) {
        throw new AppendTooLarge(`an append needs more than ${groupBytesMax} bytes`);
      }
    }
    this.ends.push((this.next - 1) as Position);
    this.appends.push(append);
  }

  /** Hands over everything gathered, and begins anew. The bytes are valid until `recycle`. */
  take(): Batch {
    this.closeGroup();
    const { groups, entries, ends, appends, encoder } = this;
    const batch: Batch = {
      bytes: encoder.bytes.subarray(0, encoder.at),
      groups,
      entries,
      appends,
      ends,
    };
    this.groups = [];
    this.entries = [];
    this.ends = [];
    this.appends = [];
    encoder.use(this.spare ?? Buffer.allocUnsafeSlow(bufferBytes));
    this.spare = undefined;
    return batch;
  }

  /** Forgets everything gathered: positions go on from `next`. Returns who waited for it. */
  giveBack(next: number): readonly Append[] {
    const { appends } = this.take();
    this.next = next;
    return appends;
  }

  /** Takes back the buffer of a batch that has been written. */
  recycle(batch: Batch): void {
    const { buffer } = batch.bytes;
    if (buffer.byteLength <= keptBytesMax) this.spare = Buffer.from(buffer);
  }

  /** Makes sure of a group that can take so many events, and says by how much its clocks advance. */
  private groupFor(count: number): number {
    if (count > groupCountMax) {
      throw new AppendTooLarge(`an append has more than ${groupCountMax} events`);
    }
    if (
      this.groupAt === -1 ||
      this.encoder.at - this.groupAt >= groupBytesWanted ||
      this.next - this.groupFirst + count > groupCountMax
    ) {
      this.begin();
      return 0;
    }
    const advanceMs = Math.floor(this.clock.monotonic()) - this.stamp.monotonic;
    // Within a millisecond the wall clock is not worth a look.
    if (advanceMs === 0 || this.isSteady(advanceMs)) return advanceMs;
    this.begin();
    return 0;
  }

  /** Whether the wall clock has moved as the monotonic one has. */
  private isSteady(advanceMs: number): boolean {
    const stray = this.clock.now() - this.stamp.recordedTime - advanceMs;
    return stray <= strayMaxMs && stray >= -strayMaxMs;
  }

  private tryAdd(drafts: readonly Draft[], advanceMs: number): boolean {
    const { encoder, entries } = this;
    const { at } = encoder;
    const first = this.next;
    const known = entries.length;
    const before = this.stamp;
    if (advanceMs > 0) {
      const { recordedTime, monotonic, boot, clock } = before;
      const moved = recordedTime + advanceMs;
      this.stamp = { recordedTime: moved, monotonic: monotonic + advanceMs, boot, clock };
    }
    try {
      this.encode(drafts, advanceMs);
      const bytes = encoder.at + tagBytesOf(this.flags) - this.groupAt;
      if (bytes <= groupBytesMax - rewriteBytes) return true;
    } catch (error) {
      this.takeBack(at, first, known, before);
      throw error;
    }
    this.takeBack(at, first, known, before);
    return false;
  }

  private encode(drafts: readonly Draft[], advanceMs: number): void {
    const { encoder, entries, stamp, ids } = this;
    const { recordedTime } = stamp;
    for (let i = 0; i < drafts.length; i++) {
      const draft = drafts[i]!;
      encoder.event(draft, recordedTime, i === 0 ? advanceMs : 0);
      const position = this.next++;
      const id = draft.id ?? ids.idOf(recordedTime, position);
      const { type, source, subject, time, data, extensions } = draft;
      entries.push(entryOf(position, id, type, source, subject, time, data, extensions, stamp));
    }
  }

  /** The tables of the group may name what is no longer there, so it is closed. */
  private takeBack(at: number, first: number, known: number, stamp: Stamp): void {
    this.encoder.at = at;
    this.next = first;
    this.entries.length = known;
    this.stamp = stamp;
    this.closeGroup();
  }

  private begin(): void {
    this.closeGroup();
    const recordedTime = Math.floor(this.clock.now());
    const monotonic = Math.floor(this.clock.monotonic());
    const { encoder } = this;
    const { at } = encoder;
    const clock = this.clock.quality();
    const { flags, logId, next: first } = this;
    encoder.reserve(bodyAtOf(flags));
    writeGroupStart(encoder.bytes, at, { first, logId, flags, clock, recordedTime, monotonic });
    encoder.at = at + bodyAtOf(flags);
    encoder.raw(this.bootBytes);
    encoder.beginTables();
    this.groupAt = at;
    this.groupFirst = this.next;
    this.stamp = { recordedTime, monotonic, boot: this.clock.boot, clock };
    this.base = this.stamp;
  }

  private closeGroup(): void {
    if (this.groupAt === -1) return;
    const { encoder, groupAt, base } = this;
    const count = this.next - this.groupFirst;
    this.groupAt = -1;
    if (count === 0) {
      encoder.at = groupAt;
      return;
    }
    encoder.reserve(tagBytesOf(this.flags));
    const last = this.next - 1;
    encoder.at = finishGroup(encoder.bytes, groupAt, encoder.at, {
      count,
      last,
      sealing: this.sealing,
    });
    this.groups.push({
      end: encoder.at,
      last,
      startedAt: base.clock === 'unsynchronised' ? undefined : base.recordedTime,
      startedMonotonic: base.monotonic,
    });
  }
}
