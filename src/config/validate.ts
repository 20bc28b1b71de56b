import type { z } from 'zod';
import { configSchema } from './config.ts';
import { type Finding, findingsOf, noWords, withoutChoices } from './issues.ts';
import { type Path, pathText, valueAt } from './problem.ts';

type Issue = z.core.$ZodIssue;
type Container = Record<string | number, unknown>;

export type Validated =
  | { readonly data: z.output<typeof configSchema> }
  | { readonly findings: readonly Finding[] };

/** Each round sees past what the one before found; a limit, should one find no end. */
const roundsMax = 5;

/**
 * Everything that is wrong with a configuration. What is wrong with one value keeps the schema from
 * checking what concerns several, so the rest is checked again without the values that are known to
 * be wrong. What may only follow from their absence is not reported.
 */
export function validate(value: unknown): Validated {
  const first = configSchema.safeParse(value, { error: () => noWords });
  if (first.success) return { data: first.data };
  const findings = findingsOf(first.error.issues, value);
  const rest = createRest(value);
  let { issues } = first.error;
  for (let round = 1; round < roundsMax && rest.setAside(issues); round++) {
    const next = configSchema.safeParse(rest.value, { error: () => noWords });
    if (next.success) break;
    ({ issues } = next.error);
    for (const found of findingsOf(issues, rest.value)) {
      const finding = { ...found, path: rest.originalOf(found.path) };
      const isNew = findings.every(({ path }) => pathText(path) !== pathText(finding.path));
      if (isNew && rest.isSure(finding, value)) findings.push(finding);
    }
  }
  return { findings };
}

/** The configuration without what is known to be wrong. */
function createRest(root: unknown) {
  const value: unknown = structuredClone(root);
  const gone: Path[] = [];
  /** Names that nothing may have, by those that stand in their place. */
  const renamed = new Map<string, { readonly path: Path; readonly name: string }>();

  const originalOf = (path: Path): Path =>
    path.map((step, index) => {
      const former = renamed.get(String(step));
      const isHere = former !== undefined && former.path.length === index;
      return isHere ? former.name : step;
    });
  const remove = (path: Path): boolean => {
    const around = valueAt(value, path.slice(0, -1));
    const key = path.at(-1);
    // To take an entry out of a list would move those behind it.
    if (typeof around !== 'object' || around === null || Array.isArray(around)) return false;
    if (key === undefined || !Object.hasOwn(around, key)) return false;
    delete (around as Container)[key];
    gone.push(originalOf(path));
    return true;
  };
  const rename = (path: Path): boolean => {
    const around = valueAt(value, path.slice(0, -1)) as Container | undefined;
    const name = String(path.at(-1));
    if (around === undefined || !Object.hasOwn(around, name)) return false;
    const other = `renamed-${renamed.size}-${'x'.repeat(20)}`;
    around[other] = around[name];
    delete around[name];
    renamed.set(other, { path: path.slice(0, -1), name });
    return true;
  };
  return {
    value,
    originalOf,
    /** Whether that changed anything. */
    setAside(issues: readonly Issue[]): boolean {
      let changed = false;
      for (const issue of withoutChoices(issues, value)) {
        const path = issue.path as Path;
        if (issue.code === 'invalid_key') changed = rename(path) || changed;
        else if (issue.code === 'unrecognized_keys') {
          for (const key of issue.keys) changed = remove([...path, key]) || changed;
        } else changed = remove(path) || changed;
      }
      return changed;
    },
    /** Whether a finding would still stand if what is gone were there and right. */
    isSure({ path, message }: Finding, given: unknown): boolean {
      if (valueAt(given, path) === undefined) return false;
      return gone.every((each) => {
        const isRelated = startsWith(each, path) || startsWith(path, each);
        return !isRelated && !new RegExp(`\\b${String(each.at(-1))}\\b`).test(message);
      });
    },
  };
}

function startsWith(path: Path, start: Path): boolean {
  return start.every((step, index) => path[index] === step);
}
