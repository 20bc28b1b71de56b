import type { FleetReport } from '../fleet.ts';
import { latencyMsOf, total, whole } from '../report.ts';
import type { ScenarioReport } from './run.ts';

/** The report as JSON holds it. */
export function scenarioJson({ groups, findings, observer, holds }: ScenarioReport) {
  const reports = [...groups.values()];
  return {
    ...total(reports),
    ...{ holds, findings },
    ...(observer === undefined
      ? {}
      : { seen: observer.seen, seenLatencyMs: latencyMsOf(observer.latency) }),
    groups: Object.fromEntries(
      [...groups].map(([name, { latency, waiting: _, ...report }]) => [
        name,
        { ...report, latencyMs: latencyMsOf(latency) },
      ]),
    ),
  };
}

/** The report as a table for people: what each group sent, and what was expected. */
export function scenarioTable({ groups, findings, observer }: ScenarioReport): string {
  const rows = [
    ['group', 'devices', 'sent', 'acknowledged', 'p50', 'p99', 'lost'],
    ...[...groups].map(([name, report]) => rowOf(name, report)),
  ];
  const lines = [alignedAs(rows, 1), ''];
  if (observer !== undefined) {
    const { p50, p99 } = latencyMsOf(observer.latency);
    lines.push(`  seen by a subscriber: ${whole(observer.seen)}, p50 ${p50} ms, p99 ${p99} ms`, '');
  }
  const checks = findings.map(({ what, expected, seen, holds }) => [
    holds ? 'ok' : 'FAILED',
    what,
    expected,
    seen,
  ]);
  lines.push(alignedAs([['', 'expected', '', 'seen'], ...checks], 4));
  return lines.join('\n');
}

function rowOf(
  name: string,
  { devices, sent, acknowledges, acknowledged, latency, lost }: FleetReport,
): string[] {
  const { p50, p99 } = latencyMsOf(latency);
  const said = acknowledges ? whole(acknowledged) : '–';
  return [name, whole(devices), whole(sent), said, `${p50} ms`, `${p99} ms`, whole(lost)];
}

/** Columns; the first `left` of them begin, the others end, at one place. */
function alignedAs(rows: readonly (readonly string[])[], left: number): string {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows
    .map((row) =>
      `  ${row.map((cell, at) => (at < left ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  ')}`.trimEnd(),
    )
    .join('\n');
}
