import { lastingTypes } from './lasting.ts';
import type { Entry } from './log.ts';

/** Says which entries stay. Where there is a `look`, it is shown all of them before the first is asked for. */
export interface Selection {
  readonly look?: (entry: Entry) => void;
  stays(entry: Entry): boolean;
}

interface Extreme {
  least: number;
  leastAt: number;
  most: number;
  mostAt: number;
}

/** The extremes of the readings of one device that have one name, by the names of their fields. */
type Seen = Map<string, Extreme>;

/**
 * Of the readings of each device and measurement every `keepEvery`-th stays, from the first on, and
 * those that hold the lowest and the highest value of each of its fields; of the heartbeats every
 * `keepEvery`-th; and everything else.
 */
export function createThinning(keepEvery: number): Selection {
  const looked = new Map<string, Seen>();
  const counted = new Map<string, number>();
  let extremes: Set<number> | undefined;

  return {
    look(entry) {
      if (entry.type !== 'reading') return;
      const seen = seenOf(looked, seriesOf(entry));
      const { fields } = entry.data;
      for (const name in fields) {
        const value = fields[name];
        if (typeof value === 'number' || typeof value === 'bigint') {
          notice(seen, name, Number(value), entry.position);
        }
      }
    },
    stays(entry) {
      if (entry.type !== 'reading' && entry.type !== 'heartbeat') return true;
      extremes ??= new Set(positionsOf(looked.values()));
      const series = entry.type === 'reading' ? seriesOf(entry) : '';
      const count = counted.get(series) ?? 0;
      counted.set(series, count + 1);
      return count % keepEvery === 0 || extremes.has(entry.position);
    },
  };
}

/** What the gateway says itself stays, and what makes up its sessions; nothing else. */
export const strip: Selection = {
  stays: ({ type }) => lastingTypes.has(type) || type === 'session',
};

const seriesOf = ({ source, subject, data }: Entry<'reading'>): string =>
  `${source}\n${subject}\n${data.measurement}`;

function notice(fields: Map<string, Extreme>, name: string, value: number, at: number): void {
  const extreme = fields.get(name);
  if (extreme === undefined) {
    if (!Number.isNaN(value)) {
      fields.set(name, { least: value, leastAt: at, most: value, mostAt: at });
    }
    return;
  }
  if (value < extreme.least) {
    extreme.least = value;
    extreme.leastAt = at;
  }
  if (value > extreme.most) {
    extreme.most = value;
    extreme.mostAt = at;
  }
}

function* positionsOf(all: Iterable<Seen>): Generator<number> {
  for (const seen of all) {
    for (const { leastAt, mostAt } of seen.values()) {
      yield leastAt;
      yield mostAt;
    }
  }
}

function seenOf(looked: Map<string, Seen>, series: string): Seen {
  let seen = looked.get(series);
  if (seen === undefined) {
    seen = new Map();
    looked.set(series, seen);
  }
  return seen;
}
