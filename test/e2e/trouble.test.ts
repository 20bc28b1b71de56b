/** What each kind of trouble gets: a clear error with a remedy, or a counted refusal, and no loss. */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';
import { metricsOf, type Program, ready, startProgram } from './process/program.ts';

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

let folder: string;
let port: number;
let adminPort: number;
let programs: Program[];

beforeEach(async () => {
  folder = await temporaryFolder('trouble');
  port = await freePort();
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

async function start(more = '', data = 'data'): Promise<Program> {
  await writeFile(
    join(folder, 'tidegate.yaml'),
    `
gateway: { id: trouble }
data: { dir: ${data} }
broker: { listeners: [{ port: ${port} }] }
admin: { listen: '127.0.0.1:${adminPort}' }
${more}`,
  );
  const program = await startProgram('tidegate', ['run'], { cwd: folder });
  programs.push(program);
  return program;
}

async function endedOf(program: Program): Promise<{ code: number | null; said: string }> {
  const { code } = await program.ended;
  return { code, said: program.stderr };
}

test('an invalid configuration ends with 78 and every problem with its place and remedy', async () => {
  const { code, said } = await endedOf(await start('rulez: {}\nlog: { maxBytes: 3 }\n'));
  expect(code).toBe(78);
  expect(said).toContain('tidegate.yaml:6:1: rulez');
  expect(said).toContain('rules');
  expect(said).toContain('tidegate.yaml:7:18: log.maxBytes');
  expect(said).not.toContain('    at ');
});

test('a broker port in use ends with 1 and names the address and the remedy', async () => {
  const other = createServer().listen(port, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { code, said } = await endedOf(await start());
  other.close();
  expect(code).toBe(1);
  expect(said).toContain(`The address 127.0.0.1:${port} is in use. Stop the program that holds it`);
});

test('an admin port in use ends with 1 and names the address', async () => {
  const other = createServer().listen(adminPort, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { code, said } = await endedOf(await start());
  other.close();
  expect(code).toBe(1);
  expect(said).toContain(`The address 127.0.0.1:${adminPort} (admin) is in use.`);
});

test('a data folder that is a file ends with 1 and says so', async () => {
  await writeFile(join(folder, 'data'), 'not a folder');
  const { code, said } = await endedOf(await start());
  expect(code).toBe(1);
  expect(said).toContain(`The data folder ${join(folder, 'data')}`);
  expect(said).toContain('--data');
});

test('a second gateway on the same folder ends with 1; the first goes on', async () => {
  await ready(await start(), adminPort);
  const first = { port, adminPort };
  port = await freePort();
  adminPort = await freePort();
  const { code, said } = await endedOf(await start());
  expect(code).toBe(1);
  expect(said).toContain('Another gateway is running on the data folder');
  const answer = await fetch(`http://127.0.0.1:${first.adminPort}/healthz`);
  expect(answer.status).toBe(200);
});

test('garbage of every kind is counted or kept, and an honest client does not notice', async () => {
  await ready(await start(), adminPort);
  const honest = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  for (let round = 0; round < 50; round++) {
    await garbageConnection(port, round);
    await honest.publishAsync('sensors/gh-01/climate', '{"temperature": 21}', { qos: 1 });
  }
  await honest.publishAsync('sensors/gh-01/climate', Buffer.from([0xff, 0xfe, 0x00]), { qos: 1 });
  await honest.endAsync();
  await eventually(async () => {
    const metrics = await metricsOf(adminPort);
    expect(metrics.get('tidegate_events_appended_total{type="reading"}')).toBe(50);
    expect(metrics.get('tidegate_events_appended_total{type="undecodable"}')).toBe(1);
    let refused = 0;
    for (const [name, value] of metrics) {
      if (name.startsWith('tidegate_broker_refused_total')) refused += value;
    }
    expect(refused).toBe(50);
  });
});

/** Opens a connection, sends bytes that are no MQTT, and waits until it is closed on us. */
async function garbageConnection(to: number, round: number): Promise<void> {
  const socket = connectTcp(to, '127.0.0.1');
  const bytes = Buffer.alloc(64 + round);
  for (let index = 0; index < bytes.length; index++)
    bytes[index] = (index * 37 + round * 101) % 251;
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.write(bytes);
  });
}

test.skipIf(!isRoot)(
  'a full disk withholds acknowledgements, and everything goes on when there is room again',
  async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tidegate-test', disk]);
    try {
      await ready(await start('', join('disk', 'data')), adminPort);
      await writeFile(join(disk, 'ballast'), Buffer.alloc(3 << 20));
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
        protocolVersion: 5,
        reconnectPeriod: 0,
      });
      let acknowledged = 0;
      const payload = JSON.stringify({ text: 'x'.repeat(900) });
      const sent: Promise<unknown>[] = [];
      for (let index = 0; index < 1_500; index++) {
        const each = client.publishAsync(`sensors/d${index}/fill`, payload, { qos: 1 });
        sent.push(each.then(() => acknowledged++));
      }
      await eventually(async () => {
        expect((await metricsOf(adminPort)).get('tidegate_log_blocked')).toBe(1);
      });
      expect(acknowledged).toBeLessThan(1_500);
      expect((await fetch(`http://127.0.0.1:${adminPort}/healthz`)).status).toBe(503);
      await rm(join(disk, 'ballast'));
      await Promise.all(sent);
      expect(client.connected).toBe(true);
      await client.endAsync();
      await eventually(async () => {
        const metrics = await metricsOf(adminPort);
        expect(metrics.get('tidegate_events_appended_total{type="reading"}')).toBe(1_500);
        expect(metrics.get('tidegate_log_blocked')).toBe(0);
      });
      const [program] = programs;
      program!.child.kill('SIGTERM');
      expect((await program!.ended).code).toBe(0);
      expect(program!.stderr).toMatch(/ENOSPC|no space/i);
    } finally {
      for (const { child, ended } of programs) {
        child.kill('SIGKILL');
        await ended;
      }
      await run('umount', ['-l', disk]);
    }
  },
  60_000,
);
if (!isRoot)
  process.stderr.write('Not root: a full disk cannot be mounted, so that test is skipped.\n');

test('Ctrl-C ends a gateway within two seconds, with status 0 and the counts', async () => {
  const program = await startProgram('tidegate', ['run', '--display'], {
    cwd: folder,
    environment: {
      TIDEGATE_BROKER_LISTENERS_0_PORT: `${port}`,
      TIDEGATE_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    },
  });
  programs.push(program);
  await ready(program, adminPort);
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  await client.publishAsync('sensors/gh-01/climate', '{"temperature": 21}', { qos: 1 });
  await client.endAsync();
  const told = performance.now();
  program.child.kill('SIGINT');
  expect((await program.ended).code).toBe(0);
  expect(performance.now() - told).toBeLessThan(2_000);
  expect(program.stdout).toContain('1 messages received, 1 events stored');
});
