import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, type TestContext, test, vi } from 'vitest';
import { createLogger } from '../../src/platform/logger.ts';
import { createServiceManager } from '../../src/platform/systemd.ts';

let folder: string;
let receiver: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-systemd-'));
});
afterEach(() => {
  receiver?.kill('SIGKILL');
  receiver = undefined;
  rmSync(folder, { recursive: true });
});

function requireCommands(context: TestContext, ...commands: string[]) {
  const missing = commands.filter((each) => spawnSync(each, ['--version']).error !== undefined);
  if (missing.length === 0) return;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error(`missing: ${missing}`);
  console.log(`skipped: ${missing.join(', ')} not installed.`);
  context.skip();
}

/** What a service manager would receive. */
async function listen() {
  const socket = join(folder, 'notify');
  const child = spawn('socat', ['-u', `UNIX-RECVFROM:${socket},fork`, 'STDOUT'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  receiver = child;
  let received = '';
  child.stdout.on('data', (chunk) => {
    received += chunk;
  });
  await vi.waitFor(() => expect(existsSync(socket)).toBe(true), { timeout: 5_000 });
  return { socket, received: () => received };
}

function recordingLogger() {
  const lines: string[] = [];
  return { lines, logger: createLogger({ destination: { write: (line) => lines.push(line) } }) };
}

test('the service manager hears what it is told, in order', async (context) => {
  requireCommands(context, 'socat', 'systemd-notify');
  const { socket, received } = await listen();
  const { lines, logger } = recordingLogger();
  const environment = { ...process.env, NOTIFY_SOCKET: socket };
  const manager = createServiceManager({ environment, logger });
  await Promise.all([
    manager.notify('READY=1', 'STATUS=Sources are open.'),
    manager.notify('WATCHDOG=1'),
    manager.notify('WATCHDOG=1'),
    manager.notify('STOPPING=1'),
  ]);
  await vi.waitFor(() => expect(received()).toContain('STOPPING=1'), { timeout: 5_000 });
  const said = received();
  expect(said).toContain('READY=1');
  expect(said).toContain('STATUS=Sources are open.');
  expect(said.match(/WATCHDOG=1/g)).toHaveLength(1);
  expect(said.indexOf('READY=1')).toBeLessThan(said.indexOf('WATCHDOG=1'));
  expect(said.indexOf('WATCHDOG=1')).toBeLessThan(said.indexOf('STOPPING=1'));
  expect(lines).toEqual([]);
});

test('without a service manager nothing is started and nothing is said', async () => {
  const { lines, logger } = recordingLogger();
  await createServiceManager({ environment: { PATH: folder }, logger }).notify('READY=1');
  expect(lines).toEqual([]);
});

test('a missing systemd-notify is said once and never stops the gateway', async () => {
  const { lines, logger } = recordingLogger();
  const environment = { PATH: folder, NOTIFY_SOCKET: join(folder, 'notify') };
  const manager = createServiceManager({ environment, logger });
  await manager.notify('READY=1');
  await manager.notify('WATCHDOG=1');
  await manager.notify('WATCHDOG=1');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('The service manager could not be told. error="spawn systemd-notify');
});

test('the watchdog counts only when it is meant for this process', () => {
  const watchdogMs = (environment: NodeJS.ProcessEnv) =>
    createServiceManager({ environment }).watchdogMs();
  expect(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) })).toBe(30_000);
  expect(watchdogMs({ WATCHDOG_USEC: '30000000' })).toBe(30_000);
  expect(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' })).toBeUndefined();
  expect(watchdogMs({ WATCHDOG_USEC: '0' })).toBeUndefined();
  expect(watchdogMs({ WATCHDOG_USEC: 'soon' })).toBeUndefined();
  expect(watchdogMs({})).toBeUndefined();
});
