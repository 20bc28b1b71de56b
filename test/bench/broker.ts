/**
 * What a durable QoS 1 message costs in the broker, beside bare aedes and Mosquitto: both as they
 * are, where nothing is on the disk when a message is acknowledged, and Mosquitto with a session that
 * is away and wants everything, so that its persistence has something to keep. About four minutes for
 * each round; of several rounds the medians are told.
 *
 * Every server is a process of its own on one processor, and the load, the same for all, on another.
 * Ratios are given twice: of messages a second, and of messages a second of processor time, all
 * threads of the server counted. The first says what the load and the neighbours leave of the
 * second. Node is started without flags, for aedes as for us.
 *
 * Mosquitto with persistence acknowledges first; it writes its database after 1,000 changes and does not
 * sync it. By default it keeps 1,000 messages for the session and throws away, acknowledged as they are,
 * all others; so there is one that keeps whatever it has acknowledged, as we do (`max_queued_messages 0`):
 * in memory, as its whole database written after every 1,000 changes would be all that it does. With one subscriber to `#`, at
 * QoS 0, its messages are counted. Ours are synced before a PUBACK.
 *
 *   npm run build && node dist/test/bench/broker.js [part of a name [rounds]]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Load, LoadResult } from './broker-load.ts';
import type { ServerRole } from './broker-server.ts';

type Print = (line: string) => void;

interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

interface Case {
  readonly clients: number;
  readonly window: number;
  /** One subscriber to everything: told is what it gets. */
  readonly subscriber?: true;
}

const cases: readonly Case[] = [
  { clients: 1, window: 1 },
  { clients: 1, window: 20 },
  { clients: 100, window: 1 },
  { clients: 100, window: 20 },
  { clients: 100, window: 20, subscriber: true },
];
const warmMs = 700;
const warmMessages = 100_000;
const measureMs = 2300;
const mosquitto = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto'].find((path) => existsSync(path));
const taskset = ['/usr/bin/taskset', '/bin/taskset'].find((path) => existsSync(path));
const canPin = taskset !== undefined && cpus().length > 1;

/** A process on one processor alone; the server and the load do not share theirs. */
function start(
  processor: number,
  program: string,
  args: readonly string[],
  errors: 'inherit' | 'ignore' = 'inherit',
): ChildProcess {
  const [file, ...rest] = canPin
    ? [taskset!, '-c', String(processor), program, ...args]
    : [program, ...args];
  return spawn(file!, rest, { stdio: ['ignore', 'pipe', errors] });
}

function script(name: string): string {
  return fileURLToPath(new URL(name + import.meta.url.slice(-3), import.meta.url));
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout!) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return text.trim();
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

function stopper(child: ChildProcess, folder: string): () => Promise<void> {
  return async () => {
    child.kill('SIGTERM');
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
}

async function startOurs(role: ServerRole): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  // Bare aedes overflows its stack when the publishers go, after a subscriber to everything was there.
  const errors = role === 'aedes' ? 'ignore' : 'inherit';
  const args = [script('./broker-server'), role, folder];
  const child = start(0, process.execPath, args, errors);
  const port = Number(await firstLine(child));
  return { port, pid: child.pid!, stop: stopper(child, folder) };
}

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

async function startMosquitto(keeps: 'nothing' | 'thousand' | 'everything'): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  const port = await freePort();
  const lines = [
    'per_listener_settings false',
    'user root',
    'persistence true',
    `persistence_location ${folder}/`,
    // After so many changes: of one, it would write its whole database for every message.
    ...(keeps === 'everything'
      ? ['max_queued_messages 0']
      : ['autosave_on_changes true', 'autosave_interval 1000']),
    'allow_anonymous true',
    'log_dest none',
    `listener ${port} 127.0.0.1`,
  ];
  await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
  const child = start(0, mosquitto!, ['-c', join(folder, 'mosquitto.conf')], 'ignore');
  for (let attempt = 0; attempt < 100 && !(await takesConnections(port)); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (keeps !== 'nothing') await leaveSession(port);
  return { port, pid: child.pid!, stop: stopper(child, folder) };
}

/** A client that subscribes to everything at QoS 1, and goes away without ending its session. */
async function leaveSession(port: number): Promise<void> {
  const connecting = Buffer.from([
    0x10, 16, 0, 4, 77, 81, 84, 84, 4, 0, 0, 0, 0, 4, 97, 119, 97, 121,
  ]);
  const subscribing = Buffer.from([0x82, 6, 0, 1, 0, 1, 35, 1]);
  const socket = connect(port, '127.0.0.1');
  let answered = Buffer.alloc(0);
  socket.write(Buffer.concat([connecting, subscribing]));
  // CONNACK and SUBACK.
  for await (const chunk of socket) {
    answered = Buffer.concat([answered, chunk as Buffer]);
    if (answered.length >= 9) break;
  }
  socket.destroy();
}

