import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { builtTidegate } from '../e2e/process/build.ts';
import { type Program, ready, startProgram } from '../e2e/process/program.ts';
import { freePort, temporaryFolder } from '../services/child.ts';

const folder = resolve(import.meta.dirname, '../../config/scenarios');
const opened: { folder?: string; gateway?: Program } = {};
afterEach(async () => {
  opened.gateway?.child.kill('SIGKILL');
  await opened.gateway?.ended;
  if (opened.folder !== undefined) await rm(opened.folder, { recursive: true });
  delete opened.gateway;
  delete opened.folder;
});

const rule = `
rules:
  overheat: { kind: threshold, field: temperature, above: 30, clearBelow: 28 }
`;
const users = `
broker: { auth: { passwordFile: users } }
`;

interface Gateway {
  readonly url: string;
  readonly admin: string;
}
async function startGateway(config: string): Promise<Gateway> {
  opened.folder = await temporaryFolder('scenario');
  await writeFile(join(opened.folder, 'tidegate.yaml'), config);
  if (config.includes('passwordFile')) await addUser('greenhouse', 'greenhouse-secret');
  const [port, admin] = [await freePort(), await freePort()];
  opened.gateway = await startProgram('tidegate', ['run'], {
    cwd: opened.folder,
    environment: {
      TIDEGATE_BROKER_LISTENERS_0_PORT: String(port),
      TIDEGATE_ADMIN_LISTEN: `127.0.0.1:${admin}`,
    },
  });
  await ready(opened.gateway, admin);
  return { url: `mqtt://127.0.0.1:${port}`, admin: `http://127.0.0.1:${admin}` };
}

/** `tidegate passwd` reads the password from a line of standard input. */
async function addUser(name: string, password: string): Promise<void> {
  const main = await builtTidegate();
  const { status } = spawnSync(process.execPath, [main, 'passwd', 'users', name], {
    cwd: opened.folder!,
    input: `${password}\n`,
  });
  expect(status).toBe(0);
}

const shipped = readdirSync(folder).filter((name) => name !== 'home.yaml');

test.for(shipped)('the scenario %s ends as it says', { timeout: 90_000 }, async (name) => {
  const { url, admin } = await startGateway(name === 'intruders.yaml' ? users : rule);
  const given = ['--scenario', join(folder, name), '--url', url, '--admin', admin];
  const fleet = await startProgram('tidegate-fleet', given);
  const { code } = await fleet.ended;
  console.log(`${name}\n${fleet.stdout}`);
  expect(fleet.stdout + fleet.stderr).not.toContain('FAILED');
  expect(code).toBe(0);
});

test('what is expected and does not happen is told, and is a failure', {
  timeout: 60_000,
}, async () => {
  const { url, admin } = await startGateway('log: {}\n');
  const file = join(opened.folder!, 'wrong.yaml');
  await writeFile(
    file,
    `summary: Expects too much
grace: 300ms
lasts: 1s
groups: { sensors: { shape: climate, every: 250ms } }
expect:
  lost: 1
  incidents: { overheat: { firing: 1 } }
  metrics: { tidegate_messages_received_total: 4, no_such_metric: ">= 1" }
`,
  );
  const fleet = await startProgram('tidegate-fleet', [
    '--scenario',
    file,
    '--url',
    url,
    '--admin',
    admin,
  ]);
  expect((await fleet.ended).code).toBe(1);
  const failed = fleet.stdout.split('\n').filter((line) => line.includes('FAILED'));
  expect(failed.map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['FAILED', 'lost', '1', '0'],
    ['FAILED', 'overheat firing', '1', '0'],
    ['FAILED', 'no_such_metric', '>= 1', '0'],
  ]);
  expect(fleet.stdout).toMatch(/^ {2}ok +missing +0 +0$/m);
  expect(fleet.stdout).toMatch(/^ {2}ok +tidegate_messages_received_total +4 +4$/m);
});
