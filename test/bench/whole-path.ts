/**
 * The whole gateway on one processor: 100 devices publish at QoS 1, every reading is decoded,
 * recorded, looked at by a rule and written to InfluxDB. Load and InfluxDB share another processor.
 *
 *   npm run build && node dist/test/bench/whole-path.js
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { available, freePort } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import type { Load, LoadResult } from './broker-load.ts';

/** As in systemd/tidegate.service: V8 would else take what a large machine has to give. */
const heapLimits = [
  '--max-old-space-size=256',
  '--max-semi-space-size=4',
  '--single-threaded-gc',
  '--v8-pool-size=1',
];
const warmMs = 2_000;
const measureMs = 10_000;
const idleMs = 10_000;
/** What starting leaves behind is collected by then. */
const settleMs = 4_000;
const ticksPerSecond = 100;
const canPin = cpus().length > 1;

type Print = (line: string) => void;

const pinned = (processor: number, args: readonly string[]): [string, string[]] =>
  canPin
    ? ['taskset', ['-c', `${processor}`, process.execPath, ...args]]
    : [process.execPath, [...args]];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Prints the figures and resolves with them. */
export async function run(print: Print = () => {}) {
  if (!available('influxd')) {
    print('influxd is not installed: the whole path cannot be measured.');
    return [];
  }
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  const influx = await startInfluxDb();
  if (canPin) spawn('taskset', ['-acp', '1', `${influx.pid}`], { stdio: 'ignore' });
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `
gateway: { id: bench }
data: { dir: data }
broker: { listeners: [{ port: ${port} }], limits: { messagesPerSecond: 0 } }
admin: { listen: '127.0.0.1:${adminPort}' }
rules: { overheat: { kind: threshold, field: temperature, above: 30, clearBelow: 28 } }
sinks: { influx: { kind: influxdb, version: 1, url: '${influx.url}', database: bench } }
`,
  );
  const startedAt = performance.now();
  const [program, args] = pinned(0, [
    ...heapLimits,
    script('../../src/main.js'),
    ...['run', '--config', config],
  ]);
  const gateway = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await firstConnack(port);
    const connackMs = performance.now() - startedAt;
    const pid = gateway.pid!;
    await pause(settleMs);
    const idle = cpuSecondsOf(pid);
    await pause(idleMs);
    const idlePercent = ((cpuSecondsOf(pid) - idle) / idleMs) * 100_000;
    const idleMb = statusKbOf(pid, 'VmRSS') / 1_024;

    const shape = { port, pid, clients: 100, window: 20, warmMs };
    const paced = await measure({ ...shape, measureMs: 8_000, perSecond: 40_000 });
    const pacedMb = statusKbOf(pid, 'VmHWM') / 1_024;
    await drained(adminPort);
    const before = await metric(adminPort, 'tidegate_log_position');
    const load: Load = { ...shape, measureMs };
    const begun = performance.now();
    const result = await measure(load);
    const loadSeconds = (performance.now() - begun) / 1_000;
    const recorded = (await metric(adminPort, 'tidegate_log_position')) - before;
    const lag = await metric(adminPort, 'tidegate_reader_lag_events{reader="influx/readings"}');
    await drained(adminPort);
    const drainedSeconds = (performance.now() - begun) / 1_000;
    const rows = [
      row('at a pace of 40,000/s: acknowledged', paced.messagesPerSecond, '/s'),
      row('  acknowledgement, median', paced.p50Ms, 'ms'),
      row('  acknowledgement, 99 of 100', paced.p99Ms, 'ms'),
      row('  memory at the most', pacedMb, 'MB'),
      row('  processor time of the gateway', paced.cpuUsPerMessage, 'us per reading'),
      row('as fast as it goes: acknowledged', result.messagesPerSecond, '/s'),
      row('readings written to InfluxDB', recorded / drainedSeconds, '/s', 'until all were'),
      row('ratio to the target of 40,000/s', recorded / drainedSeconds / 40_000, 'x'),
      row('acknowledgement, median', result.p50Ms, 'ms'),
      row('acknowledgement, 99 of 100', result.p99Ms, 'ms'),
      row('sink behind when the load ended', lag, 'events', `after ${loadSeconds.toFixed(1)} s`),
      row('processor time of the gateway', result.cpuUsPerMessage, 'us per reading'),
      row('memory at the most', statusKbOf(pid, 'VmHWM') / 1_024, 'MB'),
      row('memory when idle', idleMb, 'MB'),
      row('processor when idle', idlePercent, '%'),
      row('start to first CONNACK', connackMs, 'ms'),
    ];
    return rows;
  } finally {
    gateway.kill('SIGTERM');
    await new Promise((resolve) => gateway.once('exit', resolve));
    await influx.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const row = (name: string, value: number, unit: string, note = '') => ({ name, value, unit, note });

async function measure(load: Load): Promise<LoadResult> {
  const [program, args] = pinned(1, [script('./broker-load.js'), JSON.stringify(load)]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return JSON.parse(text) as LoadResult;
}

async function drained(adminPort: number): Promise<void> {
  const lag = 'tidegate_reader_lag_events{reader="influx/readings"}';
  while ((await metric(adminPort, lag)) > 0) await pause(20);
}

async function metric(adminPort: number, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const line = (await answer.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** A CONNECT of MQTT 3.1.1, tried until it is answered. */
async function firstConnack(port: number): Promise<void> {
  const packet = Buffer.from([16, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 1, 98]);
  for (;;) {
    const answered = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(packet));
      socket.once('error', () => resolve(false));
      socket.once('data', (chunk) => {
        socket.destroy();
        resolve(chunk[0] === 0x20);
      });
    });
    if (answered) return;
    await pause(5);
  }
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function statusKbOf(pid: number, name: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'latin1').match(
    new RegExp(`${name}:\\s+(\\d+)`),
  );
  return Number(line?.[1]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { name, value, unit, note } of await run(console.log)) {
    console.log(
      `${name.padEnd(40)}${value.toFixed(value < 100 ? 2 : 0).padStart(10)} ${unit}  ${note}`,
    );
  }
}
