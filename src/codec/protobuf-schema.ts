import { createRequire } from 'node:module';
import type { Type } from 'protobufjs';
import type { CodecFiles } from './codec.ts';

type Protobuf = typeof import('protobufjs');

let loaded: Protobuf | undefined;

/** The library that reads schemas: 8 MB that only those need who have one. */
export function protobufLibrary(): Protobuf {
  loaded ??= createRequire(import.meta.url)('protobufjs') as Protobuf;
  return loaded;
}

/** What is wrong with a schema, and where: `line` counts from 1. */
export interface SchemaProblem {
  readonly file: string;
  readonly line: number | undefined;
  readonly message: string;
}

export interface Schema {
  /** The message type of that name, with its package; undefined when there is none. */
  typeOf(name: string): Type | undefined;
  /** Every message type there is, by full name. */
  readonly names: readonly string[];
}

const importLine = /^[ \t]*import\s+(?:public\s+|weak\s+|option\s+)?(["'])([^"'\n]+)\1\s*;/gm;
const comments = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;

/** What a .proto file imports, in its order, and on which lines. */
export function importsOf(text: string): { readonly name: string; readonly line: number }[] {
  // Of the same length and with the same lines, but without what is said in comments.
  const bare = text.replace(comments, (comment) => comment.replace(/[^\n]/g, ' '));
  return [...bare.matchAll(importLine)].map((match) => ({
    name: match[2]!,
    line: lineAt(bare, bare.indexOf('import', match.index)),
  }));
}

/** Those of Google's own files that the library has. */
export function isBuiltIn(name: string): boolean {
  return protobufLibrary().common.get(name) !== null;
}

/**
 * The paths at which an import may be found, in the order they are tried: beside the file that
 * imports it, beside the configured files, and as it stands.
 */
export function importCandidates(
  importer: string,
  name: string,
  files: readonly string[],
): readonly string[] {
  const folders = [importer, ...files].map((file) => file.slice(0, file.lastIndexOf('/') + 1));
  return [...new Set([...folders, ''].map((folder) => normal(folder + name)))];
}

function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '.' || (part === '' && parts.length > 0)) continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

/** Reads the files and all they import. A schema, or what is wrong with it. */
export function readSchema(
  files: readonly string[],
  texts: CodecFiles,
): { readonly schema: Schema } | { readonly problems: readonly SchemaProblem[] } {
  const { Root, common, parse } = protobufLibrary();
  const root = new Root();
  const read = new Set<string>();
  const problems: SchemaProblem[] = [];
  const readFile = (file: string): void => {
    if (read.has(file)) return;
    read.add(file);
    const text = texts.get(file);
    if (text === undefined) {
      problems.push({ file, line: undefined, message: 'the file is not there' });
      return;
    }
    for (const { name, line } of importsOf(text)) {
      const builtIn = common.get(name);
      const found = importCandidates(file, name, files).find((each) => texts.has(each));
      if (builtIn !== null) {
        if (!read.has(name)) root.addJSON(builtIn.nested ?? {});
        read.add(name);
      } else if (found !== undefined) readFile(found);
      else problems.push({ file, line, message: `imports ${name}, which is not there` });
    }
    try {
      parse(text, root, { keepCase: true });
    } catch (error) {
      problems.push(syntaxProblem(file, text, (error as Error).message));
    }
  };
  for (const file of files) readFile(file);
  if (problems.length > 0) return { problems };
  try {
    root.resolveAll();
  } catch (error) {
    return { problems: [meaningProblem(files, read, texts, (error as Error).message)] };
  }
  return { schema: schemaOf(root) };
}

function schemaOf(root: import('protobufjs').Root): Schema {
  const types = new Map<string, Type>();
  const visit = (namespace: import('protobufjs').NamespaceBase): void => {
    for (const each of namespace.nestedArray) {
      if ('fieldsArray' in each) types.set(each.fullName.slice(1), each as Type);
      if ('nestedArray' in each) visit(each as import('protobufjs').NamespaceBase);
    }
  };
  visit(root);
  const names = [...types.keys()].filter((name) => !name.startsWith('google.protobuf.'));
  return { typeOf: (name) => types.get(name.replace(/^\./, '')), names };
}

function syntaxProblem(file: string, text: string, message: string): SchemaProblem {
  const place = /\s*\((?:[^()]*, )?line (\d+)\)/.exec(message);
  if (place === null) return { file, line: lineOfNamed(text, message), message };
  return { file, line: Number(place[1]), message: message.replace(place[0], '') };
}

/** What is wrong once all is read together: a type that does not exist. */
function meaningProblem(
  files: readonly string[],
  read: ReadonlySet<string>,
  texts: CodecFiles,
  message: string,
): SchemaProblem {
  for (const file of read) {
    const text = texts.get(file);
    const line = text === undefined ? undefined : lineOfNamed(text, message);
    if (line !== undefined) return { file, line, message };
  }
  return { file: files[0]!, line: undefined, message };
}

/** The line on which what the message quotes, or else names last, is used first. */
function lineOfNamed(text: string, message: string): number | undefined {
  const bare = text.replace(comments, (comment) => comment.replace(/[^\n]/g, ' '));
  const quoted = /'([\w.]+)'/.exec(message)?.[1];
  const named = /([A-Za-z_]\w*)\W*$/.exec(message)?.[1];
  const word = quoted ?? named;
  if (word === undefined) return undefined;
  const at = new RegExp(`(?<![\\w.])${word.replaceAll('.', '\\.')}(?![\\w.])`).exec(bare)?.index;
  return at === undefined ? undefined : lineAt(bare, at);
}

function lineAt(text: string, at: number): number {
  let line = 1;
  for (
    let index = text.indexOf('\n');
    index >= 0 && index < at;
    index = text.indexOf('\n', index + 1)
  ) {
    line++;
  }
  return line;
}
