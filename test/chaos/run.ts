import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { connectAsync } from 'mqtt';
import { seededRandom } from '../../src/platform/random.ts';
import { metricsOf, type Program, startProgram } from '../e2e/process/program.ts';
import { eventually } from '../services/child.ts';
import { keyOf } from './books.ts';
import { tailOf } from './gateway-troubles.ts';
import type { ChaosOptions } from './options.ts';
import type { Trouble } from './trouble.ts';
import { troublesOf } from './troubles.ts';
import { judge, type Verdict } from './verdict.ts';
import { footprintOf, openWorld, type World } from './world.ts';

/** What was done, when. */
export interface Note {
  readonly atMs: number;
  readonly trouble: string;
  readonly detail: string;
}

export interface Sample {
  readonly rssMib: number;
  readonly descriptors: number;
}

export interface Outcome {
  readonly notes: readonly Note[];
  readonly samples: readonly Sample[];
  readonly impossible: readonly string[];
  readonly verdict: Verdict;
}

/** Pauses between two troubles, at most. */
const calmMaxMs = 2_500;
/** So many parties are in trouble at once. */
const atOnceMax = 2;
const sampleMs = 1_000;
/** A full disk makes the log drop a file within seconds of its last record. */
const glanceMs = 500;
const bulkBytes = 16_000;
const bulkEveryMs = 100;
const healMaxMs = 120_000;

/** A whole run: trouble, healing, judgement. */
export async function runChaos(
  options: ChaosOptions,
  say: (line: string) => void,
): Promise<Outcome> {
  const world = await openWorld(options);
  const startedAt = performance.now();
  const notes: Note[] = [];
  const samples: Sample[] = [];
  const note = (trouble: string, detail: string): void => {
    const atMs = performance.now() - startedAt;
    notes.push({ atMs, trouble, detail });
    say(`${clock(atMs)}  ${trouble}: ${detail}`);
  };
  const over = new AbortController();
  try {
    await mkdir(world.archive, { recursive: true });
    if (options.lies) {
      await world.faults?.inject({ operations: ['fsync', 'fdatasync'], error: 'lie' });
    }
    await world.gateway.start();
    const ledger = join(world.folder, 'ledger.ndjson');
    const fleet = await startFleet(world, options, ledger);
    const sampling = sample(world, samples, over.signal);
    const bulk = sendBulk(world, over.signal);
    const glancing = glance(world, over.signal);
    await makeTrouble(world, options, note);
    await heal(world);
    over.abort();
    note('healed', 'everything works again');
    const fleetEnd = await fleet.ended;
    await restartIfEnded(world, new Map(), note);
    const acknowledged = await acknowledgedIn(ledger);
    await coolDown(world, acknowledged);
    await caughtUp(world);
    await Promise.all([sampling, bulk, glancing]);
    const audit = await world.gateway.command('audit', '--config', configOf(world));
    world.mayEnd = true;
    const stopped = await world.gateway.stop();
    await world.books.read(world.gateway.dataDir);
    const fleetSaid = fleetEnd.code === 0 ? undefined : tailOf(`${fleet.stdout}${fleet.stderr}`);
    const verdict = await judge(world, { acknowledged, audit, stopped, fleetSaid, samples });
    return { notes, samples, impossible: world.impossible, verdict };
  } catch (error) {
    const last = tailOf(world.gateway.program?.stderr ?? '');
    throw new Error(`${world.crashes.join('; ')} ${last}`, { cause: error });
  } finally {
    over.abort();
    await world.close();
  }
}

const configOf = (world: World): string => join(world.folder, 'tidegate.yaml');

export function clock(ms: number): string {
  const whole = Math.floor(ms / 1_000);
  return `${String(Math.floor(whole / 60)).padStart(2, '0')}:${String(whole % 60).padStart(2, '0')}`;
}

function startFleet(world: World, options: ChaosOptions, ledger: string): Promise<Program> {
  return startProgram('tidegate-fleet', [
    ...['--url', `mqtt://127.0.0.1:${world.wires.devices.port}`],
    ...['--devices', `${options.devices}`, '--rate', `${options.rateHz}`, '--qos', '1'],
    ...['--duration', `${options.seconds}`, '--seed', `${options.seed % 1_000}`],
    ...['--grace', `${healMaxMs / 1_000}`, '--ledger', ledger, '--json'],
  ]);
}

