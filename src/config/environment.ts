/**
 * Single values from the environment: `TIDEGATE_<PATH>`, the keys and positions of a path joined by
 * `_`, in capitals.
 *
 *   TIDEGATE_BROKER_LISTENERS_0_PORT=1884      broker.listeners[0].port
 *   TIDEGATE_SINKS_MY_CLOUD_URL=mqtts://up     sinks.my-cloud.url
 *   TIDEGATE_SINKS_INFLUX_TOKEN_FILE=token     sinks.influx.token: { file: token }
 */
import { isMap, isScalar, parseDocument } from 'yaml';
import {
  alternativesOf,
  configJsonSchema,
  fitting,
  isSecret,
  type JsonSchema,
  keysOf,
  stepInto,
} from './json-schema.ts';
import { nearestOf } from './nearest.ts';
import { type Path, type Problem, pathText } from './problem.ts';

const prefix = 'TIDEGATE_';

/** Variables that mean something else than a value of the configuration. */
export const otherVariables: ReadonlySet<string> = new Set([
  'TIDEGATE_LOG_LEVEL',
  'TIDEGATE_LOG_FORMAT',
  'TIDEGATE_REQUIRE_SERVICES',
  'TIDEGATE_UPDATE_DOCS',
]);
/** What Kubernetes sets in every container for a Service that is named tidegate. */
const serviceLink = /^TIDEGATE_(SERVICE_(HOST|PORT)|PORT)(_|$)/;

export interface Overridden {
  /** The configuration with the values of the environment in their places. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** The variable that a value, or what it is part of, comes from. */
  variableOf(path: Path): string | undefined;
  /** A variable that something in the value comes from. */
  variableIn(path: Path): string | undefined;
}

/** `value` is plain data and is not changed. */
export function applyEnvironment(
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): Overridden {
  const referred = referredVariables(value);
  const names = Object.keys(environment)
    .filter((name) => name.startsWith(prefix) && environment[name] !== '')
    .filter((name) => !otherVariables.has(name) && !serviceLink.test(name) && !referred.has(name))
    // By number, so that entry 2 finds entry 1 in its place.
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const root = names.length === 0 ? value : structuredClone(value);
  const problems: Problem[] = [];
  const origins = new Map<string, string>();
  for (const name of names) {
    const found = placeOf(name, root);
    if (typeof found === 'string') problems.push({ where: name, path: '', message: found });
    else {
      put(root, found, environment[name]!);
      origins.set(pathText(found.path), name);
    }
  }
  return {
    value: root,
    problems,
    variableOf(path) {
      const ends = Array.from(path, (_, index) => path.slice(0, path.length - index));
      return ends.map((each) => origins.get(pathText(each))).find((name) => name !== undefined);
    },
    variableIn(path) {
      const start = pathText(path);
      const key = [...origins.keys()].find((each) => each !== start && each.startsWith(start));
      return key === undefined ? undefined : origins.get(key);
    },
  };
}

/** Names in `{ env: NAME }`, wherever they stand: a secret may have such a name. */
function referredVariables(value: unknown, into = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return into;
  for (const [key, each] of Object.entries(value)) {
    if (key === 'env' && typeof each === 'string') into.add(each);
    else referredVariables(each, into);
  }
  return into;
}

interface Place {
  readonly path: Path;
  /** What each step of the path may be, to make what is not there yet. */
  readonly schemas: readonly (readonly JsonSchema[])[];
}

/** Where a variable belongs, or why nowhere. */
function placeOf(name: string, root: unknown): Place | string {
  const words = name.slice(prefix.length).split('_');
  const start = alternativesOf(configJsonSchema());
  const deepest = { words: 0, known: [] as readonly string[], message: '' };
  const search = (
    used: number,
    schemas: readonly JsonSchema[],
    here: unknown,
    place: Place,
  ): Place | undefined => {
    if (used === words.length) return schemas.some(mayBeScalar) ? place : undefined;
    const fit = fitting(schemas, here);
    for (const [step, taken] of stepsInto(fit, words.slice(used), here)) {
      const below = fit.flatMap((schema) => stepInto(schema, step));
      const next = (here as Record<string | number, unknown> | null | undefined)?.[step];
      const found = search(used + taken, below, next, {
        path: [...place.path, step],
        schemas: [...place.schemas, below],
      });
      if (found !== undefined) return found;
    }
    if (used >= deepest.words) {
      deepest.words = used;
      deepest.known = keysOf(fit);
      deepest.message = lengthProblem(fit, words[used]!, here);
    }
    return undefined;
  };
  const found = search(0, start, root, { path: [], schemas: [start] });
  if (found !== undefined) return found;
  if (deepest.message !== '') return deepest.message;
  return unknownSetting(words.slice(0, deepest.words), words.slice(deepest.words), deepest.known);
}

