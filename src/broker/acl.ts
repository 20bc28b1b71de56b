import { filterMatches } from './topic-tree.ts';

/** One thing that is wrong in a file of users or of rights; both counted from 1. */
export interface FileProblem {
  readonly line: number;
  readonly column: number;
  /** What is wrong, then the remedy. */
  readonly message: string;
}

interface Rule {
  readonly filter: string;
  /** Neither is a denial. */
  readonly read: boolean;
  readonly write: boolean;
}

/** Who may read and write what: the rules of a file, denials first. */
export interface Acl {
  readonly users: ReadonlyMap<string, readonly Rule[]>;
  /** For clients without a user name. */
  readonly anonymous: readonly Rule[];
  /** For everybody; `%c` stands for the client identifier and `%u` for the user name. */
  readonly patterns: readonly Rule[];
}

const accesses: Readonly<Record<string, Omit<Rule, 'filter'>>> = {
  read: { read: true, write: false },
  write: { read: false, write: true },
  readwrite: { read: true, write: true },
  deny: { read: false, write: false },
};

/** What a client asks of a topic. */
export type Use = 'read' | 'write';

/**
 * Reads an ACL file of Mosquitto (mosquitto.conf(5), acl_file). Where there are problems, the ACL
 * is not to be used.
 */
export function parseAcl(text: string): { readonly acl: Acl; readonly problems: FileProblem[] } {
  const users = new Map<string, Rule[]>();
  const anonymous: Rule[] = [];
  const patterns: Rule[] = [];
  const problems: FileProblem[] = [];
  let topics = anonymous;
  for (const [index, line] of text.split('\n').entries()) {
    const add = (column: number, message: string): void => {
      problems.push({ line: index + 1, column, message });
    };
    const trimmed = line.trimEnd();
    const word = /^ *([^ ]+)/.exec(trimmed)?.[1];
    if (word === undefined || trimmed.startsWith('#')) continue;
    const at = trimmed.indexOf(word);
    const rest = trimmed.slice(at + word.length);
    if (word === 'user') {
      const name = rest.trim();
      if (name === '') add(at + 1, 'a user without a name. Write: user NAME.');
      topics = users.get(name) ?? [];
      users.set(name, topics);
    } else if (word === 'topic' || word === 'pattern') {
      const rule = ruleOf(rest, at + word.length, add);
      if (rule !== undefined) (word === 'topic' ? topics : patterns).push(rule);
    } else {
      add(at + 1, `${JSON.stringify(word)} is not known. Write user, topic, pattern or a comment.`);
    }
  }
  for (const rules of [anonymous, patterns, ...users.values()]) rules.sort(byDenial);
  return { acl: { users, anonymous, patterns }, problems };
}

/** The rule of ` read a/#`, which begins in that column less one. */
function ruleOf(
  rest: string,
  from: number,
  add: (column: number, message: string) => void,
): Rule | undefined {
  const first = /^ *([^ ]+) *(.*)$/d.exec(rest);
  if (first === null) {
    add(from + 1, 'a topic is missing. Write for instance: topic read sensors/#.');
    return undefined;
  }
  const [, word, topic] = first as unknown as [string, string, string];
  const [, wordAt, topicAt] = first.indices!;
  const filter = topic === '' ? word : topic;
  const column = from + (topic === '' ? wordAt![0] : topicAt![0]) + 1;
  const access = topic === '' ? accesses.readwrite : ownOf(accesses, word);
  if (access === undefined) {
    add(
      from + wordAt![0] + 1,
      `${JSON.stringify(word)} is not an access. Write read, write, readwrite or deny before the topic.`,
    );
    return undefined;
  }
  const problem = filterProblem(filter);
  if (problem === undefined) return { ...access, filter };
  add(column, problem);
  return undefined;
}

function ownOf<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function filterProblem(filter: string): string | undefined {
  const levels = filter.split('/');
  if (levels.slice(0, -1).some((level) => level.includes('#')) || /[^/]#/.test(filter)) {
    return '# must be the last level, alone. Write for instance sensors/#.';
  }
  if (levels.some((level) => level.length > 1 && level.includes('+'))) {
    return '+ must be a whole level. Write for instance sensors/+/temperature.';
  }
  return undefined;
}

function byDenial(a: Rule, b: Rule): number {
  return Number(a.read || a.write) - Number(b.read || b.write);
}

/** The rules of an ACL for one client, in the order in which they are asked. */
export interface ClientRules {
  readonly own: readonly Rule[];
  readonly patterns: readonly Rule[];
  /** Names with wildcards would stand for more than themselves: no pattern counts for them. */
  readonly patternsDenied: boolean;
}

export function rulesFor(
  { users, anonymous, patterns }: Acl,
  client: string,
  username: string | undefined,
): ClientRules {
  const own = (username === undefined ? anonymous : users.get(username)) ?? [];
  const patternsDenied = patterns.length > 0 && /[+#]/.test(client + (username ?? ''));
  const named = patterns
    .filter(({ filter }) => username !== undefined || !filter.includes('%u'))
    .map((rule) => ({
      ...rule,
      filter: rule.filter.replace(/%[cu]/g, (which) =>
        which === '%c' ? client : (username ?? which),
      ),
    }));
  return { own, patterns: named, patternsDenied };
}

/**
 * Whether the first rule that has something to say allows the use. A rule that allows counts only
 * if its filter begins with `prefix`.
 */
export function allows(rules: ClientRules, use: Use, topic: string, prefix = ''): boolean {
  // What a broker says of itself is only found by name [MQTT-4.7.2-1].
  const begin = prefix === '' && topic[0] === '$' ? '$' : prefix;
  const speaks = (rule: Rule): boolean =>
    (rule[use] ? rule.filter.startsWith(begin) : !rule.read && !rule.write) &&
    filterMatches(rule.filter, topic);
  const own = rules.own.find(speaks);
  if (own !== undefined) return own[use];
  return !rules.patternsDenied && rules.patterns.find(speaks)?.[use] === true;
}
