import type { Clock } from '../platform/clock.ts';

/** When the first group of a segment was recorded, by both clocks. */
export interface Started {
  /** Milliseconds since the epoch; undefined for a clock that was known to be wrong. */
  readonly startedAt: number | undefined;
  /** Milliseconds since the machine started; undefined where nothing has been recorded. */
  readonly startedMonotonic: number | undefined;
}

/** By then whoever sets the clock after a start has set it. */
export const settledMs = 3_600_000;

/**
 * Tells how old the segments of a log are at least, oldest first; undefined while that is not known.
 *
 * A wall clock that is stepped makes nothing old. Within a boot the monotonic clock counts. Across boots
 * only wall clocks can: then the latest beginning that any segment gives for its boot is taken, the
 * earliest that has been seen of this one, and this one must have been running for an hour. Boots are
 * told apart by a monotonic clock that went back; two that look like one only make segments seem younger.
 */
export function createAges(clock: Clock): (segments: readonly Started[]) => (number | undefined)[] {
  let began = Number.POSITIVE_INFINITY;
  return (segments) => {
    const monotonic = clock.monotonic();
    if (clock.quality() !== 'unsynchronised') began = Math.min(began, clock.now() - monotonic);
    const runs = runsOf(segments);
    const current = runs.at(-1);
    const isCurrent = current !== undefined && current.last <= monotonic;
    const begun = isCurrent ? Math.min(began, current.earliest) : began;
    const ages: (number | undefined)[] = new Array(segments.length).fill(undefined);
    /** When all that has been looked at had begun, by the clock of this boot; before it, negative. */
    let endedAt: number | undefined;
    for (let i = segments.length - 1, run = runs.length - 1; i >= 0; i--) {
      ages[i] = endedAt === undefined ? undefined : Math.max(0, monotonic - endedAt);
      const { startedMonotonic } = segments[i]!;
      if (startedMonotonic === undefined) continue;
      while (runs[run]!.from > i) run--;
      if (isCurrent && run === runs.length - 1) endedAt = startedMonotonic;
      else if (monotonic >= settledMs && Number.isFinite(begun + runs[run]!.latest)) {
        endedAt = Math.min(startedMonotonic + runs[run]!.latest - begun, endedAt ?? Infinity);
      }
    }
    return ages;
  };
}

/** Segments of one boot, or of several that cannot be told apart. */
interface Run {
  /** The first of them. */
  readonly from: number;
  /** The newest time of its monotonic clock. */
  last: number;
  /** When it began by its wall clock, as it was at different times; infinite where that is not known. */
  earliest: number;
  latest: number;
}

function runsOf(segments: readonly Started[]): Run[] {
  const runs: Run[] = [];
  segments.forEach(({ startedAt, startedMonotonic }, from) => {
    if (startedMonotonic === undefined) return;
    let run = runs.at(-1);
    if (run === undefined || startedMonotonic < run.last) {
      run = { from, last: startedMonotonic, earliest: Infinity, latest: -Infinity };
      runs.push(run);
    }
    run.last = startedMonotonic;
    if (startedAt === undefined) return;
    run.earliest = Math.min(run.earliest, startedAt - startedMonotonic);
    run.latest = Math.max(run.latest, startedAt - startedMonotonic);
  });
  return runs;
}
