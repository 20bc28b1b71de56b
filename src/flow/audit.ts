import type { Entry } from '../log/log.ts';
import {
  type Books,
  common,
  imbalanceOf,
  merged,
  type Range,
  sizeOf,
  waitingOf,
} from './account.ts';

/** The books of all lanes, and the log that they are about, at one moment. */
export interface LogBooks {
  /** The oldest position that is kept. */
  readonly first: number;
  readonly last: number;
  /** Where readings were left out to make room: what is missing there is accounted for. */
  readonly thinned?: readonly Range[];
  readonly lanes: readonly Books[];
}

/** What became of all events that a sink, or one of its lanes, was to have. */
export interface Balance {
  /** Recorded since the lane began, and selected; where it is not known any more, all. */
  readonly received: number;
  readonly delivered: number;
  readonly waiting: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: number;
  /** `received` less all the others: 0, or something was lost without anybody saying so. */
  readonly difference: number;
  /** Of those that wait: what drains beside live delivery. Positions, selected or not. */
  readonly backlog: number;
  /** Where events were dropped. */
  readonly drops: readonly Range[];
  /** Where events should wait, and are not in the log. */
  readonly missing: readonly Range[];
}

export interface LaneBalance extends Balance {
  readonly reader: string;
}

export interface Audit {
  /** Ranges of the log, ascending, that have to be given to `add`: everything that waits. */
  readonly unread: readonly Range[];
  /** Counts entries of the log; in order, each once, what is not wanted too. */
  add(entries: readonly Entry[]): void;
  lanes(): readonly LaneBalance[];
}

/** Counts what waits, which takes reading it, and balances it against the books. */
export function createAudit(
  { first, last, thinned = [], lanes }: LogBooks,
  acceptsOf: (reader: string) => ((entry: Entry) => boolean) | undefined,
): Audit {
  const counts = lanes.map((books) => ({
    books,
    waiting: waitingOf(books, last),
    accepts: acceptsOf(books.reader) ?? (() => true),
    wanted: 0,
    unwanted: 0,
    thinned: 0,
  }));
  const seen: Range[] = [];
  /** There may be as many holes as entries: where readings were left out they are only counted. */
  const bridges = (from: number, to: number): boolean => {
    if (!thinned.some((range) => from >= range.from && to <= range.to)) return false;
    for (const count of counts) count.thinned += sizeOf(common([{ from, to }], count.waiting));
    return true;
  };

  return {
    unread: merged(counts.flatMap(({ waiting }) => waiting)),
    add(entries) {
      for (const entry of entries) {
        const { position } = entry;
        const newest = seen.at(-1);
        const follows = newest !== undefined && newest.to < position;
        if (follows && (newest.to + 1 === position || bridges(newest.to + 1, position - 1))) {
          newest.to = position;
        } else if (newest === undefined || newest.to < position) {
          seen.push({ from: position, to: position });
        } else continue;
        for (const count of counts) {
          if (!isIn(position, count.waiting)) continue;
          if (count.accepts(entry)) count.wanted++;
          else count.unwanted++;
        }
      }
    },
    lanes: () =>
      counts.map((count) => {
        const { books, waiting, wanted, unwanted } = count;
        const { account, backlog, reached, reader } = books;
        const absent = without(waiting, seen);
        // The lane has not come to it, but it will be told as dropped when it does.
        const gone = common(absent, [{ from: 0, to: first - 1 }, ...thinned]);
        const missing = common(without(absent, thinned), [{ from: first, to: last }]);
        const { delivered, rejected, expired } = account;
        const passed = reached - account.start - sizeOf(backlog);
        return {
          reader,
          received: passed - account.unwanted + sizeOf(waiting) - unwanted,
          ...{ delivered, rejected, expired, waiting: wanted },
          dropped: account.dropped + sizeOf(gone) + count.thinned,
          difference: imbalanceOf(books) + sizeOf(missing),
          backlog: sizeOf(backlog),
          drops: merged([...account.drops, ...gone]),
          missing,
        };
      }),
  };
}

/** The lanes of one sink together. What both of them lack is one event, which one of them wanted. */
export function sumOf(lanes: readonly Balance[]): Balance {
  const sum = (of: (each: Balance) => number) => lanes.reduce((all, each) => all + of(each), 0);
  const drops = merged(lanes.flatMap((each) => each.drops));
  const missing = merged(lanes.flatMap((each) => each.missing));
  const missingTwice = sum((each) => sizeOf(each.missing)) - sizeOf(missing);
  // Readings left out one by one have no ranges; the lane that is further behind has come past most of them.
  const droppedOnce = Math.max(sizeOf(drops), ...lanes.map(({ dropped }) => dropped));
  const droppedTwice = sum(({ dropped }) => dropped) - droppedOnce;
  return {
    received: sum(({ received }) => received) - droppedTwice - missingTwice,
    delivered: sum(({ delivered }) => delivered),
    waiting: sum(({ waiting }) => waiting),
    rejected: sum(({ rejected }) => rejected),
    expired: sum(({ expired }) => expired),
    dropped: droppedOnce,
    difference: sum(({ difference }) => difference) - missingTwice,
    backlog: sum(({ backlog }) => backlog),
    drops,
    missing,
  };
}

/** How many were dropped that `drops` does not name: left out here and there in a stretch that was thinned. */
export const unrangedOf = ({ dropped, drops }: Pick<Balance, 'dropped' | 'drops'>): number =>
  Math.max(0, dropped - sizeOf(drops));

function isIn(position: number, ranges: readonly Range[]): boolean {
  for (const { from, to } of ranges) if (position >= from && position <= to) return true;
  return false;
}

/** The positions of the first that are not in the second. */
function without(ranges: readonly Range[], taken: readonly Range[]): Range[] {
  const left: Range[] = [];
  for (const { from, to } of ranges) {
    let at = from;
    for (const other of taken) {
      if (other.to < at || other.from > to) continue;
      if (other.from > at) left.push({ from: at, to: other.from - 1 });
      at = other.to + 1;
    }
    if (at <= to) left.push({ from: at, to });
  }
  return left;
}
