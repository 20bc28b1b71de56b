import type { Draft } from '../../src/event/event.ts';
import type { CursorStore } from '../../src/log/cursor.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import type { Keyring } from '../../src/log/keyring.ts';
import type { Entry, EventLog, LogReader, Position } from '../../src/log/log.ts';
import { createReserve } from '../../src/log/reserve.ts';
import { type LogOptions, openEventLog } from '../../src/log/segment-log.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Disk } from '../../src/platform/disk.ts';
import type { LogFields, Logger } from '../../src/platform/logger.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import type { SimDisk } from '../sim/disk.ts';

/** Keeps what is said, to be asserted upon. */
export interface Heard extends Logger {
  readonly lines: {
    readonly level: keyof Logger;
    readonly fields: LogFields;
    readonly message: string;
  }[];
  messages(level: keyof Logger): string[];
}

export function createHeard(): Heard {
  const lines: Heard['lines'] = [];
  const hear = (level: keyof Logger) => (fields: LogFields, message: string) => {
    lines.push({ level, fields, message });
  };
  return {
    lines,
    messages: (level) => lines.filter((each) => each.level === level).map((each) => each.message),
    error: hear('error'),
    warn: hear('warn'),
    info: hear('info'),
    debug: hear('debug'),
  };
}

export interface Opened {
  readonly log: EventLog;
  readonly cursors: CursorStore;
  readonly logger: Heard;
  readonly metrics: Metrics;
  readonly clock: SimClock;
}

const roomy: LogOptions = { maxBytes: 2 ** 30, whenFull: 'dropOldest', commitDelayMs: 0 };

/** A log and its cursors on that disk, as a gateway opens them. */
export async function openLog<C extends Clock = SimClock>(
  disk: Disk,
  options: Partial<LogOptions> = {},
  clock: C = new SimClock() as unknown as C,
  keys?: Keyring,
): Promise<Omit<Opened, 'clock'> & { readonly clock: C }> {
  const logger = createHeard();
  const metrics = createMetrics();
  const random = seededRandom(7);
  const parts = { disk, clock, logger, metrics, random, ...(keys === undefined ? {} : { keys }) };
  const cursors = await openCursorStore(parts);
  const log = await openEventLog(
    {
      ...parts,
      readers: () => cursors.all,
      newest: cursors.newest,
    },
    { ...roomy, ...options },
  );
  return { log, cursors, logger, metrics, clock };
}

export const reserveBytes = 2 ** 14;

/** A log and its cursors that share a reserve, as a gateway opens them. */
export async function openReserved(
  disk: SimDisk,
  options: Partial<LogOptions> = {},
  clock = new SimClock(),
) {
  const logger = createHeard();
  const metrics = createMetrics();
  const reserve = createReserve({ disk, logger }, reserveBytes);
  const parts = { disk, clock, random: seededRandom(7), logger, metrics, reserve };
  const cursors = await openCursorStore(parts);
  const log = await openEventLog(
    { ...parts, readers: () => cursors.all, newest: cursors.newest },
    { ...roomy, whenFull: 'refuseNew', reserveBytes, ...options },
  );
  return { log, cursors, logger, metrics, reserve, clock, disk };
}

/** A reading that carries its number. */
export const readingOf = (number: number, time = 1_795_000_000_000 + number): Draft<'reading'> => ({
  type: 'reading',
  source: '/gateways/test/broker',
  subject: `device-${number % 7}`,
  time,
  data: { measurement: 'climate', tags: { site: 'north' }, fields: { number, celsius: 21.53 } },
});

export const readingsOf = (from: number, count: number): Draft<'reading'>[] =>
  Array.from({ length: count }, (_, i) => readingOf(from + i));

export const numberOf = (entry: Entry): number =>
  entry.type === 'reading' ? (entry.data.fields.number as number) : Number.NaN;

export const positionOf = (position: number): Position => position as Position;

export const never = new AbortController().signal;

/** Everything durable behind `after`, in bites of `limit`. */
export async function readAll(log: EventLog, after = 0, limit = 100): Promise<Entry[]> {
  const reader = log.reader(positionOf(after));
  const entries = await readToEnd(reader, limit);
  reader.close();
  return entries;
}

export async function readToEnd(reader: LogReader, limit = 100): Promise<Entry[]> {
  const entries: Entry[] = [];
  while (!reader.caughtUp) entries.push(...(await reader.next(limit, never)));
  return entries;
}

/** Notes whether a promise has settled, without waiting for it. */
export function watch<T>(promise: Promise<T>): { value?: T; error?: unknown; settled: boolean } {
  const state: { value?: T; error?: unknown; settled: boolean } = { settled: false };
  promise.then(
    (value) => {
      state.value = value;
      state.settled = true;
    },
    (error: unknown) => {
      state.error = error;
      state.settled = true;
    },
  );
  return state;
}
