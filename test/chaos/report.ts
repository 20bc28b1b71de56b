import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import type { ChaosOptions } from './options.ts';
import type { Rival } from './rivals.ts';
import { clock, type Outcome } from './run.ts';
import { medianOf } from './verdict.ts';

/** One page of Markdown that stands for itself: what was done, what was found, the verdict. */
export function reportOf(
  options: ChaosOptions,
  outcome: Outcome,
  rivals: readonly Rival[],
): string {
  const { notes, verdict, impossible, samples } = outcome;
  const clean = verdict.problems.length === 0;
  const lines = [
    '# Chaos report',
    '',
    clean ? '**Nothing was lost.**' : `**Problems: ${verdict.problems.length}.**`,
    '',
    ...verdict.problems.map((problem) => `- ${problem}`),
    ...(clean ? [] : ['']),
    `${options.seconds / 60} minutes, seed ${options.seed}, ${options.devices} devices at ` +
      `${options.rateHz} messages/s each, QoS 1; ${options.only.join(', ')}.`,
    `Again: \`npm run chaos -- --minutes ${options.seconds / 60} --seed ${options.seed}\``,
    '',
    '| found | |',
    '|---|---:|',
    ...verdict.counts.map(({ what, count }) => `| ${what} | ${count.toLocaleString('en')} |`),
    ...(samples.length > 0
      ? [
          `| memory of the gateway, median and most | ${medianOf(samples, 'rssMib').toFixed(0)} and ${most(samples, 'rssMib')} MiB |`,
          `| its open files, median and most | ${medianOf(samples, 'descriptors')} and ${most(samples, 'descriptors')} |`,
        ]
      : []),
    '',
    '| trouble | times |',
    '|---|---:|',
    ...countsOf(notes.map(({ trouble }) => trouble)).map(
      ([trouble, count]) => `| ${trouble} | ${count} |`,
    ),
    '',
    ...(impossible.length > 0
      ? [`Not possible on this machine: ${impossible.join('; ')}.`, '']
      : []),
    ...(verdict.audit === undefined
      ? ['This version has no `tidegate audit`.', '']
      : ['```', ...auditLines(verdict.audit).short, '```', '']),
    ...rivalTable(rivals),
    `${versions()}`,
    '',
    '<details><summary>What was done, when</summary>',
    '',
    ...notes.map(({ atMs, trouble, detail }) => `- ${clock(atMs)} ${trouble}: ${detail}`),
    '',
    ...auditLines(verdict.audit ?? '').long.map((line) => `- ${line}`),
    '',
    '</details>',
    '',
  ];
  return lines.join('\n');
}

/** The table of the audit, and apart from it each loss by its positions. */
function auditLines(audit: string): { readonly short: string[]; readonly long: string[] } {
  const lines = audit.split('\n');
  const isLong = (line: string): boolean => /: positions? \d/.test(line);
  return { short: lines.filter((line) => !isLong(line)), long: lines.filter(isLong) };
}

const most = (samples: Outcome['samples'], of: 'rssMib' | 'descriptors'): string =>
  Math.max(...samples.map((each) => each[of])).toFixed(0);

function countsOf(names: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  counts.delete('healed');
  return [...counts].sort(([, a], [, b]) => b - a);
}

export function rivalTable(rivals: readonly Rival[]): string[] {
  if (rivals.length === 0) return [];
  return [
    'The same kill -9, after so many acknowledged QoS 1 messages:',
    '',
    '| | acknowledged | back after restart | lost | bytes written | per payload byte |',
    '|---|---:|---:|---:|---:|---:|',
    ...rivals.map(({ name, acknowledged, back, writtenBytes, payloadBytes }) =>
      [
        '',
        name,
        acknowledged.toLocaleString('en'),
        back.toLocaleString('en'),
        (acknowledged - back).toLocaleString('en'),
        writtenBytes.toLocaleString('en'),
        (writtenBytes / payloadBytes).toFixed(2),
        '',
      ]
        .join(' | ')
        .trim(),
    ),
    '',
  ];
}

function versions(): string {
  const first = (program: string, ...args: string[]): string | undefined => {
    try {
      return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe' })
        .split('\n')[0]!
        .trim();
    } catch (error) {
      // Mosquitto explains itself and calls that a failure.
      const { stdout } = error as { stdout?: string };
      return stdout?.split('\n')[0]?.trim() || undefined;
    }
  };
  const kernel = first('uname', '-sr');
  const found = [first('influxd', 'version'), first('mosquitto', '-h'), kernel];
  return [
    `Node ${process.versions.node}`,
    ...found.filter((each) => each !== undefined),
    `${cpus().length} × ${cpus()[0]?.model ?? 'processor'}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
  ].join(' · ');
}
