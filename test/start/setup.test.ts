import { mkdtemp, readFile, rm, symlink, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { repositoryRoot } from '../e2e/process/build.ts';
import { available, freePort } from '../services/child.ts';
import { copyTree, killWhatIsLeft, runScript, type Tree } from './tree.ts';

let tree: Tree;
afterEach(async () => {
  killWhatIsLeft();
  await tree.remove();
});

const setUp = async (environment = {}): Promise<{ status: unknown; said: string }> => {
  const running = runScript(tree, 'setup.mjs', [], environment);
  return { status: await running.ended, said: running.said };
};
const withPackages = async (): Promise<void> =>
  await symlink(join(await repositoryRoot(), 'node_modules'), join(tree.root, 'node_modules'));
const touch = async (path: string, offsetMs: number): Promise<void> => {
  const time = new Date(Date.now() + offsetMs);
  await utimes(join(tree.root, path), time, time);
};

test('sources are compiled when there is nothing, then only when something has changed', async () => {
  tree = await copyTree({ bare: true });
  await withPackages();
  await tree.write('src/main.ts', 'export const one: number = 1;\n');
  const first = await setUp();
  expect(first).toMatchObject({ status: 0 });
  expect(first.said).toMatch(/^Compiling … [\d.]+ s\.\nReady\./);
  expect((await setUp()).said).toMatch(/^Ready\./);

  await tree.write('src/main.ts', 'export const one: number = 2;\n');
  await touch('src/main.ts', 5_000);
  expect((await setUp()).said).toMatch(/^Compiling/);
  await touch('src/main.ts', -5_000);
  expect((await setUp()).said).toMatch(/^Ready\./);
  await tree.write('src/new.ts', 'export {};\n');
  await touch('src/new.ts', 5_000);
  expect((await setUp()).said).toMatch(/^Compiling/);
});

test('sources that do not compile are shown with the place, and are tried again', async () => {
  tree = await copyTree({ bare: true });
  await withPackages();
  await tree.write('src/main.ts', 'export const one: string = 1;\n');
  for (let attempt = 0; attempt < 2; attempt++) {
    const { status, said } = await setUp();
    expect(status).toBe(1);
    expect(said).toMatch(/The sources do not compile:\nsrc.main\.ts\(1,14\): error TS2322/);
  }
});

test('packages are installed when they are missing or not what the lock file asks for', async () => {
  tree = await copyTree({ bare: true });
  // Stands for npm: it says what it was asked, and installs nothing.
  await tree.write(
    'npm-cli.js',
    `import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
    mkdirSync('node_modules', { recursive: true });
    cpSync('package-lock.json', 'node_modules/.package-lock.json');
    writeFileSync('asked', process.argv.slice(2).join(' '));`,
  );
  await tree.write(
    'node_modules/typescript/bin/tsc',
    'import("node:fs").then((fs) => fs.mkdirSync("dist", { recursive: true }));',
  );
  const npm = { npm_execpath: join(tree.root, 'npm-cli.js') };
  const first = await setUp(npm);
  expect(first).toMatchObject({ status: 0 });
  expect(first.said).toMatch(/^Installing packages … [\d.]+ s\.\nCompiling … /);
  expect((await setUp(npm)).said).toMatch(/^Ready/);

  const lock = JSON.parse(await read('package-lock.json'));
  lock.packages['node_modules/mqtt'].version = '0.0.1';
  await tree.write('package-lock.json', JSON.stringify(lock));
  expect((await setUp(npm)).said).toMatch(/^Installing packages/);
  expect(await read('asked')).toMatch(/^ci /);
});

test.skipIf(!available('npm'))('without a network the remedy is named', async () => {
  tree = await copyTree({ bare: true });
  await tree.write('package.json', manifestOf({ ms: '2.1.3' }));
  const locked = { '': { dependencies: { ms: '2.1.3' } }, 'node_modules/ms': { version: '2.1.3' } };
  await tree.write('package-lock.json', JSON.stringify({ lockfileVersion: 3, packages: locked }));
  const cache = await mkdtemp(join(tmpdir(), 'tidegate-npm-'));
  try {
    const { status, said } = await setUp({
      npm_config_registry: `http://127.0.0.1:${await freePort()}`,
      npm_config_fetch_retries: '0',
      npm_config_cache: cache,
    });
    expect(status).toBe(1);
    expect(said).toContain('npm could not reach its registry');
    expect(said).toContain('Connect this machine to the network once');
    expect(said).not.toContain('at async');
  } finally {
    await rm(cache, { recursive: true });
  }
});

test('an old Node is told which one is needed', async () => {
  tree = await copyTree({ bare: true });
  await tree.write('package.json', manifestOf({}, '>=99.1'));
  const { status, said } = await setUp();
  expect(status).toBe(1);
  expect(said).toContain(`This is Node ${process.versions.node}; Tidegate needs 99.1 or newer.`);
});

test('the lock file names every package that npm ci will look for', async () => {
  tree = await copyTree({ bare: true });
  const { packages } = JSON.parse(await read('package-lock.json')) as Lock;
  const missing = Object.entries(packages).flatMap(([path, found]) =>
    Object.keys({ ...found.dependencies, ...found.optionalDependencies })
      .filter((name) => !foldersAbove(path).some((folder) => `${folder}${name}` in packages))
      .map((name) => `${name}, wanted by ${path || 'us'}`),
  );
  expect(missing).toEqual([]);
});

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly dependencies?: object; readonly optionalDependencies?: object }>
  >;
}

/** Where Node would look for a package that one in `path` wants. */
function foldersAbove(path: string): string[] {
  const parts = path.split('node_modules/').slice(1);
  const above = parts.map(
    (_, at) => `node_modules/${parts.slice(0, at + 1).join('node_modules/')}`,
  );
  return ['node_modules/', ...above.map((folder) => `${folder.replace(/\/$/, '')}/node_modules/`)];
}

function manifestOf(dependencies: object, node = '>=20.19'): string {
  return JSON.stringify({ type: 'module', engines: { node }, dependencies });
}

async function read(path: string): Promise<string> {
  return await readFile(join(tree.root, path), 'utf8');
}
