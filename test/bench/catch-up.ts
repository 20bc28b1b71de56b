/**
 * Live first: a sink comes back after an outage in which it has missed 1,000,000 readings, while
 * devices go on publishing at QoS 1. How fast the backlog drains, beside what a bare client gets into
 * the same server, and how long a live reading takes to the server meanwhile, beside when there is
 * no backlog. The gateway has one processor; server, devices and listener share another. Everything is
 * done several times, in the same process beside and without a backlog, and the median is told.
 *
 *   npm run build && node dist/test/bench/catch-up.js [readings [influxd | mosquitto [rounds]]]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { connectAsync } from 'mqtt';
import type { Draft } from '../../src/event/event.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { available, freePort } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import { startMosquitto } from '../services/mosquitto.ts';

const backlogDefault = 1_000_000;
const rawEvents = 100_000;
const rawBatch = 5_000;
/** Messages in flight, of the sink as of the bare client. */
const mqttWindow = 100;
const liveDevices = 20;
const liveEveryMs = 200;
const measureMs = 10_000;
/** A backlog that takes longer is drained no further. */
const drainMaxMs = 40_000;
const roundsDefault = 3;
/** What the systemd unit starts it with. */
const unitFlags = ['--max-old-space-size=256', '--max-semi-space-size=8'];
const canPin = cpus().length > 1;

type Print = (line: string) => void;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A server with a gateway in front of it. */
interface Far {
  readonly name: string;
  /** The sink, in YAML. */
  readonly sink: string;
  /** It is away until `comeBack`. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Calls `onLive` with the number of each live reading once the server has it. */
  listen(onLive: (seq: number) => void): Promise<void>;
  /** Events a second that a bare client gets into it. */
  raw(): Promise<number>;
  stop(): Promise<void>;
}

/** Prints the figures and resolves with them. */
export async function run(
  print: Print = () => {},
  backlog = backlogDefault,
  only = '',
  rounds = roundsDefault,
) {
  const rows = [];
  for (const [program, open] of [
    ['influxd', openInflux],
    ['mosquitto', openMosquitto],
  ] as const) {
    if (!program.includes(only)) continue;
    if (!available(program)) print(`${program} is not installed: it is left out.`);
    else {
      const measured: Round[] = [];
      for (let n = 0; n < rounds; n++) measured.push(await measure(await open(), backlog));
      rows.push(...rowsOf(program, measured));
    }
  }
  return rows;
}

interface Round {
  readonly drainRate: number;
  readonly rawRate: number;
  readonly idle: readonly number[];
  readonly draining: readonly number[];
  readonly memoryMb: number;
}

function rowsOf(name: string, rounds: readonly Round[]) {
  const medianOf = (of: (round: Round) => number) => percentile(rounds.map(of), 0.5);
  const spread = (of: (round: Round) => number, digits: number): string =>
    `rounds: ${rounds.map((round) => of(round).toFixed(digits)).join(' ')}`;
  const line = (what: string, unit: string, digits: number, of: (round: Round) => number) =>
    row(`${name}: ${what}`, medianOf(of), unit, spread(of, digits));
  const slower = (share: number) => (round: Round) =>
    percentile(round.draining, share) / percentile(round.idle, share);
  return [
    line('backlog drained', '/s', 0, ({ drainRate }) => drainRate),
    line('bare client', '/s', 0, ({ rawRate }) => rawRate),
    line('live, 99 of 100, no backlog', 'ms', 2, ({ idle }) => percentile(idle, 0.99)),
    line('live, 99 of 100, draining', 'ms', 2, ({ draining }) => percentile(draining, 0.99)),
    line('live, 99 of 100, slower by', 'x', 2, slower(0.99)),
    line('live, median, no backlog', 'ms', 2, ({ idle }) => percentile(idle, 0.5)),
    line('live, median, slower by', 'x', 2, slower(0.5)),
    line('memory at the most', 'MB', 0, ({ memoryMb }) => memoryMb),
  ];
}

const row = (name: string, value: number, unit: string, note = '') => ({ name, value, unit, note });

