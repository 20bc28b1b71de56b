import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { type Path, type Problem, pathText } from './problem.ts';

/** A YAML file as plain data, with the places its values stand at. */
export interface YamlSource {
  /** What the file says; an empty object when it says nothing. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** The file could be read to its end, so that what is missing in it is really missing. */
  readonly sound: boolean;
  /** `file:line:column` of a value, or of its key; of what is around it when it is not there. */
  whereIs(path: Path, part: 'key' | 'value'): string;
  /** Whether the value at the path stands in this file. */
  has(path: Path): boolean;
}

/** Aliases to expand; a few that refer to each other could fill the memory. */
const aliasesMax = 100;

/** Never throws: what is wrong with the YAML is in `problems`. */
export function readYaml(text: string, file: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Found by `structureProblems`, which knows the path and the first of the two.
    uniqueKeys: false,
  });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return `${file}:${line}:${col}`;
  };
  const problems: Problem[] = firstOfEachLine(document, lines).map((error) => ({
    where: place(error.pos[0]),
    path: '',
    message: syntaxMessageOf(error),
  }));
  if (text.trim() === '') {
    const message = 'the file is empty. Delete it to run on the defaults, or write what you need.';
    problems.push({ where: file, path: '', message });
  }
  let value: unknown = {};
  let sound = document.errors.length === 0;
  if (sound) {
    const structure = structureProblems(document, place, lines);
    problems.push(...structure.problems);
    sound = structure.sound;
  }
  if (sound) {
    try {
      value = document.toJS({ maxAliasCount: aliasesMax }) ?? {};
    } catch {
      sound = false;
      const message = 'its aliases stand for too much. Write out what they stand for.';
      problems.push({ where: file, path: '', message });
    }
  }
  return {
    value,
    problems,
    sound,
    whereIs: (path, part) => place(offsetOf(document, path, part)),
    has: (path) => nodesOf(document, path).length === path.length + 1,
  };
}

/** What follows an error in its line is mostly a consequence. */
function firstOfEachLine(document: Document.Parsed, lines: LineCounter): YAMLError[] {
  const seen = new Set<number>();
  return [...document.errors, ...document.warnings].filter((error) => {
    const { line } = lines.linePos(error.pos[0]);
    const isFirst = !seen.has(line);
    seen.add(line);
    return isFirst;
  });
}

/** Keys that appear twice or that no configuration could have, and aliases of nothing. */
function structureProblems(
  document: Document.Parsed,
  place: (offset: number) => string,
  lines: LineCounter,
): { problems: Problem[]; sound: boolean } {
  const problems: Problem[] = [];
  let sound = true;
  const visitMap = (map: YAMLMap, path: Path): void => {
    const seen = new Map<string, number>();
    for (const pair of map.items) {
      const offset = startOf(pair.key) ?? 0;
      const key = keyOf(pair);
      const add = (at: Path, message: string) =>
        problems.push({ where: place(offset), path: pathText(at), message });
      if (key === undefined) {
        sound = false;
        add(path, 'has a key that is not a plain text. Write a word before the colon.');
        continue;
      }
      const first = seen.get(key);
      if (first !== undefined) {
        const line = lines.linePos(first).line;
        add([...path, key], `appears twice, first in line ${line}. Keep one of the two.`);
      }
      seen.set(key, first ?? offset);
      if (key === '__proto__') add([...path, key], 'may not be used as a name. Choose another.');
      else visit(pair.value, [...path, key]);
    }
  };
  const visit = (node: unknown, path: Path): void => {
    if (isAlias(node) && node.resolve(document) === undefined) {
      sound = false;
      const message = `there is no anchor &${node.source}. Put a value that begins with * in quotes.`;
      problems.push({ where: place(startOf(node) ?? 0), path: pathText(path), message });
    }
    if (isMap(node)) visitMap(node, path);
    else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) visit(item, [...path, index]);
    }
  };
  visit(document.contents, []);
  return { problems, sound };
}

function keyOf(pair: Pair): string | undefined {
  const { key } = pair;
  return isScalar(key) && key.value !== null ? String(key.value) : undefined;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** The nodes along a path, as far as it can be followed: the root, then a pair or item per step. */
function nodesOf(document: Document.Parsed, path: Path): unknown[] {
  const nodes: unknown[] = [document.contents];
  for (const step of path) {
    const last = nodes.at(-1);
    let node: unknown = isPair(last) ? last.value : last;
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) next = node.items.findLast((pair) => keyOf(pair) === String(step));
    else if (isSeq(node)) next = node.items[Number(step)];
    if (next === undefined) break;
    nodes.push(next);
  }
  return nodes;
}

function offsetOf(document: Document.Parsed, path: Path, part: 'key' | 'value'): number {
  const nodes = nodesOf(document, path);
  const last = nodes.at(-1);
  if (!isPair(last)) return startOf(last) ?? 0;
  // What is missing is missed at the key of what it should be in.
  const whole = nodes.length === path.length + 1;
  const value = whole && part === 'value' ? startOf(last.value) : undefined;
  return value ?? startOf(last.key) ?? 0;
}

/** What a mistake is called by those who do not know the grammar of YAML, and its remedy. */
function syntaxMessageOf({ code, message }: YAMLError): string {
  const words = message.charAt(0).toLowerCase() + message.slice(1).replace(/[.:]?\s*$/, '');
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab may not indent. Use spaces.';
    case 'BAD_INDENT':
      return message.startsWith('Flow')
        ? 'a bracket before this is not closed. Add the missing ] or }.'
        : 'the indentation does not fit. Keys of one mapping begin in one column.';
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'the value holds a colon and a space. Put the whole value in quotes.';
    case 'MULTILINE_IMPLICIT_KEY':
      return 'this is not "key: value". Write a colon and a space behind the key.';
    case 'UNEXPECTED_TOKEN':
      return 'this does not belong to what stands before it. Put the whole value in quotes, or correct the indentation.';
    case 'BAD_SCALAR_START':
      return `a value may not begin with ${words.slice(-1)}. Put it in quotes.`;
    case 'BAD_DQ_ESCAPE':
      return `${words}. Use single quotes, in which a backslash is only a backslash.`;
    case 'TAG_RESOLVE_FAILED':
      return 'a value that begins with ! must stand in quotes.';
    case 'MULTIPLE_DOCS':
      return 'a second document begins here. Remove the line --- and what follows.';
    case 'MISSING_CHAR':
      if (/quote\b/.test(message)) return 'a quote before this is not closed. Add the missing one.';
      return `${words}. Add what is missing.`;
    default:
      return `${words}. Correct the YAML.`;
  }
}
