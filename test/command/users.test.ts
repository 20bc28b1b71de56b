import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { builtTidegate } from '../e2e/process/build.ts';
import { available, eventually, freePort } from '../services/child.ts';
import { runCommand } from './command-line.ts';

const root = join(import.meta.dirname, '../..');
let main: string;
let folder: string;
beforeAll(async () => {
  main = await builtTidegate();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-users-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** The first block of each language in the section of the manual. */
function blocks(): Record<'sh' | 'yaml' | 'acl', string> {
  const manual = readFileSync(join(root, 'docs/configuring.md'), 'utf8');
  const section = /^## Users and rights\n(.*?)^## /ms.exec(manual)![1]!;
  const of = (language: string) =>
    new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(section)![1]!;
  return { sh: of('sh'), yaml: of('yaml'), acl: of('acl') };
}

const isInstalled = available('mosquitto_pub');
test.skipIf(!isInstalled)(
  `the manual's users and rights are made, checked, and hold${isInstalled ? '' : ' (mosquitto_pub is not installed)'}`,
  { timeout: 60_000 },
  async () => {
    const { sh, yaml, acl } = blocks();
    for (const line of sh.trim().split('\n')) {
      const words = line.replace(/#.*/, '').trim().split(/ +/);
      const [status, err] = await new Promise<[number, string]>((resolve) => {
        const child = spawn(process.execPath, [main, ...words.slice(1)], { cwd: folder });
        let said = '';
        child.stderr.on('data', (chunk) => {
          said += chunk;
        });
        child.stdin.end(`word of ${words.at(-1)}\n`);
        child.once('close', (code) => resolve([code!, said]));
      });
      expect([status, err]).toEqual([0, expect.stringMatching(/^(Added|Deleted) /)]);
    }
    writeFileSync(join(folder, 'acl'), acl);
    writeFileSync(join(folder, 'tidegate.yaml'), yaml);
    expect(await runCommand(['check'], { cwd: folder })).toMatchObject({ status: 0, err: '' });

    const port = await freePort();
    const gateway = spawn(process.execPath, [main, 'run'], {
      cwd: folder,
      env: {
        ...{ PATH: process.env.PATH, TIDEGATE_BROKER_LISTENERS_0_PORT: `${port}` },
        TIDEGATE_ADMIN_LISTEN: '127.0.0.1:0',
      },
      stdio: 'ignore',
    });
    const ended = new Promise((resolve) => gateway.once('close', resolve));
    try {
      const url = `mqtt://127.0.0.1:${port}`;
      const login = (username: string) => ({ username, password: `word of ${username}` });
      const dashboard = await eventually(() => connectAsync(url, login('dashboard')), 30_000);
      const device = await connectAsync(url, login('gh-07'));
      const got = { dashboard: new Set<string>(), device: new Set<string>() };
      dashboard.on('message', (topic) => got.dashboard.add(topic));
      device.on('message', (topic) => got.device.add(topic));
      await dashboard.subscribeAsync('#', { qos: 1 });
      await device.subscribeAsync('#', { qos: 1 });
      const pub = async (user: string, topic: string) =>
        await promisify(execFile)('mosquitto_pub', [
          ...['-p', `${port}`, '-u', user, '-P', `word of ${user}`, '-q', '1'],
          ...['-t', topic, '-m', '1'],
        ]);
      await pub('gh-07', 'sensors/gh-07/climate');
      await pub('gh-07', 'inbox/gh-07/x');
      await pub('gh-07', 'sensors/gh-08/climate');
      await pub('dashboard', 'sensors/gh-07/climate/set');
      await pub('dashboard', 'inbox/dashboard/last');
      await eventually(() => expect(got.dashboard).toContain('inbox/dashboard/last'));
      expect([...got.dashboard].sort()).toEqual([
        ...['inbox/dashboard/last', 'inbox/gh-07/x', 'sensors/gh-07/climate', 'tidegate/status'],
      ]);
      expect([...got.device].sort()).toEqual(['inbox/gh-07/x', 'sensors/gh-07/climate']);
      await expect(pub('gh-06', 'inbox/gh-06/x')).rejects.toThrow(/not authori[sz]ed/i);
      const options = ['-p', `${port}`, '-t', 'public/x', '-m', '1'];
      await expect(promisify(execFile)('mosquitto_pub', options)).rejects.toThrow();
      await Promise.all([dashboard.endAsync(), device.endAsync()]);
    } finally {
      gateway.kill('SIGKILL');
      await ended;
    }
  },
);

test('what is wrong with users and rights is told with its place, and nothing starts', async () => {
  writeFileSync(join(folder, 'users'), '# users\nanna:secret\n');
  writeFileSync(join(folder, 'acl'), 'user anna\ntopic raed a/#\n');
  writeFileSync(
    join(folder, 'tidegate.yaml'),
    [
      'broker:',
      '  auth: { passwordFile: users, aclFile: acl }',
      '  listeners:',
      '    - { port: 0, auth: { passwordFile: none } }',
    ].join('\n'),
  );
  const expected = [
    'users:2:6: the password is not hashed. Set the password anew: tidegate passwd FILE USER.',
    'acl:2:7: "raed" is not an access. Write read, write, readwrite or deny before the topic.',
    'tidegate.yaml:4:40: broker.listeners[0].auth.passwordFile: there is no file none. Make it with: tidegate passwd FILE USER.',
  ];
  for (const command of ['check', 'run']) {
    const error = await runCommand([command], { cwd: folder }).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'GW_CONFIG_INVALID' });
    for (const line of expected) expect((error as Error).message).toContain(line);
  }
});
