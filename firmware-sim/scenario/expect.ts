import type { Clock } from '../../src/platform/clock.ts';
import { messageOf } from '../../src/platform/errors.ts';
import type { Observer } from '../check/observer.ts';
import { influxAnswer, metricsOf } from '../check/questions.ts';
import type { FleetReport } from '../fleet.ts';
import type { Range, Scenario } from './schema.ts';

/** One thing that was to be true at the end, and what was. */
export interface Finding {
  readonly what: string;
  readonly expected: string;
  readonly seen: string;
  readonly holds: boolean;
}

export interface Evidence {
  readonly scenario: Scenario;
  readonly reports: ReadonlyMap<string, FleetReport>;
  /** Undefined where nobody could subscribe. */
  readonly observer: Observer | undefined;
  readonly metricsBefore: ReadonlyMap<string, number> | undefined;
  readonly clock: Clock;
}

const none: Range = { text: '0', min: 0, max: 0 };
const found = (what: string, range: Range | undefined, seen: number): Finding => ({
  what,
  expected: range?.text ?? 'anything',
  seen: `${seen}`,
  holds: range === undefined || (seen >= range.min && seen <= range.max),
});

/** What the reports of the devices say; it does not change any more. */
export function countsFound({ scenario, reports }: Evidence): Finding[] {
  const { expect } = scenario;
  const groups = expect?.groups ?? {};
  let lost = 0;
  for (const [name, report] of reports) {
    if (groups[name]?.lost === undefined) lost += report.lost;
  }
  let refused = 0;
  for (const [name, report] of reports) {
    if (groups[name]?.refused === undefined) refused += report.refused;
  }
  return [
    found('lost', expect?.lost ?? none, lost),
    found('refused', none, refused),
    ...Object.entries(groups).flatMap(([name, counts]) =>
      Object.entries(counts).map(([count, range]) =>
        found(`${name} ${count}`, range, reports.get(name)![count as keyof typeof counts]),
      ),
    ),
  ];
}

/** What others say, which may take a while to become true. */
export async function othersFound(evidence: Evidence): Promise<Finding[]> {
  const { scenario, clock } = evidence;
  const { metrics = {}, influxdb } = scenario.expect ?? {};
  const findings = seenBySubscriber(evidence);
  if (Object.keys(metrics).length > 0) {
    const now = await answered(() => metricsOf(scenario.admin, clock));
    for (const [name, range] of Object.entries(metrics)) {
      findings.push(
        typeof now === 'string' || evidence.metricsBefore === undefined
          ? failed(name, range, typeof now === 'string' ? now : 'no answer at the start')
          : found(name, range, (now.get(name) ?? 0) - (evidence.metricsBefore.get(name) ?? 0)),
      );
    }
  }
  for (const [query, range] of Object.entries(influxdb?.queries ?? {})) {
    const answer = await answered(() => influxAnswer(influxdb!, query, clock));
    findings.push(
      typeof answer === 'string' ? failed(query, range, answer) : found(query, range, answer),
    );
  }
  return findings;
}

function seenBySubscriber({ scenario, observer }: Evidence): Finding[] {
  const { missing, p99, incidents = {} } = scenario.expect ?? {};
  if (observer === undefined) return [];
  const findings = [found('missing', missing ?? none, observer.missing)];
  if (p99 !== undefined) {
    const range = { text: `<= ${p99} ms`, min: 0, max: p99 };
    findings.push(found('p99 as seen', range, observer.latency.percentileMs(0.99)));
  }
  for (const [rule, states] of Object.entries(incidents)) {
    for (const [state, range] of Object.entries(states)) {
      const seen = observer.incidents(rule, state as 'firing' | 'resolved');
      findings.push(found(`${rule} ${state}`, range, seen));
    }
  }
  return findings;
}

const failed = (what: string, range: Range, why: string): Finding => ({
  ...{ what, expected: range.text, seen: why, holds: false },
});

async function answered<T>(ask: () => Promise<T>): Promise<T | string> {
  try {
    return await ask();
  } catch (error) {
    return messageOf(error);
  }
}
