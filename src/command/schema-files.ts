import { resolve } from 'node:path';
import { problemText } from '../codec/protobuf.ts';
import { importCandidates, importsOf, isBuiltIn, readSchema } from '../codec/protobuf-schema.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Path, type Problem, pathText } from '../config/problem.ts';
import { messageOf } from '../platform/errors.ts';
import { readTextFile } from '../platform/text-file.ts';
import { type JsonSchemaNode, type Narrowing, narrowingsOf } from '../schema/compatibility.ts';
import { createValidator } from '../schema/json-validator.ts';
import { isProto, type SchemaOptions } from '../schema/options.ts';
import { protoNarrowingsOf } from '../schema/proto-compatibility.ts';
import {
  createRegistry,
  type NamedSchema,
  type SchemaRegistry,
  type SchemaVersion,
} from '../schema/registry.ts';

export interface LoadedSchemas {
  readonly registry: SchemaRegistry;
  /** What cannot be used, each at its place in the configuration. */
  readonly problems: readonly Problem[];
  /** Where versions are not compatible as the configuration asks. */
  readonly incompatible: readonly Problem[];
}

/** A version that was read: what it takes of what another takes can be told. */
interface ReadVersion extends SchemaVersion {
  readonly path: Path;
  /** What this one refuses of what the other takes. */
  refusedOf(other: ReadVersion): readonly Narrowing[];
  readonly read: unknown;
}

/** Files that a .proto file and its imports may be. */
const filesMax = 100;

/** Reads the schemas of the configuration and compares their versions. */
export async function readSchemas(loaded: LoadedConfig): Promise<LoadedSchemas> {
  const problems: Problem[] = [];
  const incompatible: Problem[] = [];
  const schemas: NamedSchema[] = [];
  const place = (path: Path, message: string): Problem => ({
    ...{ where: loaded.whereIs(path), path: pathText(path) },
    message,
  });
  for (const [name, options] of Object.entries(loaded.config.schemas)) {
    const versions: ReadVersion[] = [];
    for (const [version, file] of Object.entries(options.versions)) {
      const path = ['schemas', name, 'versions', version];
      try {
        versions.push(await readVersion(name, Number(version), file, options, path, loaded.folder));
      } catch (error) {
        problems.push(place(path, `${file}: ${messageOf(error)}.`));
      }
    }
    versions.sort((a, b) => a.version - b.version);
    for (const { path, message } of incompatibilities(versions, options)) {
      incompatible.push(place(path, message));
    }
    if (versions.length > 0) schemas.push({ name, options, versions: versions.toReversed() });
  }
  return { registry: createRegistry(schemas), problems, incompatible };
}

function incompatibilities(
  versions: readonly ReadVersion[],
  { compatibility }: SchemaOptions,
): { readonly path: Path; readonly message: string }[] {
  const said: { path: Path; message: string }[] = [];
  for (let index = 1; index < versions.length; index++) {
    const [before, after] = [versions[index - 1]!, versions[index]!];
    const add = (narrowings: readonly Narrowing[], what: string): void => {
      for (const { path, message } of narrowings) {
        said.push({ path: after.path, message: `${what}: ${path} ${message}.` });
      }
    };
    if (compatibility === 'backward' || compatibility === 'full') {
      add(after.refusedOf(before), `is not backward compatible with ${before.version}`);
    }
    if (compatibility === 'forward' || compatibility === 'full') {
      add(before.refusedOf(after), `is not forward compatible with ${before.version}`);
    }
  }
  return said;
}

async function readVersion(
  name: string,
  version: number,
  file: string,
  options: SchemaOptions,
  path: Path,
  folder: string,
): Promise<ReadVersion> {
  const uri = `urn:tidegate:schema:${name}:${version}`;
  return isProto(file)
    ? await readProto({ version, uri, path }, file, options.message!, folder)
    : await readJsonSchema({ version, uri, path }, file, folder);
}

type Named = Pick<ReadVersion, 'version' | 'uri' | 'path'>;

async function readJsonSchema(named: Named, file: string, folder: string): Promise<ReadVersion> {
  const text = await needed(file, folder);
  const schema = JSON.parse(text) as JsonSchemaNode;
  const isSchema = typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null);
  if (!isSchema || Array.isArray(schema)) throw new Error('a JSON Schema is an object');
  const id = typeof schema === 'object' ? schema.$id : undefined;
  return {
    ...named,
    uri: typeof id === 'string' ? id : named.uri,
    problemOf: await createValidator(schema),
    read: schema,
    refusedOf: (other) => narrowingsOf(other.read as JsonSchemaNode, schema),
  };
}

async function readProto(
  named: Named,
  file: string,
  message: string,
  folder: string,
): Promise<ReadVersion> {
  const texts = new Map<string, string>();
  const read = async (name: string): Promise<boolean> => {
    if (texts.has(name)) return true;
    if (texts.size >= filesMax) throw new Error(`it imports more than ${filesMax} files`);
    const text = await readTextFile(resolve(folder, name));
    if (text === undefined) return false;
    texts.set(name, text);
    for (const { name: imported } of importsOf(text)) {
      if (isBuiltIn(imported)) continue;
      for (const candidate of importCandidates(name, imported, [file])) {
        if (await read(candidate)) break;
      }
    }
    return true;
  };
  if (!(await read(file))) throw new Error('there is no such file');
  const found = readSchema([file], texts);
  if ('problems' in found) throw new Error(found.problems.map(problemText).join(' '));
  const type = found.schema.typeOf(message);
  if (type === undefined) throw new Error(`there is no message ${message}`);
  return {
    ...named,
    read: type,
    refusedOf: (other) => protoNarrowingsOf(other.read as typeof type, type),
  };
}

async function needed(file: string, folder: string): Promise<string> {
  const text = await readTextFile(resolve(folder, file));
  if (text === undefined) throw new Error('there is no such file');
  return text;
}