async function takesConnections(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function measure(load: Load): Promise<LoadResult> {
  const child = start(1, process.execPath, [script('./broker-load'), JSON.stringify(load)]);
  const result = JSON.parse(await firstLine(child)) as LoadResult;
  await ended(child);
  return result;
}

const servers: readonly { readonly name: string; start(): Promise<Server> }[] = [
  { name: 'aedes, nothing kept', start: async () => await startOurs('aedes') },
  ...(mosquitto === undefined
    ? []
    : [
        { name: 'Mosquitto, nothing kept', start: async () => await startMosquitto('nothing') },
        { name: 'Mosquitto, keeps 1,000', start: async () => await startMosquitto('thousand') },
        { name: 'Mosquitto, keeps all', start: async () => await startMosquitto('everything') },
      ]),
  { name: 'broker, durable PUBACK', start: async () => await startOurs('broker') },
  { name: 'broker, decoded and logged', start: async () => await startOurs('gateway') },
];

/** Prints the table, and resolves with the rates. `only` picks servers by a part of their name. */
export async function run(print: Print = () => {}, only = '', rounds = 1) {
  if (mosquitto === undefined) print('mosquitto is not installed: it is left out.');
  const chosen = servers.filter(({ name }) => name.includes(only));
  const measured = new Map<string, LoadResult[]>();
  for (let round = 0; round < rounds; round++) {
    for (const server of chosen) {
      for (const each of cases) {
        const key = rowName(server.name, each);
        measured.set(key, [...(measured.get(key) ?? []), await measureServer(server, each)]);
      }
    }
  }
  print(
    `${'QoS 1, 120 bytes of JSON'.padEnd(28)}${'clients x window'.padStart(17)}` +
      `${'messages/s'.padStart(12)}${'p50 ms'.padStart(9)}` +
      `${'p99 ms'.padStart(9)}${'CPU us'.padStart(8)}${comparedWith.map(({ title }) => title.padStart(16)).join('')}`,
  );
  const results = new Map([...measured].map(([key, all]) => [key, medianOf(all)]));
  return chosen.flatMap(({ name }) => cases.map((each) => printRow(print, results, name, each)));
}

const shapeOf = ({ clients, window, subscriber }: Case): string =>
  `${clients} x ${window}${subscriber === true ? ' to #' : ''}`;

const rowName = (name: string, each: Case): string => `${name}, ${shapeOf(each)}`;

async function measureServer(server: (typeof servers)[number], each: Case): Promise<LoadResult> {
  const running = await server.start();
  const { port, pid } = running;
  const result = await measure({ port, pid, ...each, warmMs, warmMessages, measureMs });
  await running.stop();
  return result;
}

/** Of each figure by itself. */
function medianOf(results: readonly LoadResult[]): LoadResult {
  const median = (of: keyof LoadResult): number =>
    results.map((result) => result[of]).toSorted((a, b) => a - b)[results.length >> 1]!;
  return {
    messagesPerSecond: median('messagesPerSecond'),
    p50Ms: median('p50Ms'),
    p99Ms: median('p99Ms'),
    cpuUsPerMessage: median('cpuUsPerMessage'),
  };
}

function printRow(
  print: Print,
  results: ReadonlyMap<string, LoadResult>,
  name: string,
  each: Case,
): { name: string; value: number; unit: string; note: string } {
  const { messagesPerSecond, cpuUsPerMessage, p50Ms, p99Ms } = results.get(rowName(name, each))!;
  const ratios = comparedWith.map(({ name: compared }) => {
    const other = results.get(rowName(compared, each));
    if (other === undefined) return '';
    const wall = messagesPerSecond / other.messagesPerSecond;
    return `${wall.toFixed(2)} / ${(other.cpuUsPerMessage / cpuUsPerMessage).toFixed(2)}`;
  });
  print(
    `${name.padEnd(28)}${shapeOf(each).padStart(17)}` +
      `${messagesPerSecond.toFixed(0).padStart(12)}` +
      `${p50Ms.toFixed(2).padStart(9)}${p99Ms.toFixed(2).padStart(9)}` +
      `${cpuUsPerMessage.toFixed(2).padStart(8)}` +
      ratios.map((ratio) => ratio.padStart(16)).join(''),
  );
  const times = `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
  return {
    name: rowName(name, each),
    value: Math.round(messagesPerSecond),
    unit: 'messages/s',
    note: `${times}, CPU ${cpuUsPerMessage.toFixed(2)} us`,
  };
}

/** What the rates are divided by, in columns of their own: wall / processor. */
const comparedWith = [
  { title: 'x aedes', name: 'aedes, nothing kept' },
  { title: 'x Mosquitto', name: 'Mosquitto, nothing kept' },
  { title: 'x Mosq. 1,000', name: 'Mosquitto, keeps 1,000' },
  { title: 'x Mosq. all', name: 'Mosquitto, keeps all' },
] as const;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const rounds = Number(process.argv[3] ?? 1);
  await run((line) => process.stdout.write(`${line}\n`), process.argv[2], rounds);
}
