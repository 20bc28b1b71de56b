import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { builtTidegate, repositoryRoot } from '../e2e/process/build.ts';

/** A copy of the repository, as a newcomer has it, that can be spoilt at will. */
export interface Tree {
  readonly root: string;
  write(path: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

/** With everything installed and compiled, unless it is to be `bare`: scripts and settings only. */
export async function copyTree({ bare = false } = {}): Promise<Tree> {
  const from = await repositoryRoot();
  const root = await mkdtemp(join(tmpdir(), 'tidegate-tree-'));
  const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  for (const name of ['scripts', 'config', ...settings]) {
    await cp(join(from, name), join(root, name), { recursive: true });
  }
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  if (!bare) {
    await symlink(join(from, 'node_modules'), join(root, 'node_modules'));
    const dist = resolve(dirname(await builtTidegate()), '..');
    await cp(dist, join(root, 'dist'), { recursive: true });
    await write('dist/.built', '');
    const later = new Date(Date.now() + 60_000);
    await utimes(join(root, 'dist', '.built'), later, later);
  }
  return { root, write, remove: async () => await rm(root, { recursive: true, force: true }) };
}

/** A script of a tree, at work. */
export interface Running {
  readonly pid: number;
  /** Everything it has said so far, on both streams. */
  readonly said: string;
  readonly child: ChildProcess;
  /** Resolves with its exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

const allRunning = new Set<Running>();

export function runScript(
  tree: Tree,
  script: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string | undefined>> = {},
): Running {
  const child = spawn(process.execPath, [join('scripts', script), ...args], {
    cwd: tree.root,
    // As npm would be found from a shell, not as vitest was started.
    env: {
      ...process.env,
      npm_execpath: undefined,
      npm_lifecycle_event: undefined,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
    });
  }
  const running: Running = {
    pid: child.pid!,
    child,
    get said() {
      return said;
    },
    ended: new Promise((settle) =>
      child.on('close', (status, signal) => settle(status ?? signal!)),
    ),
  };
  allRunning.add(running);
  void running.ended.then(() => allRunning.delete(running));
  return running;
}

/** The last resort of a test that failed half way. */
export function killWhatIsLeft(): void {
  for (const { child, pid } of allRunning) {
    for (const each of childrenOf(pid)) killQuietly(each);
    child.kill('SIGKILL');
  }
}

/** The processes that a process has started (Linux). */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Those of them that run a program of ours: the gateway and the fleet. */
export function programsOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('main.js');
    } catch {
      return false;
    }
  });
}

/** Whether a process still runs; one that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

export function killQuietly(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone: that is all that was wanted.
  }
}
