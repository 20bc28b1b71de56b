import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { ready, startProgram } from '../e2e/process/program.ts';
import { freePort, temporaryFolder } from '../services/child.ts';

/** What every client does against the gateway; the programs beside this file know them by these names. */
export const scenarios = {
  connect: 'it connects with a clean session and with one that lasts',
  qos: 'messages at QoS 0, 1 and 2 arrive once, with their QoS and in their order',
  retained: 'a retained message is there for who comes later, until it is removed',
  will: 'the will of a client that breaks off is published',
  session: 'a client that comes back finds its session and what it missed',
  large: 'a large message arrives as it was sent',
  wildcard: 'wildcards match the levels that they should',
  unicode: 'topics and payloads in many scripts arrive as they were sent',
  shared: 'of the members of a group each message reaches one',
} as const;
export type Scenario = keyof typeof scenarios;

export interface ClientUnderTest {
  readonly name: string;
  /** Whether it is installed; says so itself when it is not. */
  readonly isInstalled: boolean;
  /** Versions by the client's own default (`default`) and 5. */
  run(port: number, version: 'default' | '5', scenario: Scenario): Promise<void>;
}

const testMs = 60_000;

/** Runs every scenario with the client's default version and with MQTT 5, against a real gateway. */
export function testClient({ name, isInstalled, run }: ClientUnderTest): void {
  let port = 0;
  let end: () => Promise<void> = async () => {};
  beforeAll(async () => {
    if (!isInstalled) return;
    const folder = await temporaryFolder('clients');
    port = await freePort();
    const adminPort = await freePort();
    await writeFile(
      join(folder, 'tidegate.yaml'),
      `
gateway: { id: clients }
data: { dir: data }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
`,
    );
    const program = await startProgram('tidegate', ['run'], { cwd: folder });
    end = async () => {
      program.child.kill('SIGTERM');
      await program.ended;
      await rm(folder, { recursive: true, force: true });
    };
    await ready(program, adminPort);
  }, testMs);
  afterAll(async () => await end());

  for (const version of ['default', '5'] as const) {
    describe(`${name}, ${version === '5' ? 'MQTT 5' : 'its default version'}`, () => {
      for (const scenario of Object.keys(scenarios) as Scenario[]) {
        if (scenario === 'shared' && version !== '5') continue;
        test.runIf(isInstalled)(
          scenarios[scenario],
          async () => await run(port, version, scenario),
          testMs,
        );
      }
    });
  }
}

/** Runs a program to its end; throws with what it said unless it ended well. */
export async function succeed(file: string, args: readonly string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = { timeout: testMs / 2, killSignal: 'SIGKILL' as const, maxBuffer: 2 ** 24 };
    execFile(file, args, options, (error, out, said) => {
      if (error === null) resolve(out);
      else reject(new Error(`${file} ${args.join(' ')}: ${error.message}\n${out}${said}`));
    });
  });
}

/** One line says what is missing; with TIDEGATE_REQUIRE_SERVICES=1 that is an error. */
export async function works(what: string, probe: () => Promise<unknown>): Promise<boolean> {
  try {
    await probe();
    return true;
  } catch (error) {
    const problem = `${what} cannot be used: ${(error as Error).message.split('\n', 1)}`;
    if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error(problem);
    process.stderr.write(`${problem}: tests that need it are skipped.\n`);
    return false;
  }
}
