import type { Document } from '../codec/codec.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import { inZone, type TimeUnit, timestampMsOf } from '../codec/timestamp.ts';
import type { Clock } from '../platform/clock.ts';
import type { Message } from '../source/source.ts';

/** Where a mapping looks for the time. */
export interface TimeOf {
  readonly path: Path;
  readonly unit: TimeUnit;
  readonly zone: string;
}

export function timeOf({ time }: IngestMapping): TimeOf | undefined {
  return time === undefined ? undefined : { ...time, path: parsePath(time.path) };
}

/** NaN for a claim that is no time; undefined where there is none. */
export function timeIn(
  document: Document,
  { path, unit, zone }: TimeOf,
  receivedAt: number,
): number | undefined {
  const claim = valueAt(document, path);
  if (claim === undefined || claim === null) return undefined;
  const ms = timestampMsOf(claim, unit);
  return zone === 'utc' ? ms : inZone(ms, claim, zone, receivedAt);
}

const year2000 = Date.UTC(2000, 0, 1);
const year2025 = Date.UTC(2025, 0, 1);
const year2100 = Date.UTC(2100, 0, 1);
const dayMs = 86_400_000;

/** What judging a claimed time needs. */
export interface TimeParts {
  readonly clock: Clock;
  /** A device named a time that cannot be; its reading stands at the time of arrival. */
  readonly onRefusedTime: () => void;
}

/**
 * The time a device claims, or else the time of arrival. Without a set clock it says a time of the
 * last century, and what lies ahead of a clock that is set must be wrong too.
 */
export function believable(claimed: number, { receivedAt }: Message, parts: TimeParts): number {
  if (claimed >= year2000 && claimed <= receivedAt + dayMs) return claimed;
  const isAhead = claimed > receivedAt && claimed < year2100;
  // The gateway may be the one that is wrong: this program is younger than 2025.
  const mayBeBehind = receivedAt < year2025 || parts.clock.quality() === 'unsynchronised';
  if (isAhead && mayBeBehind) return claimed;
  parts.onRefusedTime();
  return receivedAt;
}
