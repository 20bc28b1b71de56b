import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { builtTidegate } from '../e2e/process/build.ts';
import { available, eventually, freePort } from '../services/child.ts';
import { type Broker, startBroker } from './broker.ts';

const program = resolve(await builtTidegate(), '../../firmware-sim/main.js');
let broker: Broker | undefined;
let running: ChildProcess | undefined;
afterEach(async () => {
  running?.kill('SIGKILL');
  await broker?.kill();
  broker = undefined;
  running = undefined;
});

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly words: string;
}
const tidegateFleet = (...args: string[]): Promise<Outcome> =>
  new Promise((settle) => {
    running = execFile(process.execPath, [program, ...args], (error, out, words) =>
      settle({ status: typeof error?.code === 'number' ? error.code : 0, out, words }),
    );
  });
const quick = ['--rate', '20', '--duration', '1'];

test('the table says what was sent, acknowledged and lost; all acknowledged is success', async () => {
  broker = await startBroker();
  const { status, out, words } = await tidegateFleet('--url', broker.url, ...quick);
  expect(status).toBe(0);
  expect(words).toBe('');
  expect(out).toMatch(/^ {2}sent +100$/m);
  expect(out).toMatch(/^ {2}acknowledged +100 /m);
  expect(out).toMatch(
    /^ {2}latency +[\d.]+ ms {2}p50; p90 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms$/m,
  );
  expect(out).toMatch(/^ {2}lost +0$/m);
});

test('the ledger holds one line for every acknowledged message', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-fleet-'));
  try {
    broker = await startBroker();
    const path = join(folder, 'ledger');
    const { out } = await tidegateFleet('--url', broker.url, ...quick, '--ledger', path, '--json');
    expect(JSON.parse(out)).toMatchObject({ sent: 100, acknowledged: 100, lost: 0, refused: 0 });
    const lines = (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const named = (list: { boot: number; seq: number }[], device: string): number[] =>
      list
        .map(({ seq }) => seq)
        .toSorted((a, b) => a - b)
        .concat(device.length);
    for (const device of ['gh-01', 'gh-05']) {
      expect(
        named(
          lines.filter((line) => line.device === device),
          device,
        ),
      ).toEqual(
        named(
          broker.heard.filter(({ client }) => client === device),
          device,
        ),
      );
    }
    expect(lines).toHaveLength(100);
    expect(Object.keys(lines[0])).toEqual(['device', 'boot', 'seq', 'time', 'fields']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a lost message is a failure', async () => {
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const { status, out, words } = await tidegateFleet(
    '--url',
    url,
    ...quick,
    '--grace',
    '0.1',
    '--json',
  );
  expect(status).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ sent: 0, acknowledged: 0, lost: 100 });
  expect(words).toContain('ECONNREFUSED');
});

test('Ctrl-C ends the fleet within two seconds, with its table', async () => {
  broker = await startBroker();
  const ended = tidegateFleet('--url', broker.url, '--json');
  await eventually(() => expect(broker?.heard.length).toBeGreaterThan(3));
  const at = performance.now();
  running?.kill('SIGINT');
  const { status, out } = await ended;
  expect(performance.now() - at).toBeLessThan(2_000);
  expect(status).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ lost: 0 });
});

test.for([
  ['--devices', '0'],
  ['--rate', 'often'],
  ['--qos', '3'],
  ['--url', 'nonsense'],
  ['--codec', 'morse'],
  ['--codec', 'auto'],
  ['--shape', 'teapot'],
  ['--to', 'board'],
  ['--url', 'serial:/dev/nowhere'],
  ['--ca', '/nowhere/ca.pem'],
  ['--scenario', 'storm.yaml'],
  ['--unknown'],
])('%s is wrong usage', async (args) => {
  const { status, out, words } = await tidegateFleet(...args);
  expect(status).toBe(2);
  expect(out).toBe('');
  expect(words).toMatch(/^tidegate-fleet: /);
  expect(words).toContain(args[0] === '--url' ? '--' : args[0]);
});

test('--help describes every option', async () => {
  const { status, out } = await tidegateFleet('--help');
  expect(status).toBe(0);
  const source = await readFile(
    resolve(import.meta.dirname, '../../firmware-sim/arguments.ts'),
    'utf8',
  );
  const block = /const known = \{([\s\S]*?)\n\}/.exec(source)![1]!;
  const names = [...block.matchAll(/(\w+): (?:text|flag|many)/g)].map((match) => match[1]!);
  expect(names.length).toBeGreaterThan(20);
  for (const name of names) expect(out).toContain(`--${name}`);
});

const onLinux = process.platform === 'linux';
test.skipIf(!onLinux || !available('script'))(
  'on a terminal the fleet shows what it does',
  async () => {
    broker = await startBroker();
    const args = [program, '--url', broker.url, '--duration', '1'];
    const command = [process.execPath, ...args].map((part) => `'${part}'`).join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running = child;
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen += chunk;
    });
    await new Promise((ended) => child.once('close', ended));
    expect(seen).toMatch(/5\/5 connected · \d+ sent · \d+ acknowledged/);
    expect(seen).toMatch(/lost +0/);
  },
);
