import type { Cursor } from '../log/cursor.ts';
import type { Position } from '../log/log.ts';
import { onAbort } from '../platform/aborting.ts';
import {
  added,
  type Books,
  fromState,
  type Range,
  sizeOf,
  type Tally,
  toState,
  waitingOf,
} from './account.ts';

/** More outages than this in one backlog, and what is missed next is delivered in its order. */
export const rangesMax = 16;

/** A place in the log that something is delivered from. */
export interface LanePart {
  /** Everything up to and including this is done with. */
  readonly position: Position;
  /** The last position that is this part's; infinite for live delivery. */
  readonly end: number;
  /** Moves on, with what became of every position in between; `drop` is where they were dropped. */
  commit(position: Position, tally: Tally, drop?: Range): void;
}

/**
 * Where a lane is and what became of all it has passed. Usually it is in one place. After an outage
 * live delivery goes on at the end of the log and what was missed drains beside it.
 */
export interface LanePlace {
  readonly name: string;
  readonly live: LanePart;
  /** The oldest of what drains beside live delivery. */
  readonly backlog: LanePart | undefined;
  /** Resolves once there is a backlog; rejects with the signal's reason. */
  untilBacklog(signal: AbortSignal): Promise<void>;
  /**
   * Leaves everything up to `to` to the backlog; durable when it resolves with true. False when that
   * cannot be: then nothing has changed.
   */
  split(to: Position): Promise<boolean>;
  /** While a split is becoming durable; what is delivered meanwhile might be delivered again. */
  readonly splitting: Promise<unknown> | undefined;
  /** Positions that are not done with yet. */
  waiting(last: number): number;
  books(): Books;
}

/** The lane whose place is saved with that cursor; `save` saves cursors at once. */
export function openLane(
  cursor: Cursor,
  last: Position,
  save: () => Promise<void> = async () => {},
): LanePlace {
  const saved = fromState(cursor.name, cursor.position, cursor.state);
  let { reached, account } = saved;
  const backlog = [...saved.backlog];
  let splitting: Promise<unknown> | undefined;
  let wake: (() => void) | undefined;

  const books = (): Books => ({
    reader: cursor.name,
    reached,
    backlog: backlog.map((range) => ({ ...range })),
    account,
  });
  const snapshot = () => toState({ reached, backlog, account });
  /** All that is saved changes between two awaits, so that every snapshot is of one moment. */
  const moved = (): void => {
    const position = backlog.length > 0 ? backlog[0]!.from - 1 : reached;
    cursor.commit(Math.max(position, cursor.position) as Position, snapshot);
  };

  if (reached > last) {
    // The log is older than it was: positions that were passed will stand for other events.
    const passed = reached - account.start - sizeOf(backlog);
    reached = last;
    for (const range of backlog) range.to = Math.min(range.to, last);
    while (backlog.length > 0 && backlog.at(-1)!.from > last) backlog.pop();
    account = { ...account, start: reached - sizeOf(backlog) - passed };
    moved();
  }
  const live: LanePart = {
    get position() {
      return reached as Position;
    },
    end: Number.POSITIVE_INFINITY,
    commit(position, tally, drop) {
      reached = position;
      account = added(account, tally, drop);
      moved();
    },
  };
  const partOf = (range: Range): LanePart => ({
    get position() {
      return (range.from - 1) as Position;
    },
    get end() {
      return range.to;
    },
    commit(position, tally, drop) {
      range.from = position + 1;
      if (range.from > range.to) backlog.shift();
      account = added(account, tally, drop);
      moved();
    },
  });
  const splitAt = async (to: Position): Promise<boolean> => {
    const former = reached;
    const newest = backlog.at(-1);
    // Never grows the range that is being drained, so that it can be undone.
    if (newest !== undefined && newest !== backlog[0] && newest.to === former) newest.to = to;
    else backlog.push({ from: former + 1, to });
    reached = to;
    moved();
    try {
      await save();
      return true;
    } catch {
      const range = backlog.at(-1)!;
      range.to = former;
      if (range.from > range.to) backlog.pop();
      reached = former;
      moved();
      return false;
    }
  };

  return {
    name: cursor.name,
    live,
    get backlog() {
      return backlog.length === 0 ? undefined : partOf(backlog[0]!);
    },
    async untilBacklog(signal) {
      while (backlog.length === 0 || splitting !== undefined) {
        signal.throwIfAborted();
        await new Promise<void>((resolve, reject) => {
          const settled = onAbort(signal, () => reject(signal.reason));
          wake = () => {
            wake = undefined;
            settled();
            resolve();
          };
        });
      }
    },
    async split(to) {
      if (splitting !== undefined || backlog.length >= rangesMax || to <= reached) return false;
      const done = splitAt(to);
      splitting = done;
      try {
        return await done;
      } finally {
        splitting = undefined;
        wake?.();
      }
    },
    get splitting() {
      return splitting;
    },
    waiting: (newest) => sizeOf(waitingOf(books(), newest)),
    books,
  };
}
