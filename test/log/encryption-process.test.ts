/** Encryption at rest, as an operator meets it: the real process, the real disk, grep. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommand } from '../command/command-line.ts';
import { metricsOf, type Program, ready, startProgram } from '../e2e/process/program.ts';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';

const run = promisify(execFile);

let folder: string;
let adminPort: number;
let programs: Program[];

beforeEach(async () => {
  folder = await temporaryFolder('encryption');
  adminPort = await freePort();
  programs = [];
});
afterEach(async () => {
  for (const { child, ended } of programs) {
    child.kill('SIGKILL');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
});

const newKey = (): string => randomBytes(32).toString('hex');

/** Keys are read from files of these names, beside the configuration. */
async function configure(port: number, encryption: string): Promise<void> {
  const lines = [
    'gateway: { id: sealed }',
    `broker: { listeners: [{ port: ${port} }] }`,
    `admin: { listen: '127.0.0.1:${adminPort}' }`,
    `log: { encryption: ${encryption} }`,
    'rules: { overheat: { kind: threshold, field: temperature, above: 30 } }',
  ];
  await writeFile(join(folder, 'tidegate.yaml'), `${lines.join('\n')}\n`);
}

async function start(): Promise<Program> {
  const program = await startProgram('tidegate', ['run'], { cwd: folder });
  programs.push(program);
  return program;
}

async function stop(program: Program): Promise<void> {
  program.child.kill('SIGTERM');
  expect((await program.ended).code).toBe(0);
}

async function publish(port: number, from: number, count: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  for (let i = from; i < from + count; i++) {
    const payload = JSON.stringify({ temperature: 20 + (i % 15), note: 'hush-hush' });
    await client.publishAsync(`sensors/quiet-${i % 3}/parlour`, payload, { qos: 1 });
  }
  await client.endAsync();
}

/** Which files under the data folder hold one of these words. */
async function grep(...words: string[]): Promise<string> {
  const patterns = words.flatMap((word) => ['-e', word]);
  const found = run('grep', ['-rlaF', ...patterns, join(folder, 'data')]);
  return await found.then(
    ({ stdout }) => stdout,
    ({ code, stderr }: { code: number; stderr: string }) => (code === 1 ? '' : stderr),
  );
}

test('grep finds no payload on the disk; commands read it with the key; a lost key is told with 78', async () => {
  const port = await freePort();
  await writeFile(join(folder, 'key'), `${newKey()}\n`);
  await writeFile(join(folder, 'key-2'), newKey());
  await configure(port, '{ key: { file: key } }');
  const first = await start();
  await ready(first, adminPort);
  await publish(port, 0, 50);
  // The alerts are remembered in the cursors, with the names of their devices.
  await eventually(async () => {
    const appended = await metricsOf(adminPort);
    expect(appended.get('tidegate_events_appended_total{type="alert"}')).toBeGreaterThan(0);
  });
  await stop(first);
  const words = ['hush-hush', 'quiet-', 'parlour', 'temperature', 'overheat', 'sensors'];
  expect(await grep(...words)).toBe('');
  expect(await grep('tidelog')).toContain('.seg');

  const exported = await runCommand(['log', 'export', '--type', 'reading'], { cwd: folder });
  expect(exported.out.match(/hush-hush/g)).toHaveLength(50);
  expect((await runCommand(['audit', '--recount'], { cwd: folder })).status).toBe(0);

  await configure(port, '{ key: { file: key-2 }, previous: [{ file: key }] }');
  const second = await start();
  await ready(second, adminPort);
  await publish(port, 50, 50);
  await stop(second);
  expect(await grep(...words)).toBe('');
  const both = await runCommand(['log', 'export', '--type', 'reading'], { cwd: folder });
  expect(both.out.match(/hush-hush/g)).toHaveLength(100);
  expect((await runCommand(['log', 'verify'], { cwd: folder })).status).toBe(0);

  await configure(port, '{ key: { file: key-2 } }');
  const third = await start();
  expect((await third.ended).code).toBe(78);
  expect(third.stderr).toContain('The event log cannot be read with the configured keys');
  expect(third.stderr).toContain('log.encryption.previous');
  await expect(runCommand(['log', 'stat'], { cwd: folder })).rejects.toMatchObject({
    code: 'GW_CONFIG_KEY_MISSING',
  });
  await expect(
    runCommand(['log', 'stat', '--data', join(folder, 'data')], { cwd: folder }),
  ).rejects.toMatchObject({ code: 'GW_CONFIG_KEY_MISSING' });
}, 60_000);

test('a key that is none is told with 78 and the remedy, by run and by check', async () => {
  await writeFile(join(folder, 'key'), 'correct horse battery staple');
  await configure(await freePort(), '{ key: { file: key } }');
  const program = await start();
  expect((await program.ended).code).toBe(78);
  expect(program.stderr).toContain('log.encryption.key has 28 characters');
  expect(program.stderr).toContain('openssl rand -hex 32');
  expect(program.stderr).not.toContain('horse');
  const checked = await runCommand(['check'], { cwd: folder }).catch((error: Error) => error);
  expect(String(checked)).toContain('openssl rand -hex 32');
});
