/**
 * Live first: a sink comes back after an outage in which it has missed 1,000,000 readings, while
 * devices go on publishing at QoS 1. How fast the backlog drains, beside what a bare client gets into
 * the same server, and how long a live reading takes to the server meanwhile, beside when there is
 * no backlog: the same load from the same devices on the same gateway, watched as closely. The gateway
 * has one processor; server, devices and listener share another, where whoever measures goes first, and
 * the files of InfluxDB are in memory: it mostly is another machine, whose syncs do not delay ours, nor
 * does its work delay the devices. Everything is done several times, and the median is told, with the
 * load of the machine: where a virtual one stands still now and then, or others are busy, 99 of 100
 * mostly tell of that. So the slowest of each hundred in a row is told, too, of all of them the median.
 *
 *   npm run build && node dist/test/bench/catch-up.js [readings [influxd | mosquitto [rounds]]]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, setPriority, tmpdir } from 'node:os';
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
import { canPin, type Far, openInflux, openMosquitto } from './catch-up-servers.ts';

const backlogDefault = 1_000_000;
const liveDevices = 20;
const liveEveryMs = 200;
const measureMs = 30_000;
/** How often the gateway is asked for its metrics, with a backlog as without. */
const watchMs = 500;
/** A backlog that takes longer is drained no further. */
const drainMaxMs = 40_000;
const rowOf = 100;
const roundsDefault = 3;
/** What the systemd unit starts it with. */
const unitFlags = [
  '--max-old-space-size=256',
  '--max-semi-space-size=4',
  '--single-threaded-gc',
  '--v8-pool-size=1',
];

type Print = (line: string) => void;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Prints the figures and resolves with them. */
export async function run(
  print: Print = () => {},
  backlog = backlogDefault,
  only = '',
  rounds = roundsDefault,
) {
  if (canPin) spawnSync('taskset', ['-acp', '1', `${process.pid}`], { stdio: 'ignore' });
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
  readonly idle: Delays;
  readonly draining: Delays;
  readonly memoryMb: number;
  readonly load: number;
}

/** Of live readings, in milliseconds: to the answer of the server, and how much of that to the gateway's leave. */
interface Delays {
  readonly whole: readonly number[];
  readonly inGateway: readonly number[];
}

function rowsOf(name: string, rounds: readonly Round[]) {
  const medianOf = (of: (round: Round) => number) => percentile(rounds.map(of), 0.5);
  const spread = (of: (round: Round) => number, digits: number): string =>
    `rounds: ${rounds.map((round) => of(round).toFixed(digits)).join(' ')}`;
  const line = (what: string, unit: string, digits: number, of: (round: Round) => number) =>
    row(`${name}: ${what}`, medianOf(of), unit, spread(of, digits));
  const live = (share: number, of: (round: Round) => Delays) => (round: Round) =>
    percentile(of(round).whole, share);
  const inGateway = (share: number, of: (round: Round) => Delays) => (round: Round) =>
    percentile(of(round).inGateway, share);
  const idle = ({ idle }: Round) => idle;
  const draining = ({ draining }: Round) => draining;
  const slower = (share: number) => (round: Round) =>
    live(share, draining)(round) / live(share, idle)(round);
  return [
    line('backlog drained', '/s', 0, ({ drainRate }) => drainRate),
    line('bare client', '/s', 0, ({ rawRate }) => rawRate),
    line('live, median, no backlog', 'ms', 2, live(0.5, idle)),
    line('live, median, draining', 'ms', 2, live(0.5, draining)),
    line('live, median, slower by', 'x', 2, slower(0.5)),
    line('live, 99 of 100, no backlog', 'ms', 2, live(0.99, idle)),
    line('live, 99 of 100, draining', 'ms', 2, live(0.99, draining)),
    line('live, 99 of 100, slower by', 'x', 2, slower(0.99)),
    line('live, slowest of 100, no backlog', 'ms', 2, (round) => slowest(round.idle)),
    line('live, slowest of 100, draining', 'ms', 2, (round) => slowest(round.draining)),
    line(
      'live, slowest of 100, slower by',
      'x',
      2,
      (round) => slowest(round.draining) / slowest(round.idle),
    ),
    ...(rounds.every(({ idle }) => idle.inGateway.length > 0)
      ? [
          line('  until it has left, no backlog', 'ms', 2, inGateway(0.99, idle)),
          line('  until it has left, draining', 'ms', 2, inGateway(0.99, draining)),
        ]
      : []),
    line('memory at the most', 'MB', 0, ({ memoryMb }) => memoryMb),
    line('load of the machine', '', 1, ({ load }) => load),
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
    const phases = [beginPhase()];
    await far.listen((seq, leftAt) => {
      const at = sentAt.get(seq);
      if (at === undefined) return;
      sentAt.delete(seq);
      // Whatever was sent while there was a backlog counts for that, whenever it comes.
      const phase = phases.findLast(({ from }) => from <= at)!;
      phase.whole.push(performance.now() - at);
      if (leftAt !== undefined) phase.inGateway.push(leftAt - at);
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
    goFirst(true);
    const backlogNow = async () => await metric(adminPort, 'tidegate_backlog_events');
    await until(async () => (await backlogNow()) > 0);
    const draining = beginPhase();
    phases.push(draining);
    const begun = draining.from;
    const first = await backlogNow();
    let left = first;
    await until(async () => {
      left = await backlogNow();
      return left === 0 || performance.now() - begun > drainMaxMs;
    }, watchMs);
    const drainedSeconds = (performance.now() - begun) / 1_000;
    phases.push(beginPhase());
    const memoryMb = statusMbOf(gateway.pid!, 'VmHWM');
    // What is left, if anything, drains while nobody looks.
    await until(async () => (await backlogNow()) === 0);
    await pause(2_000);
    const idle = beginPhase();
    phases.push(idle);
    await until(async () => {
      await backlogNow();
      return performance.now() - idle.from > measureMs;
    }, watchMs);
    phases.push(beginPhase());
    await devices.stop();
    const drainRate = (first - left) / drainedSeconds;
    return { drainRate, rawRate: raw, idle, draining, memoryMb, load: loadavg()[0]! };
  } finally {
    goFirst(false);
    gateway?.kill('SIGTERM');
    if (gateway !== undefined) await once(gateway, 'exit');
    await far.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What is started afterwards would go first, too. */
function goFirst(is: boolean): void {
  try {
    setPriority(process.pid, is ? -10 : 0);
  } catch {
    // Not allowed: then devices and listener wait for the server now and then.
  }
}

const beginPhase = () => ({
  from: performance.now(),
  whole: [] as number[],
  inGateway: [] as number[],
});

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

async function until(holds: () => Promise<boolean>, everyMs = 50): Promise<void> {
  while (!(await holds().catch(() => false))) await pause(everyMs);
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

/** Of each hundred in a row the slowest, and of those the median. */
function slowest({ whole }: Delays): number {
  const most: number[] = [];
  for (let from = 0; from + rowOf <= whole.length; from += rowOf) {
    most.push(Math.max(...whole.slice(from, from + rowOf)));
  }
  return percentile(most, 0.5);
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