/** `stem` was understood, `rest` was not. */
function unknownSetting(
  stem: readonly string[],
  rest: readonly string[],
  known: readonly string[],
): string {
  const keys = known.map((key) => key.toUpperCase());
  if (keys.includes(rest.join('_'))) return 'names several values. Name one of them.';
  const variable = (...words: readonly string[]) => prefix + [...stem, ...words].join('_');
  for (let taken = 1; taken <= rest.length; taken++) {
    const nearest = nearestOf(rest.slice(0, taken).join('_'), keys);
    if (nearest === undefined) continue;
    return `there is no such setting. Did you mean ${variable(nearest, ...rest.slice(taken))}?`;
  }
  const list = keys.map((key) => variable(key)).join(', ');
  return `there is no such setting. ${list === '' ? 'Remove it.' : `Possible beginnings: ${list}.`}`;
}

function lengthProblem(schemas: readonly JsonSchema[], word: string, here: unknown): string {
  if (!schemas.some((schema) => schema.items !== undefined) || !/^\d+$/.test(word)) return '';
  const length = Array.isArray(here) ? here.length : 0;
  return Number(word) > length
    ? `entries are counted from 0, and the list has ${length}. The next is ${length}.`
    : '';
}

/** Which keys or positions the next words may name, and how many words each takes; longest first. */
function stepsInto(
  schemas: readonly JsonSchema[],
  words: readonly string[],
  here: unknown,
): [step: string | number, taken: number][] {
  const steps: [string | number, number][] = [];
  const names = typeof here === 'object' && here !== null ? Object.keys(here) : [];
  const hasNames = schemas.some((schema) => typeof schema.additionalProperties === 'object');
  const keys = keysOf(schemas);
  for (let taken = words.length; taken > 0; taken--) {
    const word = words.slice(0, taken).join('_');
    for (const key of keys) if (key.toUpperCase() === word) steps.push([key, taken]);
    if (!hasNames) continue;
    const known = names.filter((name) => name.toUpperCase().replace(/[^A-Z0-9]/g, '_') === word);
    if (known.length > 0) for (const name of known) steps.push([name, taken]);
  }
  if (schemas.some((schema) => schema.items !== undefined) && /^\d{1,4}$/.test(words[0]!)) {
    const index = Number(words[0]);
    if (index <= (Array.isArray(here) ? here.length : 0)) steps.push([index, 1]);
  }
  if (hasNames) {
    for (let taken = words.length; taken > 0; taken--) {
      steps.push([words.slice(0, taken).join('_').toLowerCase(), taken]);
    }
  }
  return steps;
}

function mayBeScalar(schema: JsonSchema): boolean {
  const { type } = schema;
  return type !== 'object' && type !== 'array' && schema.not === undefined;
}

/** Writes the value, making what is on the way to it. */
function put(root: unknown, { path, schemas }: Place, text: string): void {
  let here = root as Record<string | number, unknown>;
  path.forEach((step, index) => {
    if (index === path.length - 1) {
      here[step] = scalarOf(text, schemas[index + 1]!);
      return;
    }
    const next = here[step];
    const isContainer = typeof next === 'object' && next !== null;
    // Another place of a secret replaces the one that was given.
    if (!isContainer || isSecret(schemas[index + 1]!)) {
      here[step] = typeof path[index + 1] === 'number' ? [] : {};
    }
    here = here[step] as Record<string | number, unknown>;
  });
}

/** As YAML would read it, except that where only a text may stand it is one, even if it is `007`. */
function scalarOf(text: string, schemas: readonly JsonSchema[]): unknown {
  const scalars = schemas.filter(mayBeScalar);
  if (scalars.every((schema) => schema.type === 'string')) return text;
  const { contents, errors } = parseDocument(text, { prettyErrors: false });
  if (errors.length > 0 || isMap(contents) || !isScalar(contents)) return text;
  return contents.value;
}
