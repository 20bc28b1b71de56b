import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { builtTidegate } from './build.ts';

/** One of our own programs, run as a child of the test. */
export interface Program {
  readonly child: ChildProcess;
  /** What it has said on standard output and standard error so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** What to run it with, in front of node: `taskset -c 0`, for instance. */
  readonly prefix?: readonly string[];
}

/** What the unit, the program itself and `npm start` give Node. */
export const nodeFlags = [
  '--max-old-space-size=256',
  '--max-semi-space-size=4',
  '--single-threaded-gc',
  '--v8-pool-size=1',
];

/** Starts `tidegate` (or `tidegate-fleet`) with these arguments, compiled from the sources. */
export async function startProgram(
  name: 'tidegate' | 'tidegate-fleet',
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Program> {
  const main = await builtTidegate();
  const path = name === 'tidegate' ? main : join(main, '..', '..', 'firmware-sim', 'main.js');
  const flags = name === 'tidegate' ? nodeFlags : [];
  const command = [...(options.prefix ?? []), process.execPath, ...flags, path, ...args];
  const child = spawn(command[0]!, command.slice(1), {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout!.on('data', (chunk) => {
    said.stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    said.stderr += chunk;
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const lastResort = (): void => void child.kill('SIGKILL');
  process.once('exit', lastResort);
  void ended.then(() => process.removeListener('exit', lastResort));
  return {
    child,
    ended,
    get stdout() {
      return said.stdout;
    },
    get stderr() {
      return said.stderr;
    },
  };
}

/** Resolves once the admin interface on this port says that the gateway is ready. */
export async function ready(
  program: Program,
  adminPort: number,
  deadlineMs = 20_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let over = false;
  void program.ended.then(() => {
    over = true;
  });
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    if (over) throw new Error(`The gateway ended at once:\n${program.stderr}`);
    if (performance.now() > end) throw new Error(`The gateway is not ready:\n${program.stderr}`);
    await sleep(20);
  }
}

/** The samples of `/metrics`, by name and labels as they are written there. */
export async function metricsOf(adminPort: number): Promise<Map<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const samples = new Map<string, number>();
  for (const line of (await answer.text()).split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}
