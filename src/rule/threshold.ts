import type { AlertState, CloudEvent } from '../event/event.ts';
import { incidentOf } from './alert.ts';
import { noVerdicts, type Rule, type RuleKind, type Verdict } from './rule.ts';
import { createSeriesStore, type Series } from './series.ts';
import { type ThresholdOptions, thresholdOptions } from './threshold-options.ts';
import { createThresholdSummary } from './threshold-summary.ts';
import { createWhere, isHistorical } from './where.ts';

/**
 * Fires when a field has been beyond a bound for long enough, and resolves when it is back.
 *
 *   idle ──beyond──▶ pending ──held for `for`──▶ firing ──cleared──▶ idle
 *                       └──not beyond──▶ idle
 *
 * One incident at a time for each device and measurement. A value stands until the next: `for` also
 * runs out on the events of others and on heartbeats. Readings count in the order of the log, so
 * those that a device sends late are judged as if they were new; only `since` tells. Those that are
 * marked historical say nothing, unless `historical` is set. Nor does a reading without the field, or
 * with one that is no number.
 */
export const threshold = {
  options: thresholdOptions,
  create: (options, { name }) => createThreshold(options, name),
} as const satisfies RuleKind<typeof thresholdOptions>;

function createThreshold(options: ThresholdOptions, name: string): Rule {
  const { field, severity } = options;
  const { isBeyond, isBack, boundOf } = createBounds(options);
  const isWanted = createWhere(options.where);
  const { summaryOf, tagsOf } = createThresholdSummary(options, name);
  const store = createSeriesStore(options.for);

  const verdictOf = (
    series: Series,
    state: AlertState,
    value: number | bigint,
    cause: CloudEvent,
  ): Verdict => ({
    device: series.device,
    state,
    incident: series.incident!,
    severity,
    value,
    threshold: series.bound,
    since: series.since,
    summary: summaryOf(series, state, value),
    cause,
  });
  const note = (
    reading: CloudEvent<'reading'>,
    value: number | bigint,
    known: Series | undefined,
    elapsedMs: number,
  ): void => {
    if (known === undefined) {
      store.add({
        device: reading.subject,
        measurement: reading.data.measurement,
        since: reading.time,
        startedMs: elapsedMs,
        value,
        bound: boundOf(value),
        tags: tagsOf(reading),
        incident: undefined,
      });
    } else {
      known.value = value;
      known.bound = boundOf(value);
      known.tags = tagsOf(reading);
    }
  };
  /** What a reading says of its own series: only that it is back is said at once. */
  const look = (reading: CloudEvent<'reading'>, elapsedMs: number): Verdict | undefined => {
    const value = reading.data.fields[field];
    if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
    // Most readings are within bounds, and none of their kind has been beyond.
    const isHot = isBeyond(value);
    if (!isHot && store.size === 0) return undefined;
    const known = store.find(reading.subject, reading.data.measurement);
    if (!isHot && known === undefined) return undefined;
    if (isWanted !== undefined && !isWanted(reading)) return undefined;
    if (isHot) {
      note(reading, value, known, elapsedMs);
      return undefined;
    }
    const isFiring = known!.incident !== undefined;
    if (isFiring && !isBack(value)) return undefined;
    store.remove(known!);
    return isFiring ? verdictOf(known!, 'resolved', value, reading) : undefined;
  };
  const fireDue = (cause: CloudEvent, elapsedMs: number): Verdict[] =>
    store.takeDue(elapsedMs).map((series) => {
      series.incident = incidentOf(name, series.device, series.measurement, cause.id);
      return verdictOf(series, 'firing', series.value, cause);
    });
  return {
    name,
    step(event, elapsedMs) {
      // Nor is it the cause of anything: its time is not that of now.
      if (!options.historical && isHistorical(event)) return noVerdicts;
      const resolved = event.type === 'reading' ? look(event, elapsedMs) : undefined;
      if (store.mayBeDue(elapsedMs)) {
        const fired = fireDue(event, elapsedMs);
        return resolved === undefined ? fired : [resolved, ...fired];
      }
      return resolved === undefined ? noVerdicts : [resolved];
    },
    snapshot: store.snapshot,
    restore: store.restore,
  };
}

function createBounds(options: ThresholdOptions) {
  const { clearBelow, clearAbove } = options;
  const above = options.above ?? Infinity;
  const below = options.below ?? -Infinity;
  return {
    isBeyond: (value: number | bigint) => value > above || value < below,
    isBack: (value: number | bigint) =>
      (clearBelow === undefined ? value <= above : value < clearBelow) &&
      (clearAbove === undefined ? value >= below : value > clearAbove),
    boundOf: (value: number | bigint) => (value > above ? above : below),
  };
}
