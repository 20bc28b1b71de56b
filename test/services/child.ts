import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real server, run as a child of the test on free loopback ports, in a folder of its own. */
export interface RunningService {
  readonly folder: string;
  /** Everything it has said so far (the last 64 KiB). */
  readonly output: string;
  readonly pid: number | undefined;
  readonly running: boolean;
  /** Asks it to end (SIGTERM), waits until it has, and removes its folder. Twice is fine. */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL); port and data stay for `restart`. */
  kill(): Promise<void>;
  /** Asks it to end (SIGTERM) and waits; port and data stay for `restart`. */
  terminate(): Promise<void>;
  /** Makes it hang (SIGSTOP), and resolves when it does: sockets stay open, nothing answers. */
  pause(): Promise<void>;
  resume(): void;
  /** Starts it again on the same ports and data; kills it first when it still runs. */
  restart(): Promise<void>;
}

export interface ServiceOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly folder: string;
  /** Throws until the service can be used. */
  readonly probe: () => Promise<void>;
  readonly deadlineMs?: number;
}

/**
 * Whether a program of this name is installed. Where it is not, one line says which tests are left
 * out; with TIDEGATE_REQUIRE_SERVICES=1 that is an error instead.
 */
export function available(program: string): boolean {
  if (pathOf(program) !== undefined) return true;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') {
    throw new Error(`${program} is not installed and TIDEGATE_REQUIRE_SERVICES=1 is set.`);
  }
  if (!announced.has(program)) {
    announced.add(program);
    process.stderr.write(`${program} is not installed: tests that need it are skipped.\n`);
  }
  return false;
}
const announced = new Set<string>();

function pathOf(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** A new folder under the system's temporary one, or another. */
export async function temporaryFolder(name: string, under = tmpdir()): Promise<string> {
  return await mkdtemp(join(under, `tidegate-${name}-`));
}

/** Polls until `probe` no longer throws, then returns what it gave; throws its last error at the deadline. */
export async function eventually<T>(probe: () => T | Promise<T>, deadlineMs = 10_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(20);
    }
  }
}

export async function startService(options: ServiceOptions): Promise<RunningService> {
  const deadlineMs = options.deadlineMs ?? 15_000;
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  let output = '';

  const isRunning = () =>
    child !== undefined && child.exitCode === null && child.signalCode === null;
  const start = async (): Promise<void> => {
    const started = spawn(pathOf(options.program) ?? options.program, [...options.args], {
      cwd: options.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    exited = new Promise((resolve) => {
      started.once('exit', () => resolve());
      started.once('error', () => resolve());
    });
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-65_536);
    };
    started.stdout?.on('data', collect);
    started.stderr?.on('data', collect);
    await eventually(async () => {
      if (!isRunning()) return; // Reported below: waiting longer cannot help.
      await options.probe();
    }, deadlineMs);
    if (!isRunning()) throw new Error(`${options.name} ended at once:\n${output}`);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (isRunning()) {
      child?.kill(signal);
      // A stopped process sees no other signal than SIGKILL before it is continued.
      if (signal !== 'SIGKILL') child?.kill('SIGCONT');
    }
    const late = new AbortController();
    const timer = sleep(5_000, undefined, { signal: late.signal }).then(
      () => child?.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    late.abort();
    await timer;
  };
  // Whatever happens to the tests, no server outlives them.
  const lastResort = () => void child?.kill('SIGKILL');
  process.once('exit', lastResort);

  const service: RunningService = {
    folder: options.folder,
    get output() {
      return output;
    },
    get pid() {
      return child?.pid;
    },
    get running() {
      return isRunning();
    },
    async stop() {
      await end('SIGTERM');
      process.removeListener('exit', lastResort);
      await rm(options.folder, { recursive: true, force: true });
    },
    async kill() {
      await end('SIGKILL');
    },
    async terminate() {
      await end('SIGTERM');
    },
    async pause() {
      child?.kill('SIGSTOP');
      await eventually(() => {
        if (isRunning() && !isStopped(child!.pid!)) throw new Error(`${options.name} goes on`);
      });
    },
    resume() {
      child?.kill('SIGCONT');
    },
    async restart() {
      await end('SIGKILL');
      await start();
    },
  };
  try {
    await start();
  } catch (error) {
    await service.stop();
    throw error;
  }
  return service;
}

/** Whether every thread of a process has stopped: a signal reaches a busy one late. */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return true;
  return readdirSync(tasks).every((task) => {
    const stat = readFileSync(join(tasks, task, 'stat'), 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}

/** Throws unless something accepts TCP connections on the port. */
export async function connectable(port: number): Promise<void> {
  const { connect } = await import('node:net');
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
