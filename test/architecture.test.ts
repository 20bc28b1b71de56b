import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const path = (file: string) => relative(root, file).replaceAll('\\', '/');

interface Source {
  readonly path: string;
  readonly text: string;
}

/** Who may import whom. Not listed: `command/`, `gateway.ts` and `main.ts`, which may import anything. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/event': [],
  'src/kind': [],
  'src/platform': [],
  'src/codec': ['src/event', 'src/kind'],
  'src/rule': ['src/event', 'src/kind'],
  'src/projection': ['src/event'],
  'src/source': ['src/event', 'src/kind', 'src/platform'],
  'src/source/mqtt-broker.ts': ['src/event', 'src/kind', 'src/platform', 'src/broker'],
  'src/sink': ['src/event', 'src/kind', 'src/platform'],
  'src/broker': ['src/event', 'src/kind', 'src/platform'],
  'src/log': ['src/event', 'src/platform'],
  'src/profile': ['src/codec', 'src/event'],
  'src/schema': ['src/codec', 'src/event'],
  'src/flow': 'codec event log platform projection rule schema sink source'
    .split(' ')
    .map((folder) => `src/${folder}`),
  'src/config': 'broker codec kind platform profile rule schema sink source'
    .split(' ')
    .map((folder) => `src/${folder}`),
  'src/admin': ['src/event', 'src/log', 'src/platform', 'src/projection'],
  'firmware-sim': 'codec config event kind platform source'
    .split(' ')
    .map((folder) => `src/${folder}`),
};

const insideOut =
  /^(src\/(platform|command)\/|src\/main\.ts$|firmware-sim\/(main|pseudo-terminal)\.ts$)/;
const connected =
  /^(src\/(source|sink|broker|admin|platform|command)\/|src\/main\.ts$|firmware-sim\/(link|check)\/)/;
/** What reaches the world outside, where it may, and what to do instead. */
const doors: readonly { use: RegExp; allowed: RegExp; instead: string }[] = [
  {
    use: /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|\bperformance\b|\bhrtime\b/,
    allowed: insideOut,
    instead: 'take a Clock: simulated lives must be able to move time',
  },
  {
    use: /(?<!client\.)\bset(Timeout|Interval|Immediate)\b|\bAbortSignal\.timeout\b|'node:timers/,
    allowed: insideOut,
    instead: 'use clock.sleep: simulated lives must be able to move time',
  },
  {
    use: /\bMath\.random\b|\brandom(UUID|Bytes|Int)\b|\bgetRandomValues\b/,
    allowed: insideOut,
    instead: 'take a Random: a failure must repeat from its seed',
  },
  {
    use: /\bprocess\s*[.[]|'node:process'|'node:child_process'/,
    allowed: insideOut,
    instead: 'take the value as a parameter: one process runs many gateways in a test',
  },
  {
    use: /'node:fs(\/promises)?'/,
    allowed: insideOut,
    instead: 'take a Disk: every disk operation must be able to fail in a test',
  },
  {
    use: /'node:(net|tls|http|https|http2|dgram|dns)'|\bfetch\(/,
    allowed: connected,
    instead: 'only sources, sinks, the broker and admin talk to the network',
  },
];

/** Comments go, and texts that are not module names: they may speak of a process or of random bytes. */
function codeOf(text: string): string {
  const skipped = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?!node:|\.)(?:[^'\\\n]|\\.)*'/g;
  return text.replace(skipped, (found) => (found.startsWith("'") ? "''" : ''));
}

function importsOf(file: Source): string[] {
  const found = codeOf(file.text).matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map((match) => path(resolve(root, dirname(file.path), match[1]!)));
}

function folderOf(file: string): string {
  if (file in mayImport) return file;
  const [top, folder] = file.split('/');
  return top === 'src' ? `src/${folder}` : top!;
}

function importProblems(files: readonly Source[]): string[] {
  return files.flatMap((file) => {
    const from = folderOf(file.path);
    const allowed = mayImport[from];
    if (allowed === undefined) return [];
    return importsOf(file)
      .map((target) => ({ target, to: folderOf(target) }))
      .filter(
        ({ target, to }) => to !== from && ![to, dirname(target)].some((f) => allowed.includes(f)),
      )
      .filter(({ target }) => dirname(target) !== dirname(file.path))
      .map(
        ({ target }) =>
          `${file.path} imports ${target}; ${from} may import ${allowed.join(', ') || 'nothing of ours'}`,
      );
  });
}

function cycleProblems(files: readonly Source[]): string[] {
  const edges = new Map(files.map((file) => [file.path, importsOf(file)]));
  const done = new Set<string>();
  const problems: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    const seen = way.indexOf(file);
    if (seen >= 0) problems.push(`${[...way.slice(seen), file].join(' → ')} is a circle`);
    if (seen >= 0 || done.has(file)) return;
    for (const target of edges.get(file) ?? []) visit(target, [...way, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return problems;
}

function doorProblems(files: readonly Source[]): string[] {
  return files.flatMap((file) =>
    codeOf(file.text)
      .split('\n')
      .flatMap((line) =>
        doors
          .filter((door) => !door.allowed.test(file.path) && door.use.test(line))
          .map((door) => `${file.path}: ${line.trim()} — ${door.instead}`),
      ),
  );
}

/** A test may be named after a service that it is about. */
const emptyNames = /^(?!test\/).*[/-](utils?|helpers?|manager|common|types|service)\.[^/]*$/;
function shapeProblems(files: readonly Source[]): string[] {
  return files.flatMap((file) => {
    const lines = file.text.split('\n').length - 1;
    return [
      ...(lines > 400
        ? [`${file.path} has ${lines} lines; more than 400 do not fit in a head`]
        : []),
      ...(emptyNames.test(file.path)
        ? [`${file.path}: name it after the thing, not its role`]
        : []),
      ...(/\b(?:TO[D]O|FIX[M]E)\b/.test(file.text) ? [`${file.path} holds a note to do`] : []),
      ...(/\b(?:test|it|describe)\.on[l]y\b/.test(file.text)
        ? [`${file.path} skips the rest`]
        : []),
    ];
  });
}

function filesUnder(...folders: string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => ({ path: path(file), text: readFileSync(file, 'utf8') })),
  );
}

const program = filesUnder('src', 'firmware-sim');
const everything = [...program, ...filesUnder('test', 'scripts')];

test('every folder imports only what the table allows it', () => {
  expect(importProblems(program)).toEqual([]);
});

test('no file imports itself by way of others', () => {
  expect(cycleProblems(program)).toEqual([]);
});

test('time, chance, disk, process and network are reached through their doors only', () => {
  expect(doorProblems(program)).toEqual([]);
});

test('files are short, well named and finished', () => {
  expect(shapeProblems(everything)).toEqual([]);
});

test.for(['codec', 'sink', 'rule', 'source'])(
  'every kind of %s is in its table and has a sample',
  async (role) => {
    const folder = program.filter((file) => dirname(file.path) === `src/${role}`);
    const index = folder.find((file) => file.path === `src/${role}/index.ts`);
    if (index === undefined) return;
    const declares =
      /^export const \w+(:\s*| = .*\bsatisfies )\w*Kind\b|^\}(\s*as const)? satisfies \w*Kind\b/m;
    const listed = importsOf(index);
    const forgotten = folder.filter(
      (file) => declares.test(file.text) && !listed.includes(file.path),
    );
    expect(forgotten.map((file) => `${file.path} is not in src/${role}/index.ts`)).toEqual([]);

    const exports: Record<string, unknown> = await import(join(root, index.path));
    const samples = readdirSync(join(root, 'config/samples'));
    const kinds = Object.keys((exports[`${role}Kinds`] ?? {}) as object);
    expect(kinds, `src/${role}/index.ts exports no ${role}Kinds`).not.toEqual([]);
    const missing = kinds
      .map((kind) => `${role}-${kind}.yaml`)
      .filter((name) => !samples.includes(name));
    expect(missing, 'config/samples lacks these').toEqual([]);
  },
);

test('each rule sees a breach', () => {
  const of = (file: string, text: string) => [{ path: file, text }];
  expect(
    importProblems(of('src/rule/x.ts', "import type { Log } from '../log/log.ts';")),
  ).toHaveLength(1);
  expect(importProblems(of('src/source/x.ts', "import { a } from '../broker/a.ts';"))).toHaveLength(
    1,
  );
  expect(
    importProblems(of('src/source/mqtt-broker.ts', "import { a } from '../broker/a.ts';")),
  ).toEqual([]);
  const circle = [
    ...of('src/log/a.ts', "import './b.ts'"),
    ...of('src/log/b.ts', "export * from './a.ts'"),
  ];
  expect(cycleProblems(circle)).toHaveLength(1);
  const breaches = [
    'Date.now()',
    'new Date()',
    'setTimeout(f, 1)',
    'Math.random()',
    'process.env',
    "import 'node:fs'",
  ];
  for (const breach of breaches)
    expect(doorProblems(of('src/flow/x.ts', breach)), breach).toHaveLength(1);
  expect(
    doorProblems(of('src/flow/x.ts', "// The process.\nnew Date(at); throw Error('process.');")),
  ).toEqual([]);
  expect(shapeProblems(of('src/log/log-utils.ts', '\n'.repeat(401)))).toHaveLength(2);
});
