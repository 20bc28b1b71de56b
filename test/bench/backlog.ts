/**
 * A backlog: sinks have been away for as long as it takes to record so many readings. How soon a
 * gateway is ready on such a log, how much memory it takes at the most while it drains, and how fast
 * it drains into a file, into InfluxDB and into Mosquitto, beside what a bare client gets into those.
 *
 *   npm run build && TIDEGATE_BACKLOG=10000000 node dist/test/bench/backlog.js
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { connectAsync } from 'mqtt';
import type { Draft } from '../../src/event/event.ts';
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

const backlog = Number(process.env.TIDEGATE_BACKLOG ?? 500_000);
const rawEvents = 100_000;
const rawBatch = 5_000;
const mqttWindow = 100;

/** What the systemd unit starts it with. */
const unitFlags = ['--max-old-space-size=256', '--max-semi-space-size=8'];

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
export async function run(print: (line: string) => void = () => {}): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  try {
    const me = fileURLToPath(import.meta.url);
    const filler = spawn(process.execPath, [me, 'fill', join(folder, 'data'), `${backlog}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if ((await once(filler, 'exit'))[0] !== 0) throw new Error('The log could not be filled.');
    const rows = await drain(folder, 'a file', `kind: file, path: ${join(folder, 'archive')}`);
    for (const [program, measure] of [
      ['influxd', intoInflux],
      ['mosquitto', intoMosquitto],
    ] as const) {
      if (available(program)) rows.push(...(await measure(folder)));
      else print(`${program} is not installed: it is left out.`);
    }
    return rows;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function intoInflux(folder: string): Promise<Row[]> {
  const influx = await startInfluxDb({ index: 'tsi1' });
  try {
    await influx.query('CREATE DATABASE raw');
    const begun = performance.now();
    for (let from = 0; from < rawEvents; from += rawBatch) {
      let body = '';
      for (let n = from; n < from + rawBatch; n++) {
        const { temperature, humidity, missed } = fieldsOf(n);
        const time = `${Date.now() - rawEvents + n}000000`;
        body += `climate,device=gh-${n % 100} temperature=${temperature},humidity=${humidity},missed=${missed} ${time}\n`;
      }
      const url = `${influx.url}/write?db=raw&precision=n`;
      const answer = await fetch(url, { method: 'POST', body });
      if (answer.status !== 204) throw new Error(await answer.text());
    }
    const raw = rateOf(rawEvents, begun);
    const sink = `kind: influxdb, version: 1, url: '${influx.url}', database: bench, gzip: false`;
    return await drain(folder, 'InfluxDB', sink, raw);
  } finally {
    await influx.stop();
  }
}

async function intoMosquitto(folder: string): Promise<Row[]> {
  const mosquitto = await startMosquitto({ lines: [`max_inflight_messages ${mqttWindow}`] });
  try {
    const client = await connectAsync(mosquitto.url, { protocolVersion: 4 });
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
    const raw = rateOf(rawEvents, begun);
    await client.endAsync();
    const sink = `kind: mqtt, url: '${mosquitto.url}', topic: 'up/{device}'`;
    return await drain(folder, 'Mosquitto', sink, raw);
  } finally {
    await mosquitto.stop();
  }
}

const rateOf = (count: number, begun: number): number =>
  (count / (performance.now() - begun)) * 1_000;

/** A gateway with that sink, which has seen nothing, until it has seen all. */
async function drain(folder: string, name: string, sink: string, raw?: number): Promise<Row[]> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `data: { dir: data }
log: { maxBytes: 4GiB }
broker: { listeners: [{ port: ${port} }] }
admin: { listen: '127.0.0.1:${adminPort}' }
sinks: { '${name.replace(/\W/g, '')}': { ${sink}, catchUp: { order: oldestFirst } } }
`,
  );
  const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
  const begun = performance.now();
  const args = [...unitFlags, main, 'run', '--config', config];
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME };
  const gateway = spawn(process.execPath, args, { stdio: 'ignore', env: environment });
  try {
    await until(gateway, async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok, 10);
    const readyMs = performance.now() - begun;
    const drainBegun = performance.now();
    await until(gateway, async () => (await lagOf(adminPort)) < 100);
    const rate = rateOf(backlog, drainBegun);
    const note = `${backlog.toLocaleString('en')} readings`;
    return [
      row(`${name}: from start to ready`, readyMs, 'ms', note),
      row(`${name}: drained`, rate, '/s', note),
      ...(raw === undefined
        ? []
        : [row(`${name}: bare client`, raw, '/s', `${(rate / raw).toFixed(2)} x of it`)]),
      row(`${name}: memory at the most`, peakMbOf(gateway.pid!), 'MB'),
    ];
  } finally {
    gateway.kill('SIGTERM');
    if (gateway.exitCode === null) await once(gateway, 'exit');
  }
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

/** Of the reader that is furthest behind. */
async function lagOf(adminPort: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const lags = (await answer.text()).matchAll(/^tidegate_reader_lag_events\{.*\} (.*)$/gm);
  return Math.max(...[...lags].map(([, lag]) => Number(lag)));
}

function peakMbOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1_024;
}

/** Readings as they come in through the broker; whoever is no sink has seen them. */
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
  for (const name of ['rules', 'alerts', 'letters', 'clock']) cursors.open(name, () => log.last);
  await cursors.close();
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
    for (const { name, value, unit, note } of await run(console.log)) {
      const shown = value.toFixed(value < 100 ? 1 : 0).padStart(10);
      console.log(`${name.padEnd(34)}${shown} ${unit}  ${note}`);
    }
  }
}
