import type { z } from 'zod';
import { nearestOf } from '../../src/config/nearest.ts';
import {
  lineOf,
  type Path,
  type Problem,
  pathText,
  shownValue,
  valueAt,
} from '../../src/config/problem.ts';
import { readYaml } from '../../src/config/yaml-source.ts';
import { type Scenario, scenarioSchema } from './schema.ts';

/** The scenario cannot be run; the message has a line for every problem: file:line:column, remedy. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(lineOf).join('\n'));
    this.problems = problems;
  }
}

/** `file` names it for people. Throws `ScenarioError`. */
export function parseScenario(text: string, file: string): Scenario {
  const source = readYaml(text, file);
  if (!source.sound) throw new ScenarioError(source.problems);
  const parsed = scenarioSchema.safeParse(source.value);
  const found = parsed.success
    ? []
    : parsed.error.issues.flatMap((issue) => problemsOf(issue, source.value));
  const problems = found.map(({ path, message, part }) => ({
    where: source.whereIs(path, part),
    path: pathText(path),
    message,
  }));
  if (source.problems.length + problems.length > 0) {
    throw new ScenarioError([...source.problems, ...problems]);
  }
  return parsed.data!;
}

interface Found {
  readonly path: Path;
  readonly message: string;
  readonly part: 'key' | 'value';
}

function problemsOf(issue: z.core.$ZodIssue, root: unknown): Found[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const known = keysAt(path);
      const nearest = nearestOf(key, known);
      const hint =
        nearest === undefined ? `There are ${known.join(', ')}.` : `Did you mean ${nearest}?`;
      return { path: [...path, key], part: 'key', message: `is not known. ${hint}` };
    });
  }
  const value = valueAt(root, path);
  const isMissing = value === undefined;
  const words = wordsOf(issue);
  const text = isMissing ? `is missing. It ${words}.` : `${words}, not ${shownValue(value)}.`;
  const isWhole = issue.code === 'custom' || issue.code === 'invalid_key';
  // Of these the name is wrong, whatever stands behind it.
  const isName = isMissing || /^(is no group|has no meaning)/.test(words);
  return [{ path, part: isName ? 'key' : 'value', message: isWhole ? `${words}.` : text }];
}

function wordsOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeWords[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `must be ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return `must be at most ${issue.maximum}`;
    case 'invalid_union':
      return issue.message.startsWith('must') ? issue.message : unionWords(issue);
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'cannot be a name';
    default:
      return issue.message;
  }
}

function unionWords({ errors }: z.core.$ZodIssueInvalidUnion): string {
  const values = errors.flatMap(([first]) => (first?.code === 'invalid_value' ? first.values : []));
  return values.length > 0
    ? `must be one of ${values.join(', ')}`
    : 'is none of what may stand here';
}

const typeWords: Readonly<Record<string, string>> = {
  object: 'a mapping of keys',
  record: 'a mapping of keys',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

type Inner = { readonly _zod: { readonly def: Record<string, unknown> } };

/** The keys that may stand at a path. */
function keysAt(path: Path): string[] {
  let schema = inside(scenarioSchema as unknown as Inner);
  for (const step of path) {
    const { shape, valueType, element } = schema._zod.def as {
      readonly shape?: Record<string, Inner>;
      readonly valueType?: Inner;
      readonly element?: Inner;
    };
    const next = shape?.[step] ?? valueType ?? element;
    if (next === undefined) return [];
    schema = inside(next);
  }
  return Object.keys((schema._zod.def as { readonly shape?: object }).shape ?? {});
}

function inside(schema: Inner): Inner {
  const { innerType, in: input } = schema._zod.def as { innerType?: Inner; in?: Inner };
  const next = innerType ?? input;
  return next === undefined ? schema : inside(next);
}
