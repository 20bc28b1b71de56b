/**
 * A backlog: sinks have been away for as long as it takes to record so many readings. How soon a
 * gateway is ready on such a log, how much memory it takes at the most while it drains, and how fast
 * it drains into a file, into InfluxDB and into Mosquitto, beside what a bare client gets into those.
 * Gateway and bare client have one processor, the server has another. A drain is watched for ten
 * seconds, not to its end.
 *
 *   npm run build && node dist/test/bench/backlog.js [readings [file | influxd | mosquitto]]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Draft } from '../../src/event/event.ts';
import { brokerPath } from '../../src/log/cursor-file.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { available, freePort } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import { startMosquitto } from '../services/mosquitto.ts';

const backlogDefault = 500_000;
const rawEvents = 200_000;
const rawBatch = 5_000;
const mqttWindow = 100;
/** So long a drain is watched at the most, after it has begun. */
const watchMs = 10_000;
/** What comes before is not counted: connecting, and what V8 has yet to compile. */
const warmMs = 1_500;
const ticksPerSecond = 100;
const canPin = cpus().length > 1;

/** Every look has the gateway read where each lane is, which is not to be counted with the drain. */
const lookEveryMs = 500;
/** What is drained into, each as a sink of its own. */
const drained = ['file', 'InfluxDB', 'InfluxDB, gzip', 'Mosquitto'];

/** What the systemd unit starts it with. */
const unitFlags = [
  '--max-old-space-size=256',
  '--max-semi-space-size=4',
  '--single-threaded-gc',
  '--v8-pool-size=1',
];

interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly note: string;
}
const row = (name: string, value: number, unit: string, note = ''): Row => ({
  ...{ name, value, unit, note },
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prints the figures and resolves with them. */
export async function run(
  print: (line: string) => void = () => {},
  backlog = backlogDefault,
  only = '',
): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  try {
    const me = fileURLToPath(import.meta.url);
    const filler = spawn(process.execPath, [me, 'fill', join(folder, 'data'), `${backlog}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if ((await once(filler, 'exit'))[0] !== 0) throw new Error('The log could not be filled.');
    const rows: Row[] = [];
    if ('file'.includes(only)) {
      rows.push(...(await drain(folder, 'file', `kind: file, path: ${join(folder, 'archive')}`)));
    }
    for (const [program, measure] of [
      ['influxd', intoInflux],
      ['mosquitto', intoMosquitto],
    ] as const) {
      if (!program.includes(only)) continue;
      if (available(program)) rows.push(...(await measure(folder)));
      else print(`${program} is not installed: it is left out.`);
    }
    return rows;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** All threads of a process on one processor. */
function pin(pid: number, processor: number): void {
  if (canPin) spawnSync('taskset', ['-acp', `${processor}`, `${pid}`], { stdio: 'ignore' });
}

/** Events a second of a bare client in this process, on the processor that the gateway gets later. */
async function rawRateOf(server: number | undefined, work: () => Promise<void>): Promise<number> {
  if (server !== undefined) pin(server, 1);
  pin(process.pid, 0);
  const begun = performance.now();
  await work();
  const rate = (rawEvents / (performance.now() - begun)) * 1_000;
  pin(process.pid, 1);
  return rate;
}

async function intoInflux(folder: string): Promise<Row[]> {
  const influx = await startInfluxDb({ index: 'tsi1' });
  try {
    await influx.query('CREATE DATABASE raw');
    const bodies = rawBodies();
    const url = `${influx.url}/write?db=raw&precision=n`;
    const raw = await rawRateOf(influx.pid, async () => {
      for (const body of bodies) {
        const answer = await fetch(url, { method: 'POST', body });
        if (answer.status !== 204) throw new Error(await answer.text());
      }
    });
    const sink = `kind: influxdb, version: 1, url: '${influx.url}', database: bench`;
    return [
      ...(await drain(folder, 'InfluxDB', `${sink}, gzip: false`, raw)),
      ...(await drain(folder, 'InfluxDB, gzip', sink, raw)),
    ];
  } finally {
    await influx.stop();
  }
}

function rawBodies(): string[] {
  const bodies: string[] = [];
  for (let from = 0; from < rawEvents; from += rawBatch) {
    let body = '';
    for (let n = from; n < from + rawBatch; n++) {
      const { temperature, humidity, missed } = fieldsOf(n);
      const time = `${Date.now() - rawEvents + n}000000`;
      body += `climate,device=gh-${n % 100} temperature=${temperature},humidity=${humidity},missed=${missed} ${time}\n`;
    }
    bodies.push(body);
  }
  return bodies;
}

async function intoMosquitto(folder: string): Promise<Row[]> {
  const mosquitto = await startMosquitto({ lines: [`max_inflight_messages ${mqttWindow}`] });
  try {
    const client = await connectAsync(mosquitto.url, { protocolVersion: 4 });
    const raw = await rawRateOf(mosquitto.pid, async () => await publishRaw(client));
    await client.endAsync();
    const sink = `kind: mqtt, url: '${mosquitto.url}', topic: 'up/{device}'`;
    return await drain(folder, 'Mosquitto', sink, raw);
  } finally {
    await mosquitto.stop();
  }
}

async function publishRaw(client: MqttClient): Promise<void> {
  const payload = 'x'.repeat(320);
  let sent = 0;
  let done = 0;
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
}

/** A gateway with that sink, which has seen nothing, until it has seen all or the time is over. */
async function drain(folder: string, name: string, sink: string, raw?: number): Promise<Row[]> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `data: { dir: data }
log: { maxBytes: 4GiB }
broker: { listeners: [{ port: ${port} }] }
admin: { listen: '127.0.0.1:${adminPort}' }
sinks: { '${sinkNameOf(name)}': { ${sink}, catchUp: { order: oldestFirst } } }
`,
  );
  const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
  const begun = performance.now();
  // What this process was given, such as --cpu-prof, is for the gateway, too.
  const flags = [...unitFlags, ...process.execArgv];
  const args = [process.execPath, ...flags, main, 'run', '--config', config];
  if (canPin) args.unshift('taskset', '-c', '0');
  const { PATH, HOME } = process.env;
  const environment = { PATH, HOME };
  const gateway = spawn(args[0]!, args.slice(1), { stdio: 'ignore', env: environment });
  try {
    await until(gateway, async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok, 10);
    const readyMs = performance.now() - begun;
    const { rate, cpuUs } = await watch(gateway, adminPort);
    const beside = raw === undefined ? '' : `${(rate / raw).toFixed(2)} x the bare client`;
    return [
      row(`${name}: from start to ready`, readyMs, 'ms'),
      ...(raw === undefined ? [] : [row(`${name}: bare client`, raw, '/s')]),
      row(`${name}: drained`, rate, '/s', beside),
      row(`${name}: processor time of the gateway`, cpuUs, 'us per reading'),
      row(`${name}: memory at the most`, memoryMbOf(gateway.pid!), 'MB'),
    ];
  } finally {
    gateway.kill('SIGTERM');
    if (gateway.exitCode === null) await once(gateway, 'exit');
  }
}

/** How fast it drains, and what each reading costs. */
async function watch(gateway: ChildProcess, adminPort: number) {
  const pid = gateway.pid!;
  const look = async () => {
    const lag = await lagOf(adminPort);
    return { lag, at: performance.now(), cpu: cpuSecondsOf(pid) };
  };
  const first = await look();
  let begin = first;
  let end = begin;
  const isOver = async (): Promise<boolean> => {
    const now = await look();
    // A look at the metrics while nothing is left would count what is not there.
    if (now.lag > 0 || end === first) end = now;
    if (now.at < first.at + warmMs && now.lag > 0) begin = now;
    return now.lag < 100 || now.at - begin.at > watchMs;
  };
  await until(gateway, isOver, lookEveryMs);
  const drained = begin.lag - end.lag;
  const seconds = (end.at - begin.at) / 1_000;
  return { rate: drained / seconds, cpuUs: ((end.cpu - begin.cpu) / drained) * 1e6 };
}

async function until(
  gateway: ChildProcess,
  holds: () => Promise<boolean>,
  everyMs = 100,
): Promise<void> {
  while (!(await holds().catch(() => false))) {
    if (gateway.exitCode !== null) throw new Error('The gateway has ended.');
    await pause(everyMs);
  }
}

/** Of the sink's reader, which is furthest behind. */
async function lagOf(adminPort: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const lags = (await answer.text()).matchAll(/^tidegate_reader_lag_events\{.*\} (.*)$/gm);
  return Math.max(...[...lags].map(([, lag]) => Number(lag)));
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident at the most, files that are mapped into memory included. */
function memoryMbOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1_024;
}

/** What a sink is called in the configuration. */
const sinkNameOf = (name: string): string => name.replace(/\W/g, '').toLowerCase();

/**
 * Readings as they come in through the broker; whoever is no sink has seen them, and so have the lanes
 * for alerts, which pass over readings while their sink is away.
 */
async function fill(dir: string, count: number): Promise<void> {
  const [clock, metrics] = [createSystemClock(), createMetrics()];
  const disk = createFileDisk(dir);
  const parts = { disk, clock, random: systemRandom, logger: silentLogger, metrics };
  const log = await openEventLog(
    { ...parts, readers: () => [] },
    { maxBytes: 2 ** 33, whenFull: 'refuseNew', commitDelayMs: 0 },
  );
  const start = Date.now() - count;
  for (let done = 0; done < count; done += 1_000) {
    await log.append(Array.from({ length: 1_000 }, (_, n) => readingOf(done + n, start)));
  }
  await log.close();
  const cursors = await openCursorStore(parts);
  const lanes = drained.map((name) => `${sinkNameOf(name)}/alerts`);
  for (const name of ['rules', 'alerts', 'letters', 'clock', ...lanes]) {
    cursors.open(name, () => log.last);
  }
  await cursors.close();
  const memory = await openCursorStore(parts, { path: brokerPath });
  memory.open('broker', () => log.last);
  await memory.close();
}

const readingOf = (n: number, start: number): Draft => ({
  ...{ type: 'reading', source: '/gateways/bench/broker', subject: `gh-${n % 100}` },
  time: start + n,
  data: { measurement: 'climate', tags: {}, fields: fieldsOf(n) },
});

const fieldsOf = (n: number) => ({
  ...{ temperature: 20 + (n % 100) / 10, humidity: 40 + (n % 50), missed: n },
});

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv[2] === 'fill') await fill(process.argv[3]!, Number(process.argv[4]));
  else {
    const backlog = Number(process.argv[2] ?? process.env.TIDEGATE_BACKLOG ?? backlogDefault);
    console.log(`${backlog.toLocaleString('en')} readings wait.`);
    for (const { name, value, unit, note } of await run(console.log, backlog, process.argv[3])) {
      const shown = value.toFixed(value < 100 ? 1 : 0).padStart(10);
      console.log(`${name.padEnd(46)}${shown} ${unit}  ${note}`);
    }
  }
}
