import type { CloudEvent, Draft, EventType } from '../event/event.ts';
import type { ClockQuality } from '../platform/clock.ts';

declare const positionBrand: unique symbol;
/** The place of an event in the log: 1 for the first ever, then without holes. 0 is before all. */
export type Position = number & { readonly [positionBrand]: true };

/** An event in its place, with the clocks as they stood when it was recorded. */
export type Entry<T extends EventType = EventType> = CloudEvent<T> & {
  readonly position: Position;
  /** The boot of the machine that recorded it; `monotonic` compares only within one boot. */
  readonly boot: string;
  /** Milliseconds since that boot began. */
  readonly monotonic: number;
  readonly clock: ClockQuality;
};

/** The one durable, ordered record of what happened. */
export interface EventLog {
  /**
   * Resolves with the last position once all the events would survive power loss; together or not
   * at all. Waits while there is no room. Never resolves once the log has failed. Rejects drafts that
   * together need more than 1 MiB or hold what no event may. They must not be changed afterwards:
   * readers may be given their very data.
   */
  append(drafts: readonly Draft[]): Promise<Position>;
  /** Reads from just behind `after`. Any number of readers, each at its own pace. */
  reader(after: Position): LogReader;
  /** The entries at these positions, which ascend: those that there are. Rejects when the disk does. */
  entriesAt(positions: readonly number[]): Promise<readonly Entry[]>;
  /** The oldest position still kept; `last + 1` when there is none. */
  readonly first: Position;
  /** The newest durable position. */
  readonly last: Position;
  /** Why there is no entry at a position from `first` on, or before it, where a reader has found none. */
  absence(position: number): Absence;
  /** Where positions without an entry are accounted for, ascending: readings were left out there. */
  readonly thinned: readonly { readonly from: number; readonly to: number }[];
  /** Bytes on disk. */
  readonly bytes: number;
  /** Whether something has been appended that is not durable yet. */
  readonly isAppending: boolean;
  /** Why events cannot be appended at the moment, if they cannot: a full disk, for instance. */
  readonly blocked: string | undefined;
  /** Resolves, with the reason, if the log can no longer be trusted with writes: the process must end. */
  readonly failed: Promise<Error>;
  /** Waits for what was appended, then closes the files. */
  close(): Promise<void>;
}

/** Why there is no entry at a position. */
export interface Absence {
  /**
   * `retention`: removed to keep within `log.maxBytes`; `thinned`: one of many readings that were left
   * out for the same reason; `damaged`: cannot be read.
   */
  readonly reason: 'retention' | 'thinned' | 'damaged';
  /** Up to here any other that is missing is so for the same reason; they need not all be. */
  readonly until: number;
}

export interface LogReader {
  /** The last position handed out, or the `after` it began with. */
  readonly position: Position;
  /**
   * From 1 to `limit` entries in order, durable ones only; waits when there are none yet. The first
   * entry is the next position, unless there is none: `EventLog.absence` says why.
   * Rejects with the signal's reason once that is aborted.
   */
  next(limit: number, signal: AbortSignal): Promise<readonly Entry[]>;
  /** Whether `next` would wait. */
  readonly caughtUp: boolean;
  close(): void;
}
