import { execFile, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { isPassword, parsePasswords } from '../../src/broker/password-file.ts';
import { builtTidegate } from '../e2e/process/build.ts';
import {
  available,
  connectable,
  freePort,
  startService,
  temporaryFolder,
} from '../services/child.ts';

let main: string;
let folder: string;
let file: string;
beforeAll(async () => {
  main = await builtTidegate();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-passwd-'));
  file = join(folder, 'users');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the command with `input` on a pipe. */
async function passwd(
  given: readonly string[],
  input: string,
): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [main, 'passwd', ...given], { cwd: folder });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, out, err };
}

async function matches(name: string, password: string): Promise<boolean> {
  const { passwords, problems } = parsePasswords(readFileSync(file, 'utf8'));
  expect(problems).toEqual([]);
  const kept = passwords.get(name);
  return kept !== undefined && (await isPassword(kept, Buffer.from(password)));
}

test('users are added, changed and deleted; comments and other users stay as they are', async () => {
  expect(await passwd(['users', 'anna'], 'first\n')).toEqual({
    ...{ status: 0, out: '' },
    err: 'Added anna in users. It counts from the next start of the gateway on.\n',
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/^anna:\$7\$10000\$[^$]{16}\$[^$]{88}\n$/);
  const others = ['# the greenhouse', '', 'ben:$6$YQ==$broken', '# end'];
  writeFileSync(
    file,
    [others[0], readFileSync(file, 'utf8').trim(), ...others.slice(1)].join('\n'),
  );
  expect((await passwd(['users', 'anna'], 'sécond\r\nmore')).err).toContain('Changed anna');
  const lines = readFileSync(file, 'utf8').split('\n');
  expect(lines.filter((line) => !line.startsWith('anna:'))).toEqual([...others, '']);
  writeFileSync(file, lines.filter((line) => !line.startsWith('ben:')).join('\n'));
  expect(await matches('anna', 'sécond')).toBe(true);
  expect(await matches('anna', 'first')).toBe(false);
  expect((await passwd(['-D', 'users', 'anna'], '')).err).toContain('Deleted anna');
  expect(readFileSync(file, 'utf8')).toBe('# the greenhouse\n\n# end\n');
  expect(await passwd(['--delete', 'users', 'anna'], '')).toEqual({
    ...{ status: 1, out: '', err: 'There is no user anna in users.\n' },
  });
  expect(readdirSync(folder)).toEqual(['users']);
});

test('a user for SCRAM-SHA-256 logs in plainly, too', async () => {
  expect((await passwd(['--scram', 'users', 'anna'], 'word\n')).status).toBe(0);
  expect(readFileSync(file, 'utf8')).toMatch(/^anna:\$scram-sha-256\$10000\$/);
  expect(await matches('anna', 'word')).toBe(true);
  expect((await passwd(['users', 'anna'], 'word\n')).err).toContain('Changed anna');
  expect(readFileSync(file, 'utf8')).toMatch(/^anna:\$7\$/);
});

test('nothing is changed without a password, and with a name that cannot be', async () => {
  const none = await passwd(['users', 'anna'], '\n');
  expect([none.status, none.err]).toEqual([1, 'No password was given. Nothing was changed.\n']);
  for (const name of ['a:b', '', '#a', ' a', 'a\nb']) {
    const { status, err } = await passwd(['users', name], 'x\n');
    expect([status, err], name).toEqual([2, expect.stringContaining('user name')]);
  }
  expect((await passwd(['users'], 'x\n')).status).toBe(2);
  const nowhere = await passwd(['none/users', 'anna'], 'x\n');
  expect([nowhere.status, nowhere.err]).toEqual([1, expect.stringContaining('ENOENT')]);
  expect(existsSync(file)).toBe(false);
});

test('a file keeps its owner and its rights, but for those of everybody; a link stays one', async () => {
  writeFileSync(file, '# x\n', { mode: 0o640 });
  const link = join(folder, 'link');
  symlinkSync('users', link);
  expect((await passwd(['link', 'anna'], 'x\n')).status).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(readFileSync(link, 'utf8')).toMatch(/^# x\nanna:/);
  writeFileSync(join(folder, 'open'), '', { mode: 0o644 });
  await passwd(['open', 'anna'], 'x\n');
  expect(statSync(join(folder, 'open')).mode & 0o777).toBe(0o640);
});

const hasScript = available('script');
/** The command on a terminal, where the answers are typed when they are asked for. */
async function onTerminal(answers: readonly string[]): Promise<{ status: number; shown: string }> {
  const command = `${process.execPath} ${main} passwd users anna`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder });
  let shown = '';
  const left = [...answers];
  child.stdout.on('data', (chunk) => {
    shown += chunk;
    if (/(anna|more): $/.test(shown) && left.length > 0) child.stdin.write(left.shift()!);
  });
  const status = await new Promise<number>((resolve) => child.once('close', resolve));
  return { status, shown: shown.replaceAll('\r', '') };
}

test.skipIf(!hasScript)(
  `a terminal is asked twice and shows nothing${hasScript ? '' : ' (script is not installed)'}`,
  { timeout: 30_000 },
  async () => {
    const done = await onTerminal(['sesame\r', 'sesame\r']);
    expect(done).toEqual({
      status: 0,
      shown: [
        ...['Password for anna: ', 'Once more: '],
        'Added anna in users. It counts from the next start of the gateway on.\n',
      ].join('\n'),
    });
    expect(await matches('anna', 'sesame')).toBe(true);
    const differ = await onTerminal(['one\r', 'two\r']);
    expect(differ.status).toBe(1);
    expect(differ.shown).toContain('The two are not the same. Nothing was changed.');
    const cancelled = await onTerminal(['\u0003']);
    expect(cancelled.status).toBe(1);
    expect(await matches('anna', 'sesame')).toBe(true);
  },
);

const hasMosquitto = available('mosquitto') && available('mosquitto_pub');
test.skipIf(!hasMosquitto)(
  `a real Mosquitto takes our files, and we change its own${hasMosquitto ? '' : ' (not installed)'}`,
  { timeout: 30_000 },
  async () => {
    const run = promisify(execFile);
    await run('mosquitto_passwd', ['-b', '-c', file, 'theirs', 'old']);
    expect((await passwd(['users', 'ours'], 'pärole $:x\n')).status).toBe(0);
    expect((await passwd(['users', 'theirs'], 'new\n')).status).toBe(0);
    const port = await freePort();
    const place = await temporaryFolder('mosquitto');
    writeFileSync(
      join(folder, 'conf'),
      `user root\nlistener ${port} 127.0.0.1\nallow_anonymous false\npassword_file ${file}\n`,
    );
    const mosquitto = await startService({
      ...{ name: 'Mosquitto', program: 'mosquitto', args: ['-c', join(folder, 'conf')] },
      ...{ folder: place, probe: () => connectable(port) },
    });
    try {
      const pub = async (name: string, password: string) =>
        await run('mosquitto_pub', [
          ...['-p', `${port}`, '-u', name, '-P', password, '-t', 'a', '-m', '1', '-q', '1'],
        ]);
      await pub('ours', 'pärole $:x');
      await pub('theirs', 'new');
      await expect(pub('theirs', 'old')).rejects.toThrow(/not authori[sz]ed/i);
    } finally {
      await mosquitto.stop();
    }
  },
);