async function measure(far: Far, backlog: number): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `
gateway: { id: bench }
data: { dir: data }
broker: { listeners: [{ port: ${port} }], limits: { messagesPerSecond: 0 } }
admin: { listen: '127.0.0.1:${adminPort}' }
sinks: { far: { ${far.sink}, retry: { minMs: 20, maxMs: 200 } } }
`,
  );
  let gateway: ChildProcess | undefined;
  try {
    await fill(join(folder, 'data'), backlog);
    const raw = await far.raw();
    await far.goAway();
    const sentAt = new Map<number, number>();
    let delays: number[] = [];
    await far.listen((seq) => {
      const at = sentAt.get(seq);
      if (at !== undefined) delays.push(performance.now() - at);
      sentAt.delete(seq);
    });
    const args = [...unitFlags, script('../../src/main.js'), 'run', '--config', config];
    gateway = canPin
      ? spawn('taskset', ['-c', '0', process.execPath, ...args], { stdio: 'ignore' })
      : spawn(process.execPath, args, { stdio: 'ignore' });
    await until(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok);
    const devices = await startDevices(port, sentAt);
    // Whoever else reads the log from its beginning in this made-up life, until that is done.
    for (const reader of ['rules', 'alerts', 'letters', 'clock']) {
      await until(async () => (await lagOf(adminPort, reader)) < 100);
    }
    await pause(1_000);
    await far.comeBack();
    await until(async () => (await metric(adminPort, 'tidegate_backlog_events')) > 0);
    sentAt.clear();
    delays = [];
    const begun = performance.now();
    const backlogNow = async () => await metric(adminPort, 'tidegate_backlog_events');
    const first = await backlogNow();
    let left = first;
    await until(async () => {
      left = await backlogNow();
      return left === 0 || performance.now() - begun > drainMaxMs;
    });
    const drainedSeconds = (performance.now() - begun) / 1_000;
    const draining = delays;
    const memoryMb = statusMbOf(gateway.pid!, 'VmHWM');
    // What is left, if anything, drains while nobody looks.
    await until(async () => (await backlogNow()) === 0);
    await pause(2_000);
    sentAt.clear();
    delays = [];
    await pause(measureMs);
    const idle = delays;
    await devices.stop();
    return { drainRate: (first - left) / drainedSeconds, rawRate: raw, idle, draining, memoryMb };
  } finally {
    gateway?.kill('SIGTERM');
    if (gateway !== undefined) await once(gateway, 'exit');
    await far.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Readings as they come in through the broker, recorded while the sink was away. */
async function fill(dir: string, count: number): Promise<void> {
  const metrics = createMetrics();
  const log = await openEventLog(
    {
      disk: createFileDisk(dir),
      clock: createSystemClock(),
      random: systemRandom,
      logger: silentLogger,
      metrics,
      readers: () => [],
    },
    { maxBytes: 2 ** 30, whenFull: 'refuseNew', commitDelayMs: 0 },
  );
  const start = Date.now() - count;
  for (let done = 0; done < count; done += 1_000) {
    await log.append(
      Array.from({ length: 1_000 }, (_, n) => readingOf(done + n, start + done + n)),
    );
  }
  await log.close();
}

const readingOf = (n: number, time: number): Draft => ({
  type: 'reading',
  source: '/gateways/bench/broker',
  subject: `gh-${n % 100}`,
  time,
  data: {
    measurement: 'climate',
    tags: {},
    fields: { temperature: 20 + (n % 100) / 10, humidity: 40 + (n % 50), missed: n },
  },
});

async function startDevices(port: number, sentAt: Map<number, number>) {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  let seq = 0;
  const publish = (): void => {
    sentAt.set(++seq, performance.now());
    client.publish('sensors/live/probe', JSON.stringify({ liveseq: seq }), { qos: 1 });
  };
  const timer = setInterval(publish, liveEveryMs / liveDevices);
  return {
    async stop() {
      clearInterval(timer);
      await client.endAsync(true);
    },
  };
}

async function openInflux(): Promise<Far> {
  const influx = await startInfluxDb({ index: 'tsi1' });
  if (canPin) spawn('taskset', ['-acp', '1', `${influx.pid}`], { stdio: 'ignore' });
  let onLive = (_seq: number): void => {};
  let isAway = false;
  // In front of the server, to see when it has answered.
  const proxy = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method, url, headers } = incoming;
      if (isAway) {
        response.writeHead(503).end();
        return;
      }
      const outgoing = request(`${influx.url}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
        const body = Buffer.concat(chunks);
        if (!body.subarray(0, 20).includes('probe')) return;
        for (const [, seq] of body.toString().matchAll(/liveseq=(\d+)/g)) onLive(Number(seq));
      });
      outgoing.end(Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  await influx.query('CREATE DATABASE raw');
  return {
    name: 'InfluxDB',
    sink: `kind: influxdb, version: 1, url: 'http://127.0.0.1:${port}', database: bench, gzip: false, batch: { delayMs: 0 }`,
    async goAway() {
      isAway = true;
    },
    async comeBack() {
      isAway = false;
    },
    async listen(heard) {
      onLive = heard;
    },
    async raw() {
      const bodies: string[] = [];
      for (let from = 0; from < rawEvents; from += rawBatch) {
        let body = '';
        for (let n = from; n < from + rawBatch; n++) {
          const { temperature, humidity } = fieldsOf(n);
          const time = `${Date.now() - rawEvents + n}000000`;
          body += `climate,device=gh-${n % 100} temperature=${temperature},humidity=${humidity},missed=${n} ${time}\n`;
        }
        bodies.push(body);
      }
      const begun = performance.now();
      for (const body of bodies) {
        const answer = await fetch(`${influx.url}/write?db=raw&precision=n`, {
          method: 'POST',
          body,
        });
        if (answer.status !== 204) throw new Error(await answer.text());
      }
      return (rawEvents / (performance.now() - begun)) * 1_000;
    },
    async stop() {
      proxy.closeAllConnections();
      proxy.close();
      await influx.stop();
    },
  };
}

const fieldsOf = (n: number) => ({ temperature: 20 + (n % 100) / 10, humidity: 40 + (n % 50) });

async function openMosquitto(): Promise<Far> {
  // Else its Nagle's algorithm, towards the listener here, is all that 99 of 100 show: 40 ms.
  const lines = [`max_inflight_messages ${mqttWindow}`, 'set_tcp_nodelay true'];
  const mosquitto = await startMosquitto({ lines });
  if (canPin) spawn('taskset', ['-acp', '1', `${mosquitto.pid}`], { stdio: 'ignore' });
  const client = await connectAsync(mosquitto.url, { protocolVersion: 4, reconnectPeriod: 50 });
  client.on('error', () => {});
  return {
    name: 'Mosquitto',
    sink: `kind: mqtt, url: '${mosquitto.url}', topic: 'up/{device}'`,
    async goAway() {
      await mosquitto.terminate();
    },
    async comeBack() {
      await mosquitto.restart();
      if (canPin) spawn('taskset', ['-acp', '1', `${mosquitto.pid}`], { stdio: 'ignore' });
    },
    async listen(heard) {
      client.on('message', (_topic, payload) => {
        heard(JSON.parse(payload.toString()).data.fields.liveseq);
      });
      // It is away: subscribes when it is back.
      client.on('connect', () => client.subscribe('up/live', { qos: 1 }));
    },
    async raw() {
      const payload = 'x'.repeat(320);
      let sent = 0;
      let done = 0;
      const begun = performance.now();
      await new Promise<void>((resolve, reject) => {
        const send = (): void => {
          client.publish(`raw/gh-${sent++ % 100}`, payload, { qos: 1 }, (error) => {
            if (error) reject(error);
            else if (++done === rawEvents) resolve();
            else if (sent < rawEvents) send();
          });
        };
        for (let n = 0; n < mqttWindow; n++) send();
      });
      return (rawEvents / (performance.now() - begun)) * 1_000;
    },
    async stop() {
      await client.endAsync(true);
      await mosquitto.stop();
    },
  };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) await pause(50);
}

async function metric(adminPort: number, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const lines = (await answer.text()).split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

async function lagOf(adminPort: number, reader: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const found = new RegExp(`^tidegate_reader_lag_events\\{reader="${reader}"\\} (.*)$`, 'm');
  return Number(found.exec(await answer.text())?.[1] ?? Number.NaN);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function statusMbOf(pid: number, name: string): number {
  const found = readFileSync(`/proc/${pid}/status`, 'latin1').match(
    new RegExp(`${name}:\\s+(\\d+)`),
  );
  return Number(found?.[1]) / 1_024;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , readings = backlogDefault, only, rounds = roundsDefault] = process.argv;
  for (const each of await run(console.log, Number(readings), only, Number(rounds))) {
    const { name, value, unit, note } = each;
    const shown = value.toFixed(value < 100 ? 2 : 0).padStart(10);
    console.log(`${name.padEnd(44)}${shown} ${unit.padEnd(3)} ${note}`);
  }
}
