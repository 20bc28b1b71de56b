import { hostname } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { readTextFile } from '../platform/text-file.ts';
import { archiveProblems } from './archives.ts';
import { type Config, completeConfig } from './config.ts';
import { applyEnvironment, type Overridden } from './environment.ts';
import { alternativesAt, type JsonSchema, keysOf } from './json-schema.ts';
import { ConfigError, type Path, type Problem, pathText } from './problem.ts';
import { type IngestProblem, resolveIngest } from './profiles.ts';
import { validate } from './validate.ts';
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

/** What is configured, whether it can be used or not. */
export interface GivenConfig extends Pick<LoadedConfig, 'folder' | 'path' | 'whereIs'> {
  /** With the values of the environment; as it was written, and possibly not valid. */
  readonly config: unknown;
}

export interface InspectedConfig {
  readonly given: GivenConfig;
  readonly problems: readonly Problem[];
  /** When there is no problem. */
  readonly loaded?: LoadedConfig;
}

/**
 * Reads, overrides from the environment, checks, fills in and freezes. Secrets stay references.
 * Throws a `ConfigError` with every problem that was found, or `GW_CONFIG_MISSING`.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { loaded, problems } = await inspectConfig(options);
  if (loaded === undefined) throw new ConfigError(problems);
  return loaded;
}

/** Does what `loadConfig` does, but tells the problems. Throws only what the file itself causes. */
export async function inspectConfig(options: LoadOptions): Promise<InspectedConfig> {
  const { environment, cwd } = options;
  const file = await readConfigFile(options);
  const source = file === undefined ? undefined : readYaml(file.text, shownPath(file.path, cwd));
  const given = source === undefined ? {} : withoutEmpty(source.value, source.value);
  const overridden = applyEnvironment(given, environment);
  const problems = [...(source?.problems ?? []), ...overridden.problems];
  const whereIs = placesOf(source, overridden);
  const folder = file === undefined ? cwd : dirname(file.path);
  const known = {
    folder,
    ...(file === undefined ? {} : { path: file.path }),
    whereIs: (path: Path) => (isGiven(path, source, overridden) ? whereIs(path, 'value') : ''),
  };
  const inspected = { given: { ...known, config: overridden.value }, problems };
  // What a file does not say because it ends in an error is not missing.
  const checked = source?.sound === false ? undefined : check(overridden, whereIs, problems);
  if (checked === undefined) return inspected;
  const machine = { hostName: hostname(), dataDir: dataDirOf(checked.data.dir, folder, options) };
  const shown = (path: string) => shownPath(path, cwd);
  const ingest = await resolveIngest(checked, folder, shown);
  problems.push(...ingest.problems.map((each) => placed(each, known.whereIs)));
  const config = completeConfig(checked, machine, ingest.mappings);
  problems.push(...(await archiveProblems(config.sinks, config.data.dir, known.whereIs)));
  return problems.length > 0 ? inspected : { ...inspected, loaded: { ...known, config } };
}

/** A problem of a profile has its place already. */
function placed(problem: IngestProblem, whereIs: (path: Path) => string): Problem {
  if ('where' in problem) return problem;
  const { path, message } = problem;
  return { where: whereIs(path), path: pathText(path), message };
}

type WhereIs = (path: Path, part: 'key' | 'value') => string;

function placesOf(source: YamlSource | undefined, overridden: Overridden): WhereIs {
  return (path, part) => {
    const variable = overridden.variableOf(path);
    if (variable !== undefined) return variable;
    const around = path.slice(0, -1);
    const inFile = source !== undefined && (path.length < 2 || source.has(around));
    // What a section lacks that only the environment speaks of.
    if (!inFile) return overridden.variableIn(around) ?? source?.whereIs(path, part) ?? '';
    return source.whereIs(path, part);
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

function check(overridden: Overridden, whereIs: WhereIs, problems: Problem[]) {
  const validated = validate(overridden.value);
  if ('data' in validated) return validated.data;
  for (const { path, message, atKey } of validated.findings) {
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
  const isPart = ({ type, const: word }: JsonSchema) =>
    type === 'object' || type === 'array' || word !== undefined;
  return schemas.every(isPart) && schemas.some(({ const: word }) => word === undefined);
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
