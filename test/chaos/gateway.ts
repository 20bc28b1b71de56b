import { execFile } from 'node:child_process';
import { utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { builtTidegate } from '../e2e/process/build.ts';
import { type Program, ready, startProgram } from '../e2e/process/program.ts';
import { freePort } from '../services/child.ts';

const run = promisify(execFile);

/** The real gateway, which can be started again and again on the same ports and data. */
export interface GatewayProcess {
  readonly port: number;
  readonly adminPort: number;
  readonly dataDir: string;
  readonly pid: number | undefined;
  /** The process of this life, or of the last one. */
  readonly program: Program | undefined;
  start(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit status. */
  stop(): Promise<number | null>;
  /** Runs another of its commands on its data folder, `log export` for instance. */
  command(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
}

export interface GatewayOptions {
  /** Where its configuration lies. */
  readonly folder: string;
  readonly dataDir: string;
  /** YAML behind what every gateway needs: `log`, `ingest`, `sinks`. */
  readonly settings: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly readyMaxMs?: number;
}

export async function createGatewayProcess(options: GatewayOptions): Promise<GatewayProcess> {
  const { folder, dataDir } = options;
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `gateway: { id: chaos }
data: { dir: '${dataDir}' }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
${options.settings}`,
  );
  let program: Program | undefined;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    program?.child.kill(signal);
    if (signal !== 'SIGKILL') program?.child.kill('SIGCONT');
    return (await program?.ended)?.code ?? null;
  };
  return {
    port,
    adminPort,
    dataDir,
    get pid() {
      return program?.child.pid;
    },
    get program() {
      return program;
    },
    async start() {
      await keepBuild();
      program = await startProgram('tidegate', ['run', '--config', config], {
        cwd: folder,
        ...(options.environment === undefined ? {} : { environment: options.environment }),
      });
      await ready(program, adminPort, options.readyMaxMs ?? 30_000);
    },
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    async command(...args) {
      const main = await builtTidegate();
      const all = [main, ...args, '--data', dataDir];
      try {
        const { stdout, stderr } = await run(process.execPath, all, {
          maxBuffer: 2 ** 30,
          env: { PATH: process.env.PATH ?? '' },
        });
        return { code: 0, stdout, stderr };
      } catch (error) {
        const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
        return { code, stdout, stderr };
      }
    },
  };
}

/** Builds of sources that have changed since are removed when they have not been used for long. */
async function keepBuild(): Promise<void> {
  const now = new Date();
  await utimes(dirname(dirname(dirname(await builtTidegate()))), now, now);
}
