/**
 * Whether everything that one JSON Schema takes is taken by another, as far as can be told by looking
 * at both side by side: a keyword that is looked at makes a schema narrower in a known way, and any
 * other must be the same in both. What is not sure is reported.
 */

/** A JSON Schema, parsed. */
export type JsonSchemaNode = boolean | { readonly [keyword: string]: unknown };

/** Where the second schema refuses what the first takes, and why: `fields.temperature: …`. */
export interface Narrowing {
  readonly path: string;
  readonly message: string;
}

type Node = { readonly [keyword: string]: unknown };

/** Keywords that say nothing of what is valid. */
const silent = new Set(
  '$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(
    ' ',
  ),
);
const lowest = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const highest = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const looked = new Set([
  ...['type', 'enum', 'const', 'required', 'properties', 'additionalProperties', 'items'],
  ...lowest,
  ...highest,
]);
const levelsMax = 32;

/** Everything that `narrow` refuses of what `wide` takes. */
export function narrowingsOf(wide: JsonSchemaNode, narrow: JsonSchemaNode): readonly Narrowing[] {
  const found: Narrowing[] = [];
  const seen = new Map<object, Set<object>>();
  compare({ seen, root: wide, node: wide }, { seen, root: narrow, node: narrow }, [], found);
  return found;
}

interface Side {
  /** Pairs that are being compared, or have been: schemas may refer to themselves. */
  readonly seen: Map<object, Set<object>>;
  readonly root: JsonSchemaNode;
  readonly node: JsonSchemaNode;
}

function compare(a: Side, b: Side, path: readonly string[], found: Narrowing[]): void {
  const wide = resolved(a);
  const narrow = resolved(b);
  const report = (message: string): void => {
    found.push({ path: path.join('.') || '.', message });
  };
  if (narrow === true || wide === false) return;
  if (narrow === false) {
    report('is no longer allowed');
    return;
  }
  if (wide !== true) {
    const others = a.seen.get(wide) ?? new Set();
    if (others.has(narrow)) return;
    a.seen.set(wide, others.add(narrow));
  }
  if (path.length > levelsMax) {
    report('is nested too deep to be compared');
    return;
  }
  const from: Node = wide === true ? {} : wide;
  checkTypes(from, narrow, report);
  checkValues(from, narrow, report);
  for (const keyword of lowest) checkBound(from, narrow, keyword, (x, y) => y > x, report);
  for (const keyword of highest) checkBound(from, narrow, keyword, (x, y) => y < x, report);
  checkMembers({ ...a, node: from }, { ...b, node: narrow }, path, found, report);
  for (const keyword of Object.keys(narrow)) {
    if (silent.has(keyword) || looked.has(keyword)) continue;
    if (!same(from[keyword], narrow[keyword])) {
      report(`${keyword} has changed, which cannot be compared`);
    }
  }
}

type Report = (message: string) => void;

function checkTypes(from: Node, to: Node, report: Report): void {
  if (to.type === undefined) return;
  const allowed = [to.type].flat() as string[];
  if (from.type === undefined) {
    if (from.const === undefined && from.enum === undefined) {
      report(`must now be ${allowed.join(' or ')}`);
    }
    return;
  }
  const gone = ([from.type].flat() as string[]).filter(
    (type) => !allowed.includes(type) && !(type === 'integer' && allowed.includes('number')),
  );
  if (gone.length > 0) report(`may no longer be ${gone.join(' or ')}`);
}

function checkValues(from: Node, to: Node, report: Report): void {
  const before = valuesOf(from);
  const after = valuesOf(to);
  if (after === undefined) return;
  if (before === undefined) {
    report('is now limited to some values');
    return;
  }
  const gone = before.filter((value) => !after.some((each) => same(each, value)));
  if (gone.length > 0) report(`may no longer be ${gone.map((v) => JSON.stringify(v)).join(', ')}`);
}

function valuesOf(node: Node): readonly unknown[] | undefined {
  if (node.const !== undefined) return [node.const];
  return Array.isArray(node.enum) ? node.enum : undefined;
}

function checkBound(
  from: Node,
  to: Node,
  keyword: string,
  isTighter: (before: number, after: number) => boolean,
  report: Report,
): void {
  const [before, after] = [from[keyword], to[keyword]];
  if (typeof after !== 'number') return;
  if (typeof before !== 'number') report(`has now ${keyword} ${after}`);
  else if (isTighter(before, after)) report(`has now ${keyword} ${after}, before ${before}`);
}

function checkMembers(
  a: Side & { node: Node },
  b: Side & { node: Node },
  path: readonly string[],
  found: Narrowing[],
  report: Report,
): void {
  const [from, to] = [a.node, b.node];
  const required = new Set((from.required as string[] | undefined) ?? []);
  for (const name of (to.required as string[] | undefined) ?? []) {
    if (!required.has(name))
      found.push({ path: [...path, name].join('.'), message: 'is now required' });
  }
  const before = membersOf(from.properties);
  const after = membersOf(to.properties);
  const restBefore = restOf(from);
  const restAfter = restOf(to);
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const wide = before[name] ?? restBefore;
    compare({ ...a, node: wide }, { ...b, node: after[name] ?? restAfter }, [...path, name], found);
  }
  if (restAfter !== true) {
    if (restAfter === false && restBefore !== false) report('allows no further members now');
    else compare({ ...a, node: restBefore }, { ...b, node: restAfter }, [...path, '*'], found);
  }
  if (to.items !== undefined) {
    const [wide, narrow] = [from.items ?? true, to.items] as JsonSchemaNode[];
    compare({ ...a, node: wide! }, { ...b, node: narrow! }, [...path, '[]'], found);
  }
}

function membersOf(value: unknown): Readonly<Record<string, JsonSchemaNode>> {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, JsonSchemaNode>)
    : {};
}

function restOf(node: Node): JsonSchemaNode {
  return (node.additionalProperties as JsonSchemaNode | undefined) ?? true;
}

/** What a `$ref` within the same document stands for; another is left standing. */
function resolved({ root, node }: Side): JsonSchemaNode {
  let here = node;
  for (let times = 0; times < levelsMax; times++) {
    const ref = typeof here === 'object' ? here.$ref : undefined;
    if (typeof ref !== 'string' || !ref.startsWith('#')) return here;
    const steps = ref.slice(1).split('/').slice(1);
    const found = steps.reduce<unknown>((at, step) => {
      const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      return typeof at === 'object' && at !== null ? (at as Node)[name] : undefined;
    }, root);
    if (found === undefined) return here;
    here = found as JsonSchemaNode;
  }
  return here;
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => same((a as Node)[name], (b as Node)[name]))
  );
}
