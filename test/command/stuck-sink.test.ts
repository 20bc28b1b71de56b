import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { metricsOf, type Program, ready, startProgram } from '../e2e/process/program.ts';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';
import { childrenOf, isRunning, killQuietly } from '../start/tree.ts';

let folder: string;
let program: Program | undefined;
/** What strace runs. */
let gateway: number | undefined;
beforeEach(async () => {
  folder = await temporaryFolder('stuck');
});
afterEach(async () => {
  if (gateway !== undefined) killQuietly(gateway);
  gateway = undefined;
  program?.child.kill('SIGKILL');
  await program?.ended;
  program = undefined;
  await rm(folder, { recursive: true });
});

async function start(path: string, prefix: readonly string[] = []) {
  const admin = await freePort();
  const config = [
    'broker: { listeners: [{ port: 0 }] }',
    `admin: { listen: 127.0.0.1:${admin} }`,
    `sinks: { files: { kind: file, path: ${path}, retry: { minMs: 10, maxMs: 50 } } }`,
  ];
  await writeFile(join(folder, 'tidegate.yaml'), config.join('\n'));
  program = await startProgram('tidegate', ['run'], { cwd: folder, prefix });
  await ready(program, admin);
  return { program, admin };
}

test('a folder that cannot be made is a sink that is down, and does not hold up a stop', async () => {
  const { program, admin } = await start('/proc/nope');
  await eventually(async () => {
    expect((await metricsOf(admin)).get('tidegate_sink_up{sink="files"}')).toBe(0);
  }, 5_000);
  expect(program.stderr).toContain('/proc/nope cannot be created');
  const began = performance.now();
  program.child.kill('SIGTERM');
  expect(await program.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - began).toBeLessThan(3_000);
});

test('a disk that hangs does not hold up a stop', async (context) => {
  const archive = join(folder, 'archive');
  const hang = ['-f', '-qq', '-o', join(folder, 'trace'), '-P', archive];
  const delay = ['-e', 'trace=openat', '-e', 'inject=openat:delay_enter=60000000'];
  if (spawnSync('strace', [...hang, ...delay, 'true']).status !== 0) {
    if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error('strace does not work.');
    console.log('skipped: strace, which makes a disk hang, is not installed or not allowed.');
    context.skip();
  }
  await mkdir(archive);
  const { program } = await start(archive, ['strace', ...hang, ...delay]);
  [gateway] = childrenOf(program.child.pid!);
  const began = performance.now();
  process.kill(gateway!, 'SIGTERM');
  // strace itself waits until the delay is over.
  await eventually(() => expect(isRunning(gateway!)).toBe(false), 5_000);
  expect(performance.now() - began).toBeLessThan(4_000);
  expect(program.stderr).toMatch(/Stopped\.[\s\S]*A file operation hangs/);
}, 40_000);
