import { hostname } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { readTextFile } from '../platform/text-file.ts';
import { type Config, completeConfig, configSchema } from './config.ts';
import { applyEnvironment, type Overridden } from './environment.ts';
import { findingsOf, noWords } from './issues.ts';
import { alternativesAt, keysOf } from './json-schema.ts';
import { ConfigError, type Path, type Problem, pathText } from './problem.ts';
import { readYaml, type YamlSource } from './yaml-source.ts';

export interface LoadOptions {
  /** From `--config`. Without it, `tidegate.yaml` in `cwd` is read if there is one. */
  readonly path?: string;
  /** From `--data`; wins over everything else. */
  readonly dataDir?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What relative paths in the configuration are relative to: the folder of the file, else `cwd`. */
  readonly folder: string;
  /** The file that was read, as an absolute path; undefined when there is none. */
  readonly path?: string;
  /** Where a value comes from: `tidegate.yaml:3:5`, the name of a variable, or nothing known. */
  whereIs(path: Path): string;
}

const fileName = 'tidegate.yaml';

/**
 * Reads, overrides from the environment, checks, fills in and freezes. Secrets stay references.
 * Throws a `ConfigError` with every problem that was found, or `GW_CONFIG_MISSING`.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { environment, cwd } = options;
  const file = await readConfigFile(options);
  const source = file === undefined ? undefined : readYaml(file.text, shownPath(file.path, cwd));
  const given = source === undefined ? {} : withoutEmpty(source.value, source.value);
  const overridden = applyEnvironment(given, environment);
  const problems = [...(source?.problems ?? []), ...overridden.problems];
  const whereIs = (path: Path, part: 'key' | 'value'): string => {
    const variable = overridden.variableOf(path);
    if (variable !== undefined) return variable;
    const around = path.slice(0, -1);
    const inFile = source !== undefined && (path.length < 2 || source.has(around));
    // What a section lacks that only the environment speaks of.
    if (!inFile) return overridden.variableIn(around) ?? source?.whereIs(path, part) ?? '';
    return source.whereIs(path, part);
  };
  const folder = file === undefined ? cwd : dirname(file.path);
  // What a file does not say because it ends in an error is not missing.
  const checked = source?.sound === false ? undefined : check(overridden, whereIs, problems);
  if (checked === undefined || problems.length > 0) throw new ConfigError(inOrder(problems));
  const machine = { hostName: hostname(), dataDir: dataDirOf(checked.data.dir, folder, options) };
  return {
    config: completeConfig(checked, machine),
    folder,
    ...(file === undefined ? {} : { path: file.path }),
    whereIs: (path) => (isGiven(path, source, overridden) ? whereIs(path, 'value') : ''),
  };
}

async function readConfigFile(options: LoadOptions) {
  const path = resolve(options.cwd, options.path ?? fileName);
  let text: string | undefined;
  try {
    text = await readTextFile(path);
  } catch (error) {
    const message = `cannot be read: ${messageOf(error)}.`;
    throw new ConfigError([{ where: shownPath(path, options.cwd), path: '', message }]);
  }
  if (text !== undefined) return { path, text };
  if (options.path !== undefined) throw new GatewayError('GW_CONFIG_MISSING', path);
  return undefined;
}

function check(
  overridden: Overridden,
  whereIs: (path: Path, part: 'key' | 'value') => string,
  problems: Problem[],
) {
  const result = configSchema.safeParse(overridden.value, { error: () => noWords });
  if (result.success) return result.data;
  for (const finding of findingsOf(result.error.issues, overridden.value)) {
    const { path, message, atKey } = finding;
    const where = whereIs(path, atKey ? 'key' : 'value');
    problems.push({ where, path: pathText(path), message });
  }
  return undefined;
}

/** A section whose lines are all commented out is not there. */
function withoutEmpty(value: unknown, root: unknown, path: Path = []): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    return value.map((each, index) => withoutEmpty(each, root, [...path, index]));
  }
  const kept = Object.entries(value)
    .filter(([key, each]) => each !== null || !isSection([...path, key], root))
    .map(([key, each]) => [key, withoutEmpty(each, root, [...path, key])]);
  return Object.fromEntries(kept);
}

/** Not what an operator names: a sink without anything is a mistake. */
function isSection(path: Path, root: unknown): boolean {
  const key = String(path.at(-1));
  if (!keysOf(alternativesAt(path.slice(0, -1), root)).includes(key)) return false;
  const schemas = alternativesAt(path, root);
  return schemas.every(({ type }) => type === 'object' || type === 'array');
}

function dataDirOf(given: string | undefined, folder: string, options: LoadOptions): string {
  const { dataDir, environment, cwd } = options;
  if (dataDir !== undefined) return resolve(cwd, dataDir);
  if (given !== undefined) return resolve(folder, given);
  // systemd joins several folders with colons; the first is the one it names first.
  const state = environment.STATE_DIRECTORY?.split(':')[0];
  return state ? resolve(cwd, state) : resolve(cwd, 'data');
}

function isGiven(path: Path, source: YamlSource | undefined, overridden: Overridden): boolean {
  return overridden.variableOf(path) !== undefined || source?.has(path) === true;
}

/** Short when it is below the working directory. */
function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith('..') || isAbsolute(short) ? path : short || join('.', fileName);
}

/** By line and column; what comes from the environment last, by name. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const key = ({ where }: Problem): string => {
    const place = /:(\d+):(\d+)$/.exec(where);
    if (place === null) return where.startsWith('TIDEGATE_') ? `2 ${where}` : '0';
    return `1 ${place[1]!.padStart(9, '0')} ${place[2]!.padStart(9, '0')}`;
  };
  return problems.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
