/**
 * A STATE WITH LISTS, A LINE A RECORD, so that damage costs one record and not all of them:
 *
 *   {"name":"broker","position":100,"state":{"version":1,…},"lists":{"sessions":2,"retained":1}}
 *   {"of":"broker","list":"sessions","at":0,"record":{"client":"gh-07",…}}
 *   …
 *   the first line once more
 *
 * A line without `lists` has all of its state in it, as every line had at first.
 */
import type { Json } from './cursor.ts';
import type { Position } from './log.ts';

/** A cursor on the disk. */
export interface SavedLine {
  readonly name: string;
  readonly position: Position;
  readonly state: Json;
  /** Records of its lists could not be read: they are not in the state. */
  readonly isPartial?: true;
}

interface Head extends SavedLine {
  readonly lists?: Readonly<Record<string, number>>;
}

interface RecordLine {
  readonly of: string;
  readonly list: string;
  readonly at: number;
  readonly record: Json;
}

/** A record that could not be read: in which list it was, and what it was about where that can still be seen. */
export interface LostRecord {
  readonly list: string;
  readonly name?: string;
}

/** The lines of a cursor: one, or, if it is told apart, one for each record of the lists of its state. */
export function* linesOf(
  { name, position, state }: SavedLine,
  isToldApart: boolean,
): Generator<string> {
  if (!isToldApart || typeof state !== 'object' || state === null) {
    yield JSON.stringify({ name, position, state });
    return;
  }
  const rest: Record<string, Json> = {};
  const lists: Record<string, readonly Json[]> = {};
  for (const [list, value] of Object.entries(state)) {
    if (Array.isArray(value)) lists[list] = value;
    else rest[list] = value;
  }
  const counts = Object.entries(lists).map(([list, { length }]) => [list, length]);
  const head = JSON.stringify({ name, position, state: rest, lists: Object.fromEntries(counts) });
  yield head;
  for (const [list, records] of Object.entries(lists)) {
    for (const [at, record] of records.entries()) {
      yield JSON.stringify({ of: name, list, at, record } satisfies RecordLine);
    }
  }
  yield head;
}

/** What the lines of a cursor say, as `linesOf` or a reading of the file has given them. */
export function savedLineOf(lines: string): SavedLine {
  const [first, ...others] = lines.split('\n');
  const { name, position, state, lists } = JSON.parse(first!) as Head;
  if (lists === undefined) return { name, position, state };
  const found: Record<string, Json[]> = {};
  for (const list of Object.keys(lists)) found[list] = [];
  for (const other of others) {
    const line = JSON.parse(other) as RecordLine | Head;
    if ('of' in line) found[line.list]?.push(line.record);
  }
  const isWhole = Object.entries(lists).every(([list, count]) => found[list]!.length === count);
  const all = { ...(state as Readonly<Record<string, Json>>), ...found };
  return { name, position, state: all, ...(isWhole ? {} : { isPartial: true }) };
}

/** Brings the lines of a file together by the names of their cursors. */
export function createLineCollection() {
  const heads = new Map<string, { readonly text: string; readonly head: Head }>();
  const records = new Map<string, Map<string, string>>();
  /** What is left of damaged lines. */
  const shreds: string[] = [];
  return {
    add(json: string): void {
      const line = JSON.parse(json) as RecordLine | Head;
      if (!('of' in line)) {
        heads.set(line.name, { text: json, head: line });
        return;
      }
      const its = records.get(line.of) ?? new Map<string, string>();
      its.set(`${line.list} ${line.at}`, json);
      records.set(line.of, its);
    },
    addDamaged(text: string): void {
      shreds.push(text);
    },
    /** The lines of each cursor; records whose cursor is not there are left out. */
    lines(): Map<string, string> {
      const lines = new Map<string, string>();
      for (const [name, { text, head }] of heads) {
        const its = records.get(name)?.values() ?? [];
        lines.set(name, head.lists === undefined ? text : [text, ...its, text].join('\n'));
      }
      return lines;
    },
    /** Which records are missing; undefined when nobody can know, since no line says what there should be. */
    lost(): readonly LostRecord[] | undefined {
      const told = [...heads.values()].filter(({ head }) => head.lists !== undefined);
      if (told.length === 0 || told.length < heads.size) return undefined;
      const names = namesIn(shreds);
      return told.flatMap(({ head }) =>
        Object.entries(head.lists!).flatMap(([list, count]) => {
          const missing: LostRecord[] = [];
          for (let at = 0; at < count; at++) {
            const key = `${list} ${at}`;
            if (records.get(head.name)?.has(key) === true) continue;
            const name = names.get(key);
            missing.push({ list, ...(name === undefined ? {} : { name }) });
          }
          return missing;
        }),
      );
    },
  };
}

/** A record begins with its name. */
const shredForm = /"list":"([^"]*)","at":(\d+),"record":(?:\[|\{"[^"]*":)("(?:[^"\\]|\\.)*")/g;

function namesIn(shreds: readonly string[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const shred of shreds) {
    for (const [, list, at, name] of shred.matchAll(shredForm)) {
      try {
        names.set(`${list} ${at}`, JSON.parse(name!) as string);
      } catch {
        // The damage is in the name.
      }
    }
  }
  return names;
}