/** Draws troubles until the time is over, then waits until each is mended. */
async function makeTrouble(
  world: World,
  options: ChaosOptions,
  note: (trouble: string, detail: string) => void,
): Promise<void> {
  const end = performance.now() + options.seconds * 1_000;
  const troubles = troublesOf(world, options.only);
  const running = new Map<Trouble['target'], Promise<void>>();
  while (performance.now() < end) {
    await sleep(world.random.next() * calmMaxMs);
    await restartIfEnded(world, running, note);
    // Drawn by group first, so that each has its share, then among those it has.
    const group = drawn(world, [...new Set(troubles.map((each) => each.group))]);
    const trouble = drawn(
      world,
      troubles.filter((each) => each.group === group),
    );
    const random = seededRandom(Math.floor(world.random.next() * 2 ** 31));
    if (trouble === undefined) continue;
    if (running.size >= atOnceMax) await Promise.race(running.values());
    await running.get(trouble.target);
    const task = trouble
      .run(world, random)
      .then(
        (detail) => note(trouble.name, detail),
        (error: Error) => {
          note(trouble.name, `failed: ${error.message}`);
          world.crashes.push(`${trouble.name}: ${error.message}`);
        },
      )
      .finally(() => running.delete(trouble.target));
    running.set(trouble.target, task);
  }
  await Promise.all(running.values());
  await restartIfEnded(world, running, note);
}

const drawn = <T>(world: World, all: readonly T[]): T =>
  all[Math.floor(world.random.next() * all.length)]!;

/** An end that nobody has asked for counts, and does not end the run. */
async function restartIfEnded(
  world: World,
  running: ReadonlyMap<string, unknown>,
  note: (trouble: string, detail: string) => void,
): Promise<void> {
  if (running.has('gateway')) return;
  const { child, stderr } = world.gateway.program!;
  if (child.exitCode === null && child.signalCode === null) return;
  if (!world.mayEnd) {
    world.crashes.push(`ended by itself with ${child.exitCode}: ${tailOf(stderr)}`);
    note('CRASH', tailOf(stderr));
  }
  await world.gateway.start();
  world.mayEnd = false;
}

/** Long messages that nobody counts, so that the log fills one file after the other. */
async function sendBulk(world: World, signal: AbortSignal): Promise<void> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${world.wires.devices.port}`, {
    clientId: 'bulk',
    reconnectPeriod: 500,
    queueQoSZero: false,
  });
  client.on('error', () => {});
  const payload = JSON.stringify({ text: 'bulk '.repeat(bulkBytes / 5) });
  while (!signal.aborted) {
    if (client.connected) client.publish('sensors/bulk/text', payload, { qos: 0 });
    await sleep(bulkEveryMs, undefined, { signal }).catch(() => {});
  }
  await client.endAsync(true);
}

async function heal(world: World): Promise<void> {
  const { wires, faults, image, setClock } = world;
  for (const wire of [wires.devices, wires.influx, wires.cloud]) {
    if (wire !== undefined) wire.mood = 'works';
  }
  await faults?.heal();
  await image?.free();
  await setClock?.(0);
  for (const service of [world.influx, world.cloud]) {
    service?.resume();
    if (service?.running === false) await service.restart();
  }
}

/** Looks at what the gateway takes of the machine, once a second. */
async function sample(world: World, samples: Sample[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const footprint = await footprintOf(world.gateway.pid);
    if (footprint !== undefined && footprint.rssMib > 0) samples.push(footprint);
    await sleep(sampleMs, undefined, { signal }).catch(() => {});
  }
}

/** Looks at the log while it is written: what leaves it between two troubles was there. */
async function glance({ books, gateway }: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A file may go while it is read, and a disk under it: the next look is soon.
    await books.glance(gateway.dataDir).catch(() => {});
    await sleep(glanceMs, undefined, { signal }).catch(() => {});
  }
}

async function acknowledgedIn(ledger: string): Promise<Set<string>> {
  const lines = (await readFile(ledger, 'utf8')).trimEnd().split('\n');
  return new Set(
    lines
      .filter((line) => line !== '')
      .map((line) => {
        const { device, boot, seq } = JSON.parse(line);
        return keyOf(device, boot, seq);
      }),
  );
}

/** Ends whatever is still too hot, so that every incident has an end. */
async function coolDown(world: World, acknowledged: ReadonlySet<string>): Promise<void> {
  const devices = new Set([...acknowledged].map((key) => key.slice(0, key.indexOf(' '))));
  const client = await connectAsync(`mqtt://127.0.0.1:${world.gateway.port}`, {
    protocolVersion: 5,
  });
  for (const device of devices) {
    const reading = { temperature: 20, seq: -1, boot: -1, ts: Date.now() };
    await client.publishAsync(`sensors/${device}/climate`, JSON.stringify(reading), { qos: 1 });
  }
  await client.endAsync();
}

async function caughtUp(world: World): Promise<void> {
  await eventually(async () => {
    for (const [name, value] of await metricsOf(world.gateway.adminPort)) {
      if (name.startsWith('tidegate_reader_lag_events') && value > 0) {
        throw new Error(`${name} is still ${value}`);
      }
    }
  }, healMaxMs);
}
