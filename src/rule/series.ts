import { z } from 'zod';
import type { RuleState } from './rule.ts';

/** A device and measurement for which a condition holds; those within bounds are not remembered. */
export interface Series {
  readonly device: string;
  readonly measurement: string;
  /** When the condition was first seen to hold; milliseconds since the epoch. */
  readonly since: number;
  /** The same in the log's time. */
  readonly startedMs: number;
  value: number | bigint;
  /** The bound that `value` is beyond. */
  bound: number;
  /** Only what the summary asks for. */
  tags: Readonly<Record<string, string>>;
  /** Undefined while pending. */
  incident: string | undefined;
}

/** Conditions that hold at once; beyond it a new one is not seen, and is counted. */
export const seriesMax = 100_000;

/** All conditions of a rule that hold, pending and firing. */
export interface SeriesStore {
  readonly size: number;
  find(device: string, measurement: string): Series | undefined;
  add(series: Series): void;
  remove(series: Series): void;
  /** Whether something may have been pending for `holdMs`. Cheap. */
  mayBeDue(elapsedMs: number): boolean;
  /** Takes out of pending what has been so for `holdMs`, the oldest first. */
  takeDue(elapsedMs: number): readonly Series[];
  snapshot(): RuleState;
  restore(state: RuleState): void;
}

export function createSeriesStore(holdMs: number, limit = seriesMax): SeriesStore {
  const byDevice = new Map<string, Map<string, Series>>();
  /** In the order in which they are due: `holdMs` is the same for all, and time does not go back. */
  const pending = new Set<Series>();
  let size = 0;
  let refused = 0;
  /** Nothing is due before. */
  let dueMs = Infinity;

  const add = (series: Series): void => {
    if (size >= limit) {
      refused++;
      return;
    }
    let ofDevice = byDevice.get(series.device);
    if (ofDevice === undefined) {
      ofDevice = new Map();
      byDevice.set(series.device, ofDevice);
    }
    ofDevice.set(series.measurement, series);
    size++;
    if (series.incident !== undefined) return;
    pending.add(series);
    dueMs = Math.min(dueMs, series.startedMs + holdMs);
  };
  return {
    get size() {
      return size;
    },
    find: (device, measurement) => byDevice.get(device)?.get(measurement),
    add,
    remove(series) {
      const ofDevice = byDevice.get(series.device)!;
      ofDevice.delete(series.measurement);
      if (ofDevice.size === 0) byDevice.delete(series.device);
      pending.delete(series);
      size--;
    },
    mayBeDue: (elapsedMs) => dueMs <= elapsedMs,
    takeDue(elapsedMs) {
      const due: Series[] = [];
      dueMs = Infinity;
      for (const series of pending) {
        dueMs = series.startedMs + holdMs;
        if (dueMs > elapsedMs) break;
        dueMs = Infinity;
        due.push(series);
      }
      for (const series of due) pending.delete(series);
      return due;
    },
    snapshot() {
      const all = [...byDevice.values()].flatMap((ofDevice) => [...ofDevice.values()]);
      const firing = all.filter(({ incident }) => incident !== undefined);
      // Pending ones in the order in which they are due, which is the order they go back in.
      return { version: 1, refused, series: [...firing, ...pending].map(savedOf) };
    },
    restore(state) {
      byDevice.clear();
      pending.clear();
      size = 0;
      dueMs = Infinity;
      const saved = readState(state);
      refused = saved.refused;
      for (const series of saved.series) add(series);
    },
  };
}

/** A `bigint` is kept as text: JSON has none. */
function savedOf(series: Series): RuleState {
  const { device, measurement, since, startedMs, value, bound, tags, incident } = series;
  const kept = typeof value === 'bigint' ? `${value}` : value;
  return [device, measurement, since, startedMs, kept, bound, tags, incident ?? null];
}

const savedState = z.object({
  version: z.literal(1),
  refused: z.number(),
  series: z.array(
    z.tuple([
      z.string(),
      z.string(),
      z.number(),
      z.number(),
      z.union([z.number(), z.string().regex(/^-?\d+$/)]),
      z.number(),
      z.record(z.string(), z.string()),
      z.string().nullable(),
    ]),
  ),
});

function readState(state: RuleState): { refused: number; series: Series[] } {
  const saved = savedState.safeParse(state);
  if (!saved.success) return { refused: 0, series: [] };
  const series = saved.data.series.map(
    ([device, measurement, since, startedMs, value, bound, tags, incident]): Series => ({
      device,
      measurement,
      since,
      startedMs,
      value: typeof value === 'string' ? BigInt(value) : value,
      bound,
      tags,
      incident: incident ?? undefined,
    }),
  );
  return { refused: saved.data.refused, series };
}
