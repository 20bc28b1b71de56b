import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { version } from '../../src/command/version.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { builtTidegate } from '../e2e/process/build.ts';
import { openLog, readingOf } from '../log/opened.ts';

let main: string;
let folder: string;
beforeAll(async () => {
  main = await builtTidegate();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-process-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

interface Ended {
  status: number | null;
  out: string;
  err: string;
}

/** Runs the built program to its end; `command` may put it into a pipe. */
function run(given: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  return ended(process.execPath, [main, ...given], environment);
}

function ended(
  command: string,
  given: readonly string[],
  environment: Record<string, string> = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, given, {
      cwd: folder,
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { out: '', err: '' };
    child.stdout.on('data', (chunk) => {
      said.out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      said.err += chunk;
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, ...said }));
  });
}

test('--version is the version of the package, and --help comes at once', async () => {
  expect(await run(['--version'])).toEqual({ status: 0, out: `${version}\n`, err: '' });
  const { status, out } = await run(['--help']);
  expect([status, out]).toEqual([0, expect.stringContaining('Usage: tidegate COMMAND')]);
});

test('help loads nothing that it does not need', async () => {
  const { err, status } = await run(['--help'], { NODE_DEBUG: 'esm' });
  expect(status).toBe(0);
  expect(err).toContain('arguments.js');
  for (const heavy of ['zod', 'yaml', 'pino', 'aedes', 'mqtt', 'prom-client', 'fastify']) {
    expect(err, heavy).not.toContain(`/node_modules/${heavy}/`);
  }
});

test('an invalid configuration is status 78, with every problem on standard error', async () => {
  writeFileSync(join(folder, 'tidegate.yaml'), 'brokers: {}\nlog: { maxAge: 2 weeks }\n');
  for (const command of ['check', 'run']) {
    const { status, out, err } = await run([command]);
    expect([status, out]).toEqual([78, '']);
    expect(err).toBe(
      [
        'tidegate: The configuration is not valid: 2 problems.',
        'tidegate.yaml:1:1: brokers: unknown key. Did you mean broker?',
        'tidegate.yaml:2:16: log.maxAge: must be a duration such as 500ms, 90s, 5m, 24h or 30d, not "2 weeks".\n',
      ].join('\n'),
    );
  }
});

test('a missing file, a missing secret and an unknown variable are status 78 too', async () => {
  const missing = await run(['check', '--config', 'nowhere.yaml']);
  expect(missing.status).toBe(78);
  expect(missing.err).toContain('(GW_CONFIG_MISSING)');
  expect((await run(['check'], { TIDEGATE_BROKER_PROT: '1' })).status).toBe(78);
  expect((await run(['run'], { TIDEGATE_LOG_LEVEL: 'loud' })).status).toBe(78);
  writeFileSync(
    join(folder, 'tidegate.yaml'),
    'sinks: { a: { kind: http, url: "http://h", headers: { x: { file: nowhere } } } }',
  );
  expect((await run(['check'])).status).toBe(78);
});

test('a valid configuration is status 0, wrong usage 2, a failure 1 without a stack', async () => {
  expect((await run(['check'])).status).toBe(0);
  expect((await run(['chekc'])).status).toBe(2);
  const failed = await run(['log', 'stat', '--data', 'nowhere']);
  expect([failed.status, failed.out]).toEqual([1, '']);
  expect(failed.err).toMatch(/^tidegate: The data folder .*nowhere does not exist\..*\n$/);
  expect(failed.err).not.toContain('    at ');
});

test('the schema on standard output is whole, however slow its reader', async () => {
  const shell = ['-c', `"$0" "$1" schema | (sleep 0.2; cat)`, process.execPath, main];
  const { out } = await ended('sh', shell);
  expect(JSON.parse(out).title).toBe('Configuration of Tidegate');
});

test('a reader that has had enough ends an export without a word', async () => {
  const { log } = await openLog(createFileDisk(folder), {}, createSystemClock());
  for (let n = 0; n < 20; n++) {
    await log.append(Array.from({ length: 500 }, (_, each) => readingOf(n * 500 + each)));
  }
  await log.close();
  const script = `"$0" "$1" log export --data . | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const { out, err } = await ended('bash', ['-c', script, process.execPath, main]);
  const [first, status] = out.trimEnd().split('\n');
  expect(JSON.parse(first!).specversion).toBe('1.0');
  expect([status, err]).toEqual(['0', '']);
});

test('Ctrl-C ends tail with status 0', async () => {
  const { log } = await openLog(createFileDisk(folder), {}, createSystemClock());
  await log.append([readingOf(1)]);
  await log.close();
  const child = spawn(process.execPath, [main, 'log', 'tail', '--data', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGINT');
  expect(await closed).toBe(0);
});
