import type { FleetCounts, FleetReport } from './fleet.ts';
import type { Histogram } from './histogram.ts';

const shares = { p50: 0.5, p90: 0.9, p99: 0.99 } as const;

/** The report as JSON holds it: messages in numbers, latencies in milliseconds. */
export function reportJson(report: FleetReport): Readonly<Record<string, unknown>> {
  const { latency, problem, elapsedMs, waiting: _, ...counts } = report;
  return {
    ...counts,
    elapsedMs: Math.round(elapsedMs),
    ratePerSecond: Math.round(report.acknowledged / (elapsedMs / 1_000)),
    latencyMs: latencyMsOf(latency),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** The report as a table for people. */
export function reportTable(report: FleetReport): string {
  const { p50, p90, p99, max } = latencyMsOf(report.latency);
  const seconds = report.elapsedMs / 1_000;
  const rows: [string, string, (string | undefined)?][] = [
    ['devices', whole(report.devices), `${whole(report.connections)} connections`],
    ['sent', whole(report.sent), again(report.resent)],
  ];
  if (report.acknowledges) {
    const rate = `${whole(report.acknowledged / seconds)} a second`;
    rows.push(['acknowledged', whole(report.acknowledged), rate]);
  }
  rows.push(['latency', `${p50} ms`, `p50; p90 ${p90} ms, p99 ${p99} ms, max ${max} ms`]);
  if (report.refused > 0) rows.push(['refused', whole(report.refused), 'by the server, for good']);
  if (report.dropped > 0)
    rows.push(['dropped', whole(report.dropped), 'by devices offline too long']);
  rows.push(['lost', whole(report.lost), report.lost > 0 ? 'never acknowledged' : undefined]);
  const width = Math.max(...rows.map(([, value]) => value.length));
  return rows
    .map(([name, value, note]) =>
      `  ${name.padEnd(14)}${value.padStart(width)}  ${note ?? ''}`.trimEnd(),
    )
    .join('\n');
}

/** One line about fleets at work. */
export function progressLine(
  fleets: readonly {
    readonly counts: FleetCounts;
    readonly latency: Histogram;
    readonly problem: string | undefined;
  }[],
  perSecond: number,
): string {
  const counts = total(fleets.map((fleet) => fleet.counts));
  const p99 = Math.max(...fleets.map(({ latency }) => latencyMsOf(latency).p99));
  const problem = fleets.find((fleet) => fleet.problem !== undefined)?.problem;
  const parts = [
    `${whole(counts.connected)}/${whole(counts.devices)} connected`,
    `${whole(counts.sent)} sent`,
    `${whole(counts.acknowledged)} acknowledged`,
    `${whole(perSecond)}/s`,
    `p99 ${p99} ms`,
    `${whole(counts.waiting)} waiting`,
  ];
  if (problem !== undefined && counts.connected < counts.devices) parts.push(problem);
  return parts.join(' · ');
}

const countNames = [
  ...(['devices', 'connected', 'connections', 'sent', 'resent', 'acknowledged'] as const),
  ...(['refused', 'dropped', 'waiting'] as const),
];

/** The counts of several fleets, as of one. */
export function total<T extends FleetCounts & { readonly lost?: number }>(
  reports: readonly T[],
): FleetCounts & { readonly lost: number } {
  const sum = (of: (report: T) => number): number =>
    reports.reduce((all, report) => all + of(report), 0);
  const counts = Object.fromEntries(countNames.map((name) => [name, sum((each) => each[name])]));
  return { ...(counts as unknown as FleetCounts), lost: sum(({ lost = 0 }) => lost) };
}

export function latencyMsOf(latency: Histogram): Record<keyof typeof shares | 'max', number> {
  const of = (share: number): number => rounded(latency.percentileMs(share));
  return {
    p50: of(shares.p50),
    p90: of(shares.p90),
    p99: of(shares.p99),
    max: rounded(latency.maxMs),
  };
}

const again = (resent: number): string | undefined =>
  resent > 0 ? `and ${whole(resent)} again after a broken connection` : undefined;
const rounded = (ms: number): number => Math.round(ms * 100) / 100;
export const whole = (value: number): string => Math.round(value).toLocaleString('en');
