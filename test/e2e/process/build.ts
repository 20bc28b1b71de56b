import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const prefix = 'tidegate-build-';
/** Builds of sources that have changed since are removed when nobody has asked for them this long. */
const keepMs = 30 * 60_000;
let building: Promise<string> | undefined;

/**
 * The path of `main.js`, compiled from the sources as they are now. Compiled once per state of the
 * sources, whoever asks; the folder can be copied or run from anywhere.
 */
export function builtTidegate(): Promise<string> {
  building ??= build();
  return building;
}

/** The folder above `test/`, both when compiled and when not. */
export async function repositoryRoot(): Promise<string> {
  for (let folder = fileURLToPath(new URL('.', import.meta.url)); ; folder = join(folder, '..')) {
    const found = await stat(join(folder, 'tsconfig.build.json')).catch(() => undefined);
    if (found !== undefined) return folder;
    if (folder === join(folder, '..')) throw new Error('tsconfig.build.json is nowhere above.');
  }
}

async function build(): Promise<string> {
  const root = await repositoryRoot();
  const folder = join(tmpdir(), prefix + (await stateOf(root)));
  const main = join(folder, 'dist', 'src', 'main.js');
  if ((await stat(main).catch(() => undefined)) === undefined) await buildInto(folder, root);
  const now = new Date();
  await utimes(folder, now, now);
  await removeOld(now.getTime());
  return main;
}

/** Names the sources by their paths, sizes and times. */
async function stateOf(root: string): Promise<string> {
  const hash = createHash('sha256').update(root);
  for (const folder of ['src', 'firmware-sim', 'test/bench', 'test/e2e/process']) {
    const names = await readdir(join(root, folder), { recursive: true }).catch(() => []);
    for (const name of names.filter((each) => each.endsWith('.ts')).sort()) {
      const { mtimeMs, size } = await stat(join(root, folder, name));
      hash.update(`${folder}/${name} ${mtimeMs} ${size}\n`);
    }
  }
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    hash.update(`${(await stat(join(root, name))).mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Compiled aside and renamed: another test process may be doing the same. */
async function buildInto(folder: string, root: string): Promise<void> {
  const aside = await mkdtemp(join(tmpdir(), `${prefix}tmp-`));
  // Readable by the other users that tests run it as.
  await chmod(aside, 0o755);
  const out = join(aside, 'dist');
  await mkdir(out);
  const said = await compile(root, out);
  await copyFile(join(root, 'package.json'), join(aside, 'package.json'));
  for (const name of ['node_modules', 'config']) await symlink(join(root, name), join(aside, name));
  if ((await stat(join(out, 'src', 'main.js')).catch(() => undefined)) === undefined) {
    await rm(aside, { recursive: true });
    throw new Error(`The sources do not compile:\n${said}`);
  }
  try {
    await rename(aside, folder);
  } catch (error) {
    await rm(aside, { recursive: true });
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** What the compiler says; types are the business of `npm run check`, so errors do not count. */
async function compile(root: string, out: string): Promise<string> {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--outDir', out, '--incremental', 'false', '--tsBuildInfoFile', 'null'];
  const child = spawn(process.execPath, [tsc, '-p', 'tsconfig.build.json', ...options], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  return said;
}

async function removeOld(now: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const path = join(tmpdir(), name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && now - found.mtimeMs > keepMs) {
      await rm(path, { recursive: true, force: true });
    }
  }
}
