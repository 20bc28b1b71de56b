import type { Entry } from '../log/log.ts';
import { type Books, merged, type Range, sizeOf } from './account.ts';
import type { LogBooks } from './audit.ts';

/** Something the books say and the log does not. */
export interface Disagreement {
  readonly reader: string;
  readonly what: 'passed' | 'rejected' | 'dropped';
  readonly books: number;
  readonly log: number;
}

export interface Recount {
  /** Lanes that began before the oldest event that is kept: they cannot be counted again. */
  readonly impossible: readonly string[];
  /** Counts entries of the log, from its beginning and in order. */
  add(entries: readonly Entry[]): void;
  disagreements(): readonly Disagreement[];
}

interface Count {
  readonly books: Books;
  readonly sink: string;
  readonly accepts: (entry: Entry) => boolean;
  passed: number;
  gaps: Range[];
}

/**
 * Counts from the log alone what the books say of it: what each lane has passed and wanted, which
 * rejections there are events of, and which gaps.
 */
export function createRecount(
  { first, lanes }: LogBooks,
  acceptsOf: (reader: string) => ((entry: Entry) => boolean) | undefined,
): Recount {
  const possible = lanes.filter(({ account }) => first <= account.start + 1);
  const counts = possible.map(
    (books): Count => ({
      books,
      sink: books.reader.split('/')[0]!,
      accepts: acceptsOf(books.reader) ?? (() => true),
      passed: 0,
      gaps: [],
    }),
  );
  const rejected = new Map<string, number>();

  return {
    impossible: lanes.filter((each) => !possible.includes(each)).map(({ reader }) => reader),
    add(entries) {
      for (const entry of entries) {
        if (entry.type === 'rejected') {
          const { sink } = entry.data;
          rejected.set(sink, (rejected.get(sink) ?? 0) + 1);
        }
        for (const count of counts) {
          const { books } = count;
          if (entry.type === 'gap' && entry.data.reader === books.reader) {
            const { from, to } = entry.data;
            count.gaps = merged([...count.gaps, { from, to }]);
          }
          if (isPassed(entry.position, books) && count.accepts(entry)) count.passed++;
        }
      }
    },
    disagreements() {
      const found: Disagreement[] = [];
      for (const { books, passed, gaps } of counts) {
        const { reader, account } = books;
        const sum = account.delivered + account.rejected + account.expired;
        if (passed > sum) found.push({ reader, what: 'passed', books: sum, log: passed });
        const dropped = sizeOf(gaps);
        if (dropped < account.dropped) {
          found.push({ reader, what: 'dropped', books: account.dropped, log: dropped });
        }
      }
      return [...found, ...rejectionsWithoutEvent(counts, rejected)];
    },
  };
}

const isPassed = (position: number, { reached, backlog, account }: Books): boolean =>
  position > account.start &&
  position <= reached &&
  !backlog.some(({ from, to }) => position >= from && position <= to);

/** A rejection is recorded before it is counted, so there may be more events, never fewer. */
function* rejectionsWithoutEvent(
  counts: readonly Count[],
  rejected: ReadonlyMap<string, number>,
): Generator<Disagreement> {
  for (const sink of new Set(counts.map((count) => count.sink))) {
    const lanes = counts.filter((count) => count.sink === sink);
    const counted = lanes.reduce(
      (sum, { books: { account } }) => sum + account.rejected - account.unrecorded,
      0,
    );
    const told = rejected.get(sink) ?? 0;
    if (told < counted) yield { reader: sink, what: 'rejected', books: counted, log: told };
  }
}
