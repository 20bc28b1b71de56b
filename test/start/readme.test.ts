import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { sinkKinds } from '../../src/sink/index.ts';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = await mkdtemp(join(tmpdir(), 'tidegate-readme-'));
afterAll(async () => await rm(folder, { recursive: true }));

const blocks = (language: string): string[] =>
  [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2]!);
const commands = blocks('sh')
  .flatMap((block) => block.split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '');

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const compiled = (path: string): boolean =>
  existsSync(join(root, path.replace(/^dist\//, '').replace(/\.js$/, '.ts')));
const fromHere = /^(sudo )?cp (-r )?(?<sources>.+) \S+$/;

/** Every command the README may show, and what must hold for it to work. */
const known: readonly { readonly form: RegExp; works(words: string[], line: string): boolean }[] = [
  { form: /^npm (start|test)$/, works: ([, script]) => script! in manifest.scripts },
  { form: /^npm run \w+$/, works: ([, , script]) => script! in manifest.scripts },
  { form: /^npm (ci|prune --omit=dev)$/, works: () => true },
  { form: /^node dist\/\S+\.js /, works: ([, script]) => compiled(script!) },
  { form: /^mosquitto_pub -h \S+ -p \d+ -q 1 -t \S+ -m '\{.*\}'$/, works: () => true },
  { form: /^sudo (mkdir -p|systemctl enable --now) /, works: () => true },
  { form: fromHere, works: (_, line) => sourcesExist(line) },
];

/** What is copied is in the repository, or made by the commands before. */
function sourcesExist(line: string): boolean {
  const sources = fromHere.exec(line)!.groups!.sources!.split(' ');
  return sources.every(
    (path) => /^(dist|node_modules)$/.test(path) || existsSync(join(root, path)),
  );
}

test.for(commands)('can be run: %s', (line) => {
  const fitting = known.find(({ form }) => form.test(line));
  expect(fitting, 'is of a known kind').toBeDefined();
  expect(fitting!.works(line.split(' '), line), 'names only what there is').toBe(true);
});

test('the README shows commands and a configuration', () => {
  expect(commands.length).toBeGreaterThan(5);
  expect(blocks('yaml').length).toBeGreaterThan(0);
});

test.for([...blocks('yaml').entries()])('configuration %i is valid', async ([index, text]) => {
  expect(parse(text)).toBeTypeOf('object');
  const path = join(folder, `${index}.yaml`);
  await writeFile(path, text);
  const { config } = await loadConfig({ path, environment: {}, cwd: folder });
  expect(Object.keys(config.sinks ?? {})).toEqual(Object.keys(parse(text).sinks ?? {}));
});

test('what npm start runs without a configuration is valid', async () => {
  const path = join(root, 'config/greenhouse.yaml');
  const { config } = await loadConfig({ path, environment: {}, cwd: folder });
  expect(Object.keys(config.rules)).toEqual(['overheat', 'silent']);
});

test('the table of sinks names every kind of sink', () => {
  const rows = [...readme.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
  expect(rows.toSorted()).toEqual(Object.keys(sinkKinds).toSorted());
});

test('every link leads somewhere', () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
  const dead = links.filter(
    (link) => !link.startsWith('https://') && !existsSync(join(root, link)),
  );
  expect(dead).toEqual([]);
});
