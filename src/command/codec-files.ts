import { isAbsolute, relative, resolve } from 'node:path';
import type { CodecFiles } from '../codec/codec.ts';
import { type ProtobufOptions, type ProtobufProblem, protobufProblems } from '../codec/protobuf.ts';
import { importCandidates, importsOf, isBuiltIn } from '../codec/protobuf-schema.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Path, type Problem, pathText } from '../config/problem.ts';
import { messageOf } from '../platform/errors.ts';
import { readTextFile } from '../platform/text-file.ts';

/** Files of all schemas together, those they import included. */
const filesMax = 500;

export interface LoadedCodecFiles {
  readonly files: CodecFiles;
  /** Each with its place: a line of a schema, or of the configuration. */
  readonly problems: readonly Problem[];
}

/** Reads what the codecs of the configuration refer to, and says everything that is wrong with it. */
export async function readCodecFiles(loaded: LoadedConfig, cwd: string): Promise<LoadedCodecFiles> {
  const files = new Map<string, string>();
  const problems: Problem[] = [];
  for (const { codec, origin } of loaded.config.ingest) {
    if (typeof codec === 'string' || codec.kind !== 'protobuf') continue;
    // A profile stands elsewhere; its files are found as those of the configuration are.
    const index = /^ingest\[(\d+)\]$/.exec(origin ?? '')?.[1];
    const path: Path = index === undefined ? ['profiles'] : ['ingest', Number(index), 'codec'];
    const options = codec as unknown as ProtobufOptions;
    const found = await readSchemas(options.files, files, path, loaded);
    if (found.length === 0) {
      found.push(...protobufProblems(options, files).map((each) => shown(each, path, loaded, cwd)));
    }
    problems.push(...found);
  }
  return { files, problems: withoutRepeats(problems) };
}

/** Reads the files and what they import into `files`; what cannot be read is a problem. */
async function readSchemas(
  names: readonly string[],
  files: Map<string, string>,
  path: Path,
  loaded: LoadedConfig,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const read = async (name: string): Promise<boolean> => {
    if (files.has(name)) return true;
    if (files.size >= filesMax) throw new Error(`there are more than ${filesMax} files`);
    const text = await readTextFile(resolve(loaded.folder, name));
    if (text === undefined) return false;
    files.set(name, text);
    for (const { name: imported } of importsOf(text)) {
      if (isBuiltIn(imported)) continue;
      // One that is nowhere is found missing when the schema is read.
      for (const candidate of importCandidates(name, imported, names)) {
        if (await read(candidate)) break;
      }
    }
    return true;
  };
  for (const [index, name] of names.entries()) {
    const at: Path = [...path, 'files', index];
    const place = { where: loaded.whereIs(at), path: pathText(at) };
    try {
      const isThere = await read(name);
      if (!isThere)
        problems.push({ ...place, message: `there is no file ${name}. Correct the path.` });
    } catch (error) {
      problems.push({ ...place, message: `${name} cannot be read: ${messageOf(error)}.` });
    }
  }
  return problems;
}

function shown(problem: ProtobufProblem, path: Path, loaded: LoadedConfig, cwd: string): Problem {
  if ('option' in problem) {
    const at: Path = [...path, ...problem.option];
    return { where: loaded.whereIs(at), path: pathText(at), message: `${problem.message}.` };
  }
  const { file, line, message } = problem;
  const full = resolve(loaded.folder, file);
  const short = relative(cwd, full);
  const name = short.startsWith('..') || isAbsolute(short) ? full : short;
  return { where: line === undefined ? name : `${name}:${line}`, path: '', message: `${message}.` };
}

/** Two mappings with one schema have one problem. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ where, path, message }) => {
    const key = JSON.stringify([where, path, message]);
    return !seen.has(key) && seen.add(key);
  });
}
