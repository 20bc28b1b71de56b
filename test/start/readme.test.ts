import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, type TestContext, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { openTestBroker, stopAll } from '../broker/harness.ts';
import { builtTidegate } from '../e2e/process/build.ts';
import { copyTree } from './tree.ts';

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
const publishing = /^mosquitto_pub -h (\S+) -p (\d+) -q 1 -t (\S+) -m '(\{.*\})'$/;
const making = /^sudo mkdir -p /;
const copying = /^(sudo )?cp (-r )?\S.* \S+$/;

/** Every command the README may show, and what must hold for it to work; others are run below. */
const known: readonly { readonly form: RegExp; works?(words: string[]): boolean }[] = [
  { form: /^npm (start|test)$/, works: ([, script]) => script! in manifest.scripts },
  { form: /^npm run \w+$/, works: ([, , script]) => script! in manifest.scripts },
  // They fetch packages: `test/start/setup.test.ts` has what can be tried without.
  { form: /^npm (ci|prune --omit=dev)$/, works: () => existsSync(join(root, 'package-lock.json')) },
  { form: /^node dist\/\S+\.js /, works: ([, script]) => compiled(script!) },
  { form: /^sudo systemctl enable --now tidegate$/, works: () => unitIsCopied },
  { form: publishing },
  { form: making },
  { form: copying },
];
const unitIsCopied = commands.some((line) =>
  /^sudo cp systemd\/tidegate\.service \/etc\/systemd\/system\/$/.test(line),
);

test.for(commands)('can be run: %s', (line) => {
  const fitting = known.find(({ form }) => form.test(line));
  expect(fitting, 'is of a known kind').toBeDefined();
  expect(fitting!.works?.(line.split(' ')) ?? true, 'names only what there is').toBe(true);
});

test('what the README publishes arrives', async (context) => {
  requireProgram('mosquitto_pub', context);
  const line = commands.find((each) => publishing.test(each))!;
  const [, host, port, topic, payload] = publishing.exec(line)!;
  const broker = await openTestBroker();
  // As it stands there, but for the port.
  const { status, stderr } = await shell(line.replace(`-p ${port}`, `-p ${broker.port}`), folder);
  await stopAll();
  expect([status, stderr, host]).toEqual([0, '', '127.0.0.1']);
  const messages = broker.messages.map((each) => [
    each.topic,
    Buffer.from(each.payload).toString(),
  ]);
  expect(messages).toEqual([[topic, payload]]);
  expect(JSON.parse(payload!)).toBeTypeOf('object');
});

test('what the README copies is an installation that the service can start', async () => {
  const tree = await copyTree();
  const prefix = join(folder, 'installed');
  try {
    for (const name of ['systemd', 'docs'])
      await cp(join(root, name), join(tree.root, name), { recursive: true });
    await mkdir(join(prefix, 'etc/systemd/system'), { recursive: true });
    const lines = commands.filter((each) => making.test(each) || copying.test(each));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      const here = line.replace(/^sudo /, '').replaceAll(' /', ` ${prefix}/`);
      expect(await shell(here, tree.root), line).toMatchObject({ status: 0, stderr: '' });
    }
    const unit = readFileSync(join(prefix, 'etc/systemd/system/tidegate.service'), 'utf8');
    const start = /^ExecStart=node (.*)$/m.exec(unit)![1]!.replaceAll('/usr/', `${prefix}/usr/`);
    const words = start.replaceAll('/etc/', `${prefix}/etc/`).split(' ');
    // Before the program stand flags of Node.
    const [main, , ...options] = words.slice(words.findIndex((word) => !word.startsWith('--')));
    const data = join(folder, 'installed-data');
    const given = [main, 'check', ...options, '--data', data].join(' ');
    const { status, stdout } = await shell(`'${process.execPath}' ${given}`, prefix);
    expect([status, stdout]).toEqual([0, `${options[1]} is valid.\n`]);
  } finally {
    await tree.remove();
  }
}, 60_000);

test.for(commands.filter((line) => /^node dist\/src\/main\.js check /.test(line)))(
  'a configuration of the README passes: %s',
  { timeout: 60_000 },
  async (line) => {
    const main = await builtTidegate();
    const yaml = blocks('yaml').join('');
    await writeFile(join(folder, 'tidegate.yaml'), yaml);
    const here = line.replace('node dist/src/main.js', `'${process.execPath}' ${main}`);
    expect(await shell(here, folder)).toMatchObject({ status: 0, stderr: '' });
  },
);

/** Runs a line as a person would, and resolves when it has ended. */
async function shell(line: string, cwd: string) {
  // What tests are told by TIDEGATE_ variables is no configuration.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('TIDEGATE_')),
  );
  const child = spawn('sh', ['-c', line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk) => {
      said[name] += chunk;
    });
  }
  const status = await new Promise((resolve) => child.once('close', resolve));
  return { status, ...said };
}

function requireProgram(name: string, context: TestContext): void {
  if (spawnSync(name, ['--help']).error === undefined) return;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error(`${name} is not installed.`);
  console.log(`skipped: ${name} is not installed.`);
  context.skip();
}

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
  const rows = [...readme.matchAll(/^\| `(\w+)`\s*\|/gm)].map((match) => match[1]);
  expect(rows.toSorted()).toEqual(Object.keys(sinkKinds).toSorted());
});

test('every link leads somewhere', () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
  const dead = links.filter(
    (link) => !link.startsWith('https://') && !existsSync(join(root, link)),
  );
  expect(dead).toEqual([]);
});
