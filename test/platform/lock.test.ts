import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { folderProblem, lockFolder } from '../../src/platform/lock.ts';
import { builtTidegate } from '../e2e/process/build.ts';

let lockModule: string;
let folder: string;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  lockModule = join(dirname(await builtTidegate()), 'platform', 'lock.js');
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-lock-test-'));
});
afterEach(async () => {
  for (const child of children) await kill(child);
  rmSync(folder, { recursive: true, force: true });
});

const script = `
  const [module, dir, uid] = process.argv.slice(1);
  if (uid) { process.setgid(65534); process.setuid(Number(uid)); }
  const { lockFolder } = await import(module);
  setInterval(() => {}, 60_000);
  await lockFolder(dir).then(() => console.log('held'), (error) => console.log(error.code + ' ' + error.message));
`;

/** A process that tries to take the lock, and the first line it says. */
async function starter(dir: string, prefix: string[] = [], uid = '') {
  const node = [process.execPath, '--input-type=module', '-e', script, lockModule, dir, uid];
  const [command, ...rest] = [...prefix, ...node];
  const child = spawn(command!, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: killing strace alone would leave what it traces.
    detached: true,
    env: { ...process.env, TMPDIR: folder },
  });
  children.add(child);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes('\n')) resolve();
    });
  });
  return { child, said: said.trim() };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL') {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid!, signal);
  await gone;
}

test('a second gateway on the same folder is refused and told the process of the first', async () => {
  const first = await starter(folder);
  expect(first.said).toBe('held');
  const second = await starter(folder);
  expect(second.said).toMatch(/^GW_DATA_IN_USE Another gateway is running on the data folder/);
  expect(second.said).toContain(`${folder} (process ${first.child.pid})`);
  await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'GW_DATA_IN_USE' });
});

test('the lock of a killed gateway is free at once, again and again', async () => {
  for (let life = 0; life < 3; life++) {
    const { child, said } = await starter(folder);
    expect(said).toBe('held');
    await kill(child);
  }
  const lock = await lockFolder(folder);
  expect(readdirSync(folder)).toHaveLength(1);
  await lock.release();
});

test('a gateway that is stopped, not dead, keeps its lock', async () => {
  const { child } = await starter(folder);
  child.kill('SIGSTOP');
  await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'GW_DATA_IN_USE' });
  child.kill('SIGCONT');
});

test('a released lock is free, and releasing twice is fine', async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'GW_DATA_IN_USE' });
  await lock.release();
  await lock.release();
  const again = await lockFolder(folder);
  await again.release();
});

test('of eight gateways started at once after a crash exactly one wins', async () => {
  for (let race = 0; race < 3; race++) {
    const crashed = await starter(folder);
    await kill(crashed.child);
    const starters = await Promise.all(Array.from({ length: 8 }, () => starter(folder)));
    expect(starters.map((each) => each.said.split(' ')[0]).sort()).toEqual([
      ...new Array(7).fill('GW_DATA_IN_USE'),
      'held',
    ]);
    for (const { child } of starters) await kill(child);
  }
});

test('of many attempts in one process exactly one wins, whatever their interleaving', async () => {
  for (let race = 0; race < 20; race++) {
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, async (_, n) => {
        for (let turn = 0; turn < n % 4; turn++) await new Promise(setImmediate);
        return await lockFolder(folder);
      }),
    );
    const won = results.filter((each) => each.status === 'fulfilled');
    expect(won).toHaveLength(1);
    await won[0]!.value.release();
  }
});

test('a path longer than a socket address can hold is no obstacle', async () => {
  const deep = join(folder, 'd'.repeat(120), 'e'.repeat(120));
  const first = await starter(deep);
  expect(first.said).toBe('held');
  await expect(lockFolder(deep)).rejects.toMatchObject({ code: 'GW_DATA_IN_USE' });
  await kill(first.child);
  await (await lockFolder(deep)).release();
});

test('a file system without sockets still has one winner', async (context) => {
  const strace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=bind,link,linkat'];
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) {
    if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error('strace cannot run here.');
    console.log('skipped: strace, which makes bind fail, cannot run here.');
    context.skip();
  }
  const noSockets = [...strace, '-e', 'inject=bind:error=EPERM:when=1'];
  const data = join(folder, 'data');
  const first = await starter(data, noSockets);
  expect(first.said).toBe('held');
  expect(readdirSync(data)).toEqual([]);
  const second = await starter(data, noSockets);
  expect(second.said).toMatch(/^GW_DATA_IN_USE/);
});

test('a data folder that cannot be used is refused with its path and the reason', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  for (const dir of [file, join(file, 'data')]) {
    const refused = lockFolder(dir);
    await expect(refused).rejects.toMatchObject({ code: 'GW_DATA_UNREADABLE' });
    await expect(refused).rejects.toThrow(`${file} is not a folder`);
  }
  await expect(lockFolder('/proc/tidegate')).rejects.toMatchObject({ code: 'GW_DATA_UNREADABLE' });
});

test('a data folder of somebody else is refused', async (context) => {
  if (process.getuid?.() !== 0) {
    console.log('skipped: only root can start a process as somebody else.');
    context.skip();
  }
  chmodSync(folder, 0o755);
  const mine = join(folder, 'mine');
  mkdirSync(mine, { mode: 0o700 });
  const { said } = await starter(mine, [], '65534');
  expect(said).toMatch(/^GW_DATA_UNREADABLE The data folder \S+ cannot be used: EACCES/);
  const inside = await starter(join(folder, 'new'), [], '65534');
  expect(inside.said).toContain(`cannot be created in ${folder}`);
});

test('asking whether a folder could be used changes nothing', async () => {
  expect(await folderProblem(folder)).toBeUndefined();
  expect(await folderProblem(join(folder, 'a', 'b'))).toBeUndefined();
  expect(existsSync(join(folder, 'a'))).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});
