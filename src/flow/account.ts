/**
 * THE BOOKS OF A LANE, saved as the state of its cursor, so that no kill can part them from its place.
 *
 *   { "version": 1, "reached": 900, "backlog": [[301, 640]],
 *     "account": { "start": 0, "delivered": …, "rejected": …, "unrecorded": …, "expired": …,
 *                  "dropped": …, "unwanted": …, "drops": [[101, 180]] } }
 *
 * Positions are inclusive. `reached` is how far live delivery is, `backlog` what drains beside it,
 * oldest first. At every moment that is saved
 *
 *   reached − start − positions in backlog = delivered + rejected + expired + dropped + unwanted
 */
import type { Json } from '../log/cursor.ts';

/** Positions, both ends inclusive. */
export interface Range {
  from: number;
  to: number;
}

/** What became of some positions. */
export interface Tally {
  readonly delivered?: number;
  readonly rejected?: number;
  /** Of those rejected, how many were rejections themselves: there is no event of them. */
  readonly unrecorded?: number;
  readonly expired?: number;
  /** No longer in the log when their turn came: whatever they were. */
  readonly dropped?: number;
  /** Not selected by the sink, or carried by another of its lanes. */
  readonly unwanted?: number;
}

export interface Account extends Required<Tally> {
  /** The lane began behind this position. */
  readonly start: number;
  /** Which positions were dropped: the newest, at most 64 ranges of them. */
  readonly drops: readonly Range[];
}

/** A lane at one moment. */
export interface Books {
  /** `<sink>/<lane>`. */
  readonly reader: string;
  readonly reached: number;
  readonly backlog: readonly Range[];
  readonly account: Account;
}

export const dropsMax = 64;
const version = 1;

export function createAccount(start: number): Account {
  const none = { delivered: 0, rejected: 0, unrecorded: 0, expired: 0, dropped: 0, unwanted: 0 };
  return { start, ...none, drops: [] };
}

/** The account with so much more in it; `drop` is the range that a tally of dropped ones is about. */
export function added(account: Account, tally: Tally, drop?: Range): Account {
  return {
    start: account.start,
    delivered: account.delivered + (tally.delivered ?? 0),
    rejected: account.rejected + (tally.rejected ?? 0),
    unrecorded: account.unrecorded + (tally.unrecorded ?? 0),
    expired: account.expired + (tally.expired ?? 0),
    dropped: account.dropped + (tally.dropped ?? 0),
    unwanted: account.unwanted + (tally.unwanted ?? 0),
    drops: drop === undefined ? account.drops : merged([...account.drops, drop]).slice(-dropsMax),
  };
}

export const sizeOf = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);

/** The same positions, ascending, in as few ranges as possible. */
export function merged(ranges: readonly Range[]): Range[] {
  const all: Range[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else all.push({ from, to });
  }
  return all;
}

/** The positions that are in both. */
export function common(some: readonly Range[], others: readonly Range[]): Range[] {
  const found: Range[] = [];
  for (const one of some) {
    for (const other of others) {
      const from = Math.max(one.from, other.from);
      const to = Math.min(one.to, other.to);
      if (from <= to) found.push({ from, to });
    }
  }
  return merged(found);
}

/** What the lane has yet to pass, up to the newest position of the log. */
export function waitingOf({ backlog, reached }: Books, last: number): Range[] {
  return last > reached ? [...backlog, { from: reached + 1, to: last }] : [...backlog];
}

/** Positions passed less what is accounted for: 0 unless the books are wrong. */
export function imbalanceOf({ reached, backlog, account }: Books): number {
  const { start, delivered, rejected, expired, dropped, unwanted } = account;
  const passed = reached - start - sizeOf(backlog);
  return passed - (delivered + rejected + expired + dropped + unwanted);
}

export function toState({ reached, backlog, account }: Omit<Books, 'reader'>): Json {
  const pairs = (ranges: readonly Range[]): Json => ranges.map(({ from, to }) => [from, to]);
  const drops = pairs(account.drops);
  return { version, reached, backlog: pairs(backlog), account: { ...account, drops } };
}

/**
 * The books that were saved as the state of a cursor. A cursor without any, or with those of another
 * version, begins them at its position.
 */
export function fromState(reader: string, position: number, state: Json): Books {
  const saved = state as {
    version: number;
    reached: number;
    backlog: [number, number][];
    account: Account & { drops: [number, number][] };
  } | null;
  if (saved?.version !== version) {
    return { reader, reached: position, backlog: [], account: createAccount(position) };
  }
  const ranges = (pairs: [number, number][]) => pairs.map(([from, to]) => ({ from, to }));
  const account = { ...saved.account, drops: ranges(saved.account.drops) };
  return { reader, reached: saved.reached, backlog: ranges(saved.backlog), account };
}
