import type { RunnerTask } from 'vitest';
import type { Statement } from './statements.ts';

export interface Specification {
  /** In front of the number in titles: `MQTT` or `MQTT5`. */
  readonly prefix: string;
  readonly title: string;
  readonly statements: readonly Statement[];
}

export interface Outcome {
  readonly title: string;
  readonly passed: boolean;
}

/** By the statement in front of the title: `MQTT-3.1.0-1`. */
export type Outcomes = ReadonlyMap<string, readonly Outcome[]>;

const cited = /\[(MQTT5?-[\d.]+-\d+)\]/g;

/** What became of every test below `task`, by the statements that its title begins with. */
export function outcomesOf(tasks: readonly RunnerTask[]): Outcomes {
  const outcomes = new Map<string, Outcome[]>();
  const visit = (task: RunnerTask): void => {
    if (task.type === 'suite') {
      task.tasks.forEach(visit);
      return;
    }
    const title = task.name.replace(cited, '').trim();
    for (const [, id] of task.name.matchAll(cited)) {
      const before = outcomes.get(id!) ?? [];
      outcomes.set(id!, [...before, { title, passed: task.result?.state === 'pass' }]);
    }
  };
  tasks.forEach(visit);
  return outcomes;
}

/** Statements of a server with neither a test nor a reason, and tests of statements that there are not. */
export function gapsIn(specifications: readonly Specification[], outcomes: Outcomes): string[] {
  const known = new Set<string>();
  const gaps: string[] = [];
  for (const { prefix, statements } of specifications) {
    for (const { id, side, untested } of statements) {
      const name = `${prefix}-${id}`;
      known.add(name);
      const tested = outcomes.has(name);
      if (!tested && side !== 'client' && untested === undefined) gaps.push(`${name} has no test`);
      if (tested && untested !== undefined) gaps.push(`${name} has a test and a reason for none`);
    }
  }
  for (const name of outcomes.keys()) if (!known.has(name)) gaps.push(`${name} is no statement`);
  return gaps;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function rowOf(prefix: string, { id, side, text, untested }: Statement, outcomes: Outcomes) {
  const found = outcomes.get(`${prefix}-${id}`);
  const reason = untested ?? (side === 'client' ? 'For clients only.' : 'Not tested.');
  const result =
    found === undefined ? 'n/a' : found.every((each) => each.passed) ? 'pass' : '**FAIL**';
  const tests = found?.map(({ title }) => title).join('; ') ?? reason;
  return { result, line: `| ${id} | ${cell(text)} | ${result} | ${cell(tests)} |` };
}

/** The conformance page: the same run gives the same page. */
export function pageOf(specifications: readonly Specification[], outcomes: Outcomes): string {
  const sections = specifications.map(({ prefix, title, statements }) => {
    const rows = statements.map((statement) => rowOf(prefix, statement, outcomes));
    const count = (result: string): number => rows.filter((row) => row.result === result).length;
    return `## ${title}

${rows.length} statements: ${count('pass')} pass, ${count('**FAIL**')} fail, ${count('n/a')} do not apply.

| Statement | In short | Result | Test, or why there is none |
| --- | --- | --- | --- |
${rows.map(({ line }) => line).join('\n')}
`;
  });
  return `# MQTT conformance

Every numbered statement of both specifications, in our words, and the tests that hold the broker to
it. The tests talk to the broker over a socket and send their packets byte by byte; they are in
\`test/conformance\`. This page is written by their run, and a test fails when page and run differ:

\`\`\`sh
npx vitest run test/conformance
\`\`\`

${sections.join('\n')}`;
}
