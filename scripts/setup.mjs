#!/usr/bin/env node
// Makes a checkout ready to run: packages installed, sources compiled. Does nothing twice.
// Needs only Node and npm; npm needs the network, once.

import { spawn } from 'node:child_process';
import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Something the reader of the message can mend. */
export class SetupError extends Error {}

const compiled = ['src', 'firmware-sim', 'test/bench', 'test/e2e/process'];
const settings = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];
/** Touched when a build has succeeded. The compiler keeps its own file, but not always up to date. */
const stamp = join(root, 'dist', '.built');

/** Resolves when the checkout is ready. Rejects with a `SetupError` that names the remedy. */
export async function setUp({ build = true } = {}) {
  checkNode(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).engines.node);
  if (!(await isInstalled())) await step('Installing packages', install);
  if (build && !(await isBuilt())) await step('Compiling', compile);
}

function checkNode(range) {
  const [major, minor] = range.match(/\d+/g).map(Number);
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  if (ownMajor > major || (ownMajor === major && ownMinor >= minor)) return;
  throw new SetupError(
    `This is Node ${process.versions.node}; Tidegate needs ${major}.${minor} or newer. ` +
      'On Debian 13 and Raspberry Pi OS: sudo apt install nodejs npm. Elsewhere: https://nodejs.org',
  );
}

/** Compares what npm installed with what the lock file asks for: times say nothing after a copy. */
async function isInstalled() {
  const wanted = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')).packages;
  const hidden = join(root, 'node_modules', '.package-lock.json');
  const found = await readFile(hidden, 'utf8').then(
    (text) => JSON.parse(text).packages,
    () => undefined,
  );
  if (found === undefined) return false;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    return found[path] === undefined ? optional === true : found[path].version === version;
  });
}

async function install() {
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, said } = npm?.endsWith('.js')
    ? await run(process.execPath, [npm, ...args])
    : await run('npm', args);
  if (status === 0) return;
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|network/i.test(said)) {
    throw new SetupError(
      `npm could not reach its registry:\n${said}\n` +
        'Connect this machine to the network once, or copy node_modules from a machine of the ' +
        'same kind. Behind a proxy: npm config set proxy http://HOST:PORT',
    );
  }
  if (said.includes('spawn npm ENOENT')) {
    throw new SetupError('npm is not installed. On Debian: sudo apt install npm');
  }
  throw new SetupError(`npm ci failed:\n${said}`);
}

async function isBuilt() {
  const built = await timeOf(stamp);
  const names = await Promise.all(
    compiled.map(async (folder) => {
      const found = await readdir(join(root, folder), { recursive: true }).catch(() => []);
      return [folder, ...found.map((name) => join(folder, name))];
    }),
  );
  const times = await Promise.all([...settings, ...names.flat()].map((n) => timeOf(join(root, n))));
  return times.every((time) => time < built);
}

async function timeOf(path) {
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

async function compile() {
  // What is changed while the compiler runs must count as newer.
  const startedAt = new Date();
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, said } = await run(process.execPath, [compiler, '-p', 'tsconfig.build.json']);
  if (status !== 0) throw new SetupError(`The sources do not compile:\n${said}`);
  await writeFile(stamp, '');
  await utimes(stamp, startedAt, startedAt);
}

async function step(what, work) {
  const startedAt = performance.now();
  process.stderr.write(`${what} …`);
  try {
    await work();
  } catch (error) {
    process.stderr.write(' failed.\n');
    throw error;
  }
  process.stderr.write(` ${((performance.now() - startedAt) / 1_000).toFixed(1)} s.\n`);
}

/** Resolves with the exit status of a program and everything it said. */
function run(program, args) {
  return new Promise((resolve) => {
    const options = { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] };
    const child = spawn(program, args, options);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
      });
    }
    child.on('error', (error) => resolve({ status: 1, said: error.message }));
    child.on('close', (status) => resolve({ status: status ?? 1, said: said.trim() }));
  });
}

/** Runs a script; what the reader can mend is told without a stack. */
export async function runScript(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runScript(async () => {
    await setUp();
    process.stderr.write('Ready. npm start runs the gateway, npm test the tests.\n');
  });
}
