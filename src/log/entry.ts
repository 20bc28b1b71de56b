import type { EventData, EventType, Extensions } from '../event/event.ts';
import type { ClockQuality } from '../platform/clock.ts';
import type { Entry } from './log.ts';

/** The clocks as they stood when an event was recorded. */
export interface Stamp {
  /** Whole milliseconds since the epoch. */
  readonly recordedTime: number;
  /** Whole milliseconds since the boot began. */
  readonly monotonic: number;
  readonly boot: string;
  readonly clock: ClockQuality;
}

/** Every entry is made here, so that they all have their properties in one order. */
export function entryOf(
  position: number,
  id: string,
  type: EventType,
  source: string,
  subject: string,
  time: number,
  data: EventData[EventType],
  extensions: Extensions | undefined,
  stamp: Stamp,
): Entry {
  const { recordedTime, monotonic, boot, clock } = stamp;
  return {
    position,
    id,
    type,
    source,
    subject,
    time,
    data,
    extensions,
    recordedTime,
    monotonic,
    boot,
    clock,
  } as unknown as Entry;
}

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const pairs: readonly string[] = Array.from(
  { length: 1024 },
  (_, number) => digits[number >> 5]! + digits[number & 31]!,
);
/** Positions that share all but the last two digits of their ids. */
const run = pairs.length;

/**
 * Names events that have no identity of their own, in the form of a ULID: 48 bits of the time of
 * recording in milliseconds, 32 bits of the log's random id, 48 bits of position.
 */
export class Ids {
  private readonly logId: number;
  private time = Number.NaN;
  private runAt = Number.NaN;
  private prefix = '';

  constructor(logId: number) {
    this.logId = logId;
  }

  idOf(recordedTime: number, position: number): string {
    const runAt = Math.floor(position / run);
    if (recordedTime !== this.time || runAt !== this.runAt) {
      this.time = recordedTime;
      this.runAt = runAt;
      this.prefix = prefixOf(recordedTime, this.logId, runAt);
    }
    return this.prefix + pairs[position % run]!;
  }
}

/** The first 24 of 26 digits: 50 bits of time, then log id and position but for its last 10 bits. */
function prefixOf(recordedTime: number, logId: number, runAt: number): string {
  const time = Math.min(Math.max(recordedTime, 0), 2 ** 48 - 1);
  const positionHigh = Math.floor(runAt / 2 ** 10);
  return (
    base32(Math.floor(time / 2 ** 20), 6) +
    base32(time % 2 ** 20, 4) +
    base32(logId >>> 2, 6) +
    base32((logId & 3) * 8 + Math.floor(positionHigh / 2 ** 25), 1) +
    base32(positionHigh % 2 ** 25, 5) +
    pairs[runAt % 2 ** 10]!
  );
}

function base32(value: number, length: number): string {
  let text = '';
  for (let rest = value, i = 0; i < length; i++) {
    text = digits[rest & 31]! + text;
    rest >>>= 5;
  }
  return text;
}
