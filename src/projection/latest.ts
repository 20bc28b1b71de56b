import type { CloudEvent, Value } from '../event/event.ts';
import type { Projection, ProjectionState } from './projection.ts';

/** The last reading of a device and measurement. */
export interface LatestReading {
  readonly device: string;
  readonly measurement: string;
  /** When it was measured, and when the gateway learnt of it; milliseconds since the epoch. */
  readonly time: number;
  readonly recordedTime: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, Value>>;
}

export interface Latest extends Projection {
  /** All that are remembered, or those of one device; the longest unheard first. */
  readings(device?: string): readonly LatestReading[];
  /** Series remembered. */
  readonly size: number;
  /** Series that had to make room for others. */
  readonly forgotten: number;
}

const seriesMax = 10_000;
/** A device that was corrected may be later by the gateway's clock and earlier by its own. */
const lateMaxMs = 600_000;

/**
 * The last reading of every device and measurement, for displays. What a device sends late does not
 * hide what is newer, unless nothing newer came for ten minutes: then its clock was put right.
 */
export function createLatest(limit = seriesMax): Latest {
  const byDevice = new Map<string, Map<string, LatestReading>>();
  let size = 0;
  let forgotten = 0;

  const put = (reading: LatestReading): void => {
    const { device, measurement } = reading;
    const known = byDevice.get(device);
    const series = known ?? new Map<string, LatestReading>();
    if (!series.delete(measurement)) size++;
    series.set(measurement, reading);
    // To the end, so that the first is the device that was longest not heard.
    if (known !== undefined) byDevice.delete(device);
    byDevice.set(device, series);
    while (size > limit) forgetOne();
  };
  const forgetOne = (): void => {
    const [device, series] = byDevice.entries().next().value!;
    const [measurement] = series.keys();
    series.delete(measurement!);
    if (series.size === 0) byDevice.delete(device);
    size--;
    forgotten++;
  };
  return {
    name: 'latest',
    step(event) {
      if (event.type !== 'reading') return;
      const known = byDevice.get(event.subject)?.get(event.data.measurement);
      if (known === undefined || isNewer(event, known)) put(readingOf(event));
    },
    readings(device) {
      if (device !== undefined) return [...(byDevice.get(device)?.values() ?? [])];
      return [...byDevice.values()].flatMap((series) => [...series.values()]);
    },
    get size() {
      return size;
    },
    get forgotten() {
      return forgotten;
    },
    snapshot: () => ({
      version: 1,
      forgotten,
      readings: [...byDevice.values()].flatMap((series) => [...series.values()].map(savedOf)),
    }),
    restore(state) {
      byDevice.clear();
      size = 0;
      forgotten = 0;
      const saved = readState(state);
      for (const reading of saved.readings) put(reading);
      forgotten = saved.forgotten;
    },
  };
}

function isNewer(event: CloudEvent<'reading'>, known: LatestReading): boolean {
  return event.time >= known.time || event.recordedTime - known.recordedTime > lateMaxMs;
}

function readingOf(event: CloudEvent<'reading'>): LatestReading {
  const { measurement, tags, fields } = event.data;
  const { subject: device, time, recordedTime } = event;
  return { device, measurement, time, recordedTime, tags, fields };
}

/** A `bigint` is kept as an array of its digits' text: no other field is an array. */
function savedOf(reading: LatestReading): ProjectionState {
  const fields = Object.entries(reading.fields).map(([name, value]): [string, ProjectionState] => [
    name,
    typeof value === 'bigint' ? [`${value}`] : value,
  ]);
  return { ...reading, fields: Object.fromEntries(fields) };
}

function readState(state: ProjectionState): { forgotten: number; readings: LatestReading[] } {
  try {
    const { version, forgotten, readings } = state as unknown as {
      version: number;
      forgotten: number;
      readings: (Omit<LatestReading, 'fields'> & { fields: Record<string, Value | [string]> })[];
    };
    if (version === 1 && typeof forgotten === 'number') {
      return { forgotten, readings: readings.map(restored) };
    }
  } catch {
    // Forgotten, like any other shape that is not known.
  }
  return { forgotten: 0, readings: [] };
}

function restored(
  saved: Omit<LatestReading, 'fields'> & { fields: Record<string, Value | [string]> },
): LatestReading {
  const { device, measurement, time, recordedTime, tags } = saved;
  if (typeof device !== 'string' || typeof measurement !== 'string' || typeof time !== 'number') {
    throw new TypeError('Not a reading.');
  }
  const fields = Object.entries(saved.fields).map(([name, value]): [string, Value] => [
    name,
    Array.isArray(value) ? BigInt(value[0]) : value,
  ]);
  return { device, measurement, time, recordedTime, tags, fields: Object.fromEntries(fields) };
}
