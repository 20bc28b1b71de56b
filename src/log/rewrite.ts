import type { Draft } from '../event/event.ts';
import type { Disk } from '../platform/disk.ts';
import { Ids } from './entry.ts';
import { EventDecoder } from './event-decoder.ts';
import { EventEncoder } from './event-encoder.ts';
import {
  bootBytesOf,
  flagEncrypted,
  flagThinned,
  groupBytesMax,
  groupBytesWanted,
  groupCountMax,
} from './format.ts';
import { bodyAtOf, finishGroup, tagBytesOf, writeGroupStart } from './group.ts';
import type { Keyring } from './keyring.ts';
import type { Entry } from './log.ts';
import type { Segment } from './recovery.ts';
import type { Thinning } from './retention.ts';
import type { Sealing } from './seal.ts';
import { encodeSegmentHeader } from './segment-header.ts';
import { SegmentReader } from './segment-reader.ts';
import type { Selection } from './thin.ts';

const entriesAtATime = 500;
const deltaMax = 2 ** 31 - 1;

/** A segment as it would be with only some of its entries. */
export interface Rewritten {
  readonly bytes: Buffer;
  /** Entries that stay. */
  readonly kept: number;
}

/**
 * Reads a segment whose last position is `last`, and gives the bytes of one that holds what the
 * selection leaves of it, under the same positions. What is damaged is left out. Holds at most what
 * stays, and a chunk of what is read.
 */
export async function rewritten(
  segment: Segment,
  last: number,
  selection: Selection,
  thinning: Thinning,
  parts: { readonly disk: Disk; readonly keys: Keyring; readonly sealing: Sealing | undefined },
): Promise<Rewritten> {
  const { first, logId } = segment;
  const keyId = parts.sealing?.key.id ?? 0;
  const writer = new ThinnedWriter(logId, first, parts.sealing);
  writer.header(encodeSegmentHeader({ first, logId, keyId, thinning }));
  const { look } = selection;
  if (look !== undefined) {
    for await (const entries of entriesOf(segment, parts)) entries.forEach(look);
  }
  let kept = 0;
  for await (const entries of entriesOf(segment, parts)) {
    for (const entry of entries) {
      if (!selection.stays(entry)) continue;
      writer.add(entry);
      kept++;
    }
  }
  return { bytes: writer.finish(last), kept };
}

async function* entriesOf(
  segment: Segment,
  { disk, keys }: { readonly disk: Disk; readonly keys: Keyring },
): AsyncGenerator<readonly Entry[]> {
  const groups = new SegmentReader(
    disk,
    segment,
    () => segment.bytes,
    () => {},
  );
  const events = new EventDecoder(segment.logId, keys);
  for (let group = await groups.next(); group !== undefined; group = await groups.next()) {
    try {
      events.open(groups.bytes, group);
      while (events.remaining > 0) {
        const entries: Entry[] = [];
        events.take(entriesAtATime, 0, entries);
        yield entries;
      }
    } catch {
      // Whoever reads it is told of the damage; here it is lost with the rest.
    }
  }
}

/** Writes groups in which positions have holes. */
class ThinnedWriter {
  private readonly encoder = new EventEncoder(Buffer.allocUnsafeSlow(2 ** 16));
  private readonly logId: number;
  private readonly ids: Ids;
  private readonly sealing: Sealing | undefined;
  private readonly flags: number;
  /** Where the open group begins; -1 when none is. */
  private groupAt = -1;
  private count = 0;
  private next: number;
  private before: Entry | undefined;

  constructor(logId: number, first: number, sealing: Sealing | undefined) {
    this.logId = logId;
    this.ids = new Ids(logId);
    this.sealing = sealing;
    this.flags = sealing === undefined ? flagThinned : flagThinned | flagEncrypted;
    this.next = first;
  }

  header(bytes: Uint8Array): void {
    this.encoder.raw(bytes);
  }

  add(entry: Entry): void {
    const { encoder } = this;
    if (!this.fits(entry)) this.begin(entry);
    const { at } = encoder;
    this.write(entry);
    const bytes = encoder.at + tagBytesOf(this.flags) - this.groupAt;
    if (bytes > groupBytesMax && this.count > 0) {
      // It does not fit behind what is in the group already; it does into one of its own.
      encoder.at = at;
      this.begin(entry);
      this.write(entry);
    }
    this.count++;
    this.next = entry.position + 1;
    this.before = entry;
  }

  private write(entry: Entry): void {
    const { encoder } = this;
    const { recordedTime, monotonic } = this.before!;
    encoder.varint(entry.position - this.next);
    encoder.event(
      this.draftOf(entry),
      entry.recordedTime,
      entry.recordedTime - recordedTime,
      entry.monotonic - monotonic,
    );
  }

  /** Even where nothing stays, a group says up to which position something was. */
  finish(last: number): Buffer {
    const { encoder } = this;
    if (this.groupAt === -1) this.beginAt(this.next, undefined);
    this.close(last);
    return encoder.bytes.subarray(0, encoder.at);
  }

  private fits(entry: Entry): boolean {
    const { before, encoder } = this;
    if (this.groupAt === -1 || before === undefined) return false;
    return (
      encoder.at - this.groupAt < groupBytesWanted &&
      this.count < groupCountMax &&
      entry.boot === before.boot &&
      entry.clock === before.clock &&
      Math.abs(entry.recordedTime - before.recordedTime) < deltaMax &&
      Math.abs(entry.monotonic - before.monotonic) < deltaMax &&
      entry.position - this.next < deltaMax
    );
  }

  private begin(entry: Entry): void {
    if (this.groupAt !== -1) this.close(entry.position - 1);
    this.beginAt(entry.position, entry);
  }

  private beginAt(first: number, entry: Entry | undefined): void {
    const { encoder, flags, logId } = this;
    const { at } = encoder;
    const clock = entry?.clock ?? 'unknown';
    const recordedTime = entry?.recordedTime ?? 0;
    const monotonic = entry?.monotonic ?? 0;
    encoder.reserve(bodyAtOf(flags));
    writeGroupStart(encoder.bytes, at, { first, logId, flags, clock, recordedTime, monotonic });
    encoder.at = at + bodyAtOf(flags);
    encoder.raw(bootBytesOf(entry?.boot ?? ''));
    encoder.beginTables();
    this.groupAt = at;
    this.count = 0;
    this.next = first;
    this.before = entry;
  }

  private close(last: number): void {
    const { encoder, groupAt, count, sealing } = this;
    encoder.reserve(tagBytesOf(this.flags));
    encoder.at = finishGroup(encoder.bytes, groupAt, encoder.at, { count, last, sealing });
    this.groupAt = -1;
  }

  private draftOf(entry: Entry): Draft {
    const { id, recordedTime, position } = entry;
    return id === this.ids.idOf(recordedTime, position)
      ? ({ ...entry, id: undefined } as unknown as Draft)
      : entry;
  }
}
