import type { Range } from '../flow/account.ts';
import { type Balance, type LaneBalance, type LogBooks, sumOf, unrangedOf } from '../flow/audit.ts';
import type { Disagreement, Recount } from '../flow/recount.ts';

/** What `tidegate audit` has found; what it prints with --json. */
export interface AuditReport {
  readonly folder: string;
  /** Whether the books are those of a running gateway, and not those on the disk. */
  readonly isRunning: boolean;
  readonly first: number;
  readonly last: number;
  /** Lanes whose cursors are damaged: what these books lack. */
  readonly unread: readonly string[];
  readonly sinks: readonly (Balance & {
    readonly sink: string;
    readonly lanes: readonly LaneBalance[];
  })[];
  readonly total: Omit<Balance, 'drops' | 'missing'>;
  readonly recount?: {
    readonly impossible: readonly string[];
    readonly disagreements: readonly Disagreement[];
  };
}

export function reportOf(
  lanes: readonly LaneBalance[],
  about: {
    readonly folder: string;
    readonly isRunning: boolean;
    readonly unread: readonly string[];
    readonly books: LogBooks;
    readonly recount: Recount | undefined;
  },
): AuditReport {
  const names = [...new Set(lanes.map(({ reader }) => sinkOf(reader)))];
  const sinks = names.map((sink) => {
    const its = lanes.filter(({ reader }) => sinkOf(reader) === sink);
    return { sink, ...sumOf(its), lanes: its };
  });
  const { folder, isRunning, unread, books, recount } = about;
  const { first, last } = books;
  return {
    ...{ folder, isRunning, first, last, unread, sinks },
    total: totalOf(sinks),
    ...(recount === undefined
      ? {}
      : {
          recount: {
            impossible: recount.impossible,
            disagreements: recount.disagreements(),
          },
        }),
  };
}

const sinkOf = (reader: string): string => reader.split('/')[0]!;

/** Sinks lose the same event each for itself, so theirs are added up as they are. */
function totalOf(sinks: readonly Balance[]): AuditReport['total'] {
  const total = { received: 0, delivered: 0, waiting: 0, rejected: 0, expired: 0, dropped: 0 };
  const sum = { ...total, difference: 0, backlog: 0 };
  for (const each of sinks) {
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += each[name];
  }
  return sum;
}

/** Whether every event is accounted for, in books that are whole. */
export function isBalanced({ sinks, unread, recount }: AuditReport): boolean {
  if (unread.length > 0) return false;
  const isEven = sinks.every(({ lanes }) => lanes.every(({ difference }) => difference === 0));
  return isEven && (recount === undefined || recount.disagreements.length === 0);
}

const columns = [
  'received',
  'delivered',
  'waiting',
  'rejected',
  'expired',
  'dropped',
  'difference',
] as const;

/** A table for people, and below it what is remarkable. */
export function tableOf(report: AuditReport): string {
  const rows = [
    ['sink', ...columns],
    ...report.sinks.map((each) => [each.sink, ...columns.map((name) => `${each[name]}`)]),
    ['total', ...columns.map((name) => `${report.total[name]}`)],
  ];
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const lines = rows.map(([name, ...cells]) =>
    [name!.padEnd(widths[0]!), ...cells.map((cell, at) => cell.padStart(widths[at + 1]!))].join(
      '  ',
    ),
  );
  return `${[...lines, ...remarksOf(report)].join('\n')}\n`;
}

function* remarksOf({ sinks, unread, recount }: AuditReport): Generator<string> {
  for (const reader of unread) {
    yield `${reader}: its cursor could not be read (the file cursors is damaged). The books are INCOMPLETE.`;
  }
  for (const { sink, backlog, drops, lanes, dropped } of sinks) {
    if (backlog > 0) {
      yield `${sink}: ${backlog} positions that were missed drain beside what is new.`;
    }
    for (const range of drops) {
      yield `${sink}: ${positions(range)} dropped: no longer in the log when their turn came.`;
    }
    const unranged = unrangedOf({ dropped, drops });
    if (unranged > 0) {
      yield `${sink}: ${unranged} more dropped, left out one by one to make room; tidegate log stat and tidegate log export --type gap name the stretches.`;
    }
    for (const { reader, missing, difference } of lanes) {
      for (const range of missing) {
        yield `${reader}: ${positions(range)} MISSING: they should wait in the log, and are not there.`;
      }
      const rest = difference - missing.reduce((sum, { from, to }) => sum + to - from + 1, 0);
      if (rest !== 0) {
        yield `${reader}: the books do not balance by ${rest} events. This is a defect of Tidegate.`;
      }
    }
  }
  const received = new Set(sinks.map((each) => each.received));
  if (received.size > 1 && sinks.some(({ drops }) => drops.length > 0)) {
    yield 'What was dropped counts as received, whether a sink would have wanted it or not: see above.';
  }
  if (recount === undefined) return;
  for (const { reader, what, books, log } of recount.disagreements) {
    yield `${reader}: the books say ${books} ${what}, the log says ${log}.`;
  }
  for (const reader of recount.impossible) {
    yield `${reader}: not counted again, because the log does not go back to its beginning.`;
  }
  if (recount.disagreements.length === 0) yield 'Counted again from the log: it agrees.';
}

function positions({ from, to }: Range): string {
  return from === to
    ? `position ${from} (1 event)`
    : `positions ${from} to ${to} (${to - from + 1} events)`;
}
