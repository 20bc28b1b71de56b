import { type CloudEvent, type Draft, severities } from '../event/event.ts';
import { isRedriven } from '../event/redelivery.ts';
import type { Cursor, Json } from '../log/cursor.ts';
import type { Entry, EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Rule, Verdict } from '../rule/rule.ts';
import { follow, followedAtOnce } from './follow.ts';
import { recordGap } from './gap.ts';

export interface EvaluateParts {
  readonly gateway: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Between two heartbeats; a longer silence of the log means that nobody was listening. */
  readonly heartbeatMs: number;
}

/**
 * All rules read the log through one cursor and append what they conclude. An alert's id is made
 * from its cause, and what was concluded before a crash is not said again after it.
 */
export async function evaluate(
  rules: readonly Rule[],
  cursor: Cursor,
  parts: EvaluateParts,
  signal: AbortSignal,
): Promise<void> {
  const time = createLogTime(2 * parts.heartbeatMs);
  restore(cursor.state, rules, time);
  const snapshot = (): Json => ({
    time: time.snapshot(),
    rules: Object.fromEntries(rules.map((rule) => [rule.name, rule.snapshot()])),
  });
  const said = await alertsBehind(cursor.position, parts.log, signal);
  await follow(
    parts.log,
    cursor,
    async (entries) => {
      const news: Draft[] = [];
      for (const entry of entries) {
        const elapsedMs = time.step(entry);
        if (entry.type !== 'reading' && entry.type !== 'heartbeat') continue;
        if (isRedriven(entry)) continue;
        for (const rule of rules) {
          for (const verdict of rule.step(entry, elapsedMs)) {
            const alert = alertOf(verdict, rule.name, entry, parts.gateway);
            if (!said.delete(alert.id!)) news.push(alert);
          }
        }
      }
      if (news.length > 0) await parts.log.append(news);
      return snapshot;
    },
    {
      signal,
      clock: parts.clock,
      accepts: () => true,
      batchEvents: followedAtOnce,
      onHole: (hole) => recordGap(hole, { ...parts, reader: cursor.name }),
    },
  );
}

/**
 * The alerts that stand behind the saved cursor: they were concluded in the life before, from
 * events that are about to be read again.
 */
async function alertsBehind(
  after: Position,
  log: EventLog,
  signal: AbortSignal,
): Promise<Set<string>> {
  const ids = new Set<string>();
  const reader = log.reader(after);
  try {
    const { last } = log;
    while (reader.position < last) {
      for (const entry of await reader.next(1_000, signal)) {
        if (entry.type === 'alert' && !isRedriven(entry)) ids.add(entry.id);
      }
    }
  } finally {
    reader.close();
  }
  return ids;
}

function alertOf(verdict: Verdict, rule: string, entry: CloudEvent, gateway: string): Draft {
  const { device, state, incident, severity, value, threshold, since, summary } = verdict;
  return {
    type: 'alert',
    source: `/gateways/${gateway}/rules/${rule}`,
    subject: device,
    time: entry.time,
    id: `${incident}.${state}`,
    extensions: {
      causationid: verdict.cause.id,
      correlationid: incident,
      severitytext: severities[severity].text,
    },
    data: {
      rule,
      state,
      incident,
      severity,
      ...(value === undefined ? {} : { value }),
      ...(threshold === undefined ? {} : { threshold }),
      since: new Date(since).toISOString(),
      summary,
    },
  };
}

/**
 * The log's own time: milliseconds that passed while the gateway was listening. It never goes back,
 * and neither a stepped wall clock nor a night without power moves it.
 */
function createLogTime(gapMaxMs: number) {
  let boot = '';
  let monotonic = 0;
  let elapsedMs = 0;
  return {
    step(entry: Entry): number {
      if (entry.boot === boot) {
        const passed = entry.monotonic - monotonic;
        if (passed > 0) elapsedMs += Math.min(passed, gapMaxMs);
      }
      boot = entry.boot;
      monotonic = entry.monotonic;
      return elapsedMs;
    },
    snapshot: (): Json => ({ boot, monotonic, elapsedMs }),
    restore(state: { boot: string; monotonic: number; elapsedMs: number }): void {
      ({ boot, monotonic, elapsedMs } = state);
    },
  };
}

function restore(
  state: Json,
  rules: readonly Rule[],
  time: ReturnType<typeof createLogTime>,
): void {
  if (state === null) return;
  const saved = state as {
    time: { boot: string; monotonic: number; elapsedMs: number };
    rules: Record<string, Json>;
  };
  time.restore(saved.time);
  for (const rule of rules) {
    if (Object.hasOwn(saved.rules, rule.name)) rule.restore(saved.rules[rule.name]!);
  }
}
