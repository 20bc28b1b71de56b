/**
 * The promise, from outside: real devices' traffic, real servers, and everything that can be pulled
 * is pulled while it flows.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';
import { type Mosquitto, startMosquitto } from '../services/mosquitto.ts';
import { metricsOf, type Program, ready, startProgram } from './process/program.ts';

const seconds = Number(process.env.TIDEGATE_E2E_SECONDS ?? 30);
const devices = 50;
const rateHz = 20;
const kills = 5;
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const installed = available('influxd') && available('mosquitto');

test.runIf(installed)(
  `${devices} devices, ${kills} kill -9 and two outages of each sink: nothing acknowledged is lost (TIDEGATE_SEED=${seed})`,
  async () => {
    const random = seededRandom(seed);
    const folder = await temporaryFolder('nothing-lost');
    const influx = await startInfluxDb();
    const upstream = await startMosquitto({ lines: ['max_queued_messages 0'] });
    try {
      const heard = await listenUpstream(upstream);
      const gateway = await openGateway(folder, influx, upstream);
      const ledger = join(folder, 'ledger.ndjson');
      const fleet = await startProgram('tidegate-fleet', [
        ...['--url', `mqtt://127.0.0.1:${gateway.port}`, '--devices', `${devices}`],
        ...['--rate', `${rateHz}`, '--duration', `${seconds}`, '--qos', '1'],
        ...['--seed', `${seed % 1_000}`, '--grace', '60', '--ledger', ledger, '--json'],
      ]);
      await pullPlugs(random, gateway, influx, upstream);
      const { code } = await fleet.ended;
      expect(code, `${fleet.stdout}${fleet.stderr}`).toBe(0);
      await coolDown(gateway.port);
      await eventually(async () => {
        for (const [name, value] of await metricsOf(gateway.adminPort)) {
          if (name.startsWith('tidegate_reader_lag_events')) expect(value, name).toBe(0);
        }
      }, 60_000);

      const acknowledged = await acknowledgedIn(ledger);
      expect(acknowledged.size).toBeGreaterThan(devices * rateHz * seconds * 0.5);
      await expectInInfluxOnce(influx, acknowledged);
      await eventually(() => expectHeard(heard, acknowledged), 30_000);
      expectIncidentsWhole(heard);
      await expectBooksBalanced(folder);
      await gateway.stop();
      await expectBooksBalanced(folder);
      await heard.client.endAsync(true);
      process.stderr.write(
        `${acknowledged.size} acknowledged, ${heard.messages} messages upstream, ` +
          `${heard.repeats} of them repeats, ${heard.alerts.size} alerts\n`,
      );
    } finally {
      await influx.stop();
      await upstream.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
  (seconds + 150) * 1_000,
);

interface RunningGateway {
  readonly port: number;
  readonly adminPort: number;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

async function openGateway(
  folder: string,
  influx: InfluxDb,
  upstream: Mosquitto,
): Promise<RunningGateway> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `
gateway: { id: e2e }
data: { dir: data }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
ingest:
  - { topic: 'sensors/{device}/{measurement}', codec: json, time: { path: ts, unit: ms }, identity: [boot, seq] }
rules:
  overheat: { kind: threshold, field: temperature, above: 30, clearBelow: 28, severity: warning }
sinks:
  influx: { kind: influxdb, version: 1, url: '${influx.url}', database: sensors, retry: { minMs: 100, maxMs: 1000 } }
  cloud: { kind: mqtt, url: '${upstream.url}', topic: 'gateways/{gateway}/{type}/{device}', retry: { minMs: 100, maxMs: 1000 } }
`,
  );
  let program: Program | undefined;
  const gateway: RunningGateway = {
    port,
    adminPort,
    async start() {
      program = await startProgram('tidegate', ['run', '--config', config], { cwd: folder });
      await ready(program, adminPort);
    },
    async kill() {
      program?.child.kill('SIGKILL');
      await program?.ended;
    },
    async stop() {
      program?.child.kill('SIGTERM');
      const end = await program?.ended;
      expect(end?.code, program?.stderr).toBe(0);
    },
  };
  await gateway.start();
  return gateway;
}

/** Everything is killed and stopped at moments drawn from the seed, while the fleet sends. */
async function pullPlugs(
  random: { next(): number },
  gateway: RunningGateway,
  influx: InfluxDb,
  upstream: Mosquitto,
): Promise<void> {
  const moment = async (): Promise<unknown> =>
    await sleep(((0.3 + 0.7 * random.next()) * seconds * 1_000) / (kills + 1));
  const killing = (async () => {
    for (let count = 0; count < kills; count++) {
      await moment();
      await gateway.kill();
      await gateway.start();
    }
  })();
  const outages = [influx, upstream].map(async (service) => {
    for (let count = 0; count < 2; count++) {
      await moment();
      await service.terminate();
      await moment();
      await service.restart();
    }
  });
  await Promise.all([killing, ...outages]);
}

/** Ends whatever is still too hot, so that every incident has an end. */
async function coolDown(port: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  for (let index = 1; index <= devices; index++) {
    const device = `gh-${String(index).padStart(2, '0')}`;
    const reading = { temperature: 20, seq: -1, boot: -1, ts: Date.now() };
    await client.publishAsync(`sensors/${device}/climate`, JSON.stringify(reading), { qos: 1 });
  }
  await client.endAsync();
}

interface Heard {
  readonly client: MqttClient;
  /** The ids under which each reading came, by device, boot and sequence number. */
  readonly readings: Map<string, Set<string>>;
  readonly alerts: Map<string, { incident: string; state: string }>;
  messages: number;
  repeats: number;
}

/** A subscriber that misses nothing while the upstream broker is restarted. */
async function listenUpstream(upstream: Mosquitto): Promise<Heard> {
  const client = await connectAsync(upstream.url, {
    clientId: 'listener',
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 100,
  });
  const heard: Heard = {
    client,
    readings: new Map(),
    alerts: new Map(),
    messages: 0,
    repeats: 0,
  };
  client.on('error', () => {});
  client.on('message', (_topic, payload) => {
    const event = JSON.parse(payload.toString());
    if (event.type === 'io.tidegate.alert.v1') heard.alerts.set(event.id, event.data);
    if (event.type !== 'io.tidegate.reading.v1') return;
    heard.messages++;
    const key = `${event.subject} ${event.data.fields.boot} ${event.data.fields.seq}`;
    const ids = heard.readings.get(key);
    if (ids === undefined) heard.readings.set(key, new Set([event.id]));
    else {
      heard.repeats++;
      ids.add(event.id);
    }
  });
  await client.subscribeAsync(['gateways/+/reading/#', 'gateways/+/alert/#'], { qos: 1 });
  return heard;
}

async function expectBooksBalanced(folder: string): Promise<void> {
  const config = join(folder, 'tidegate.yaml');
  const audit = await startProgram('tidegate', ['audit', '--recount', '--config', config], {
    cwd: folder,
  });
  const { code } = await audit.ended;
  expect(code, `${audit.stdout}${audit.stderr}`).toBe(0);
}

async function acknowledgedIn(ledger: string): Promise<Set<string>> {
  const lines = (await readFile(ledger, 'utf8')).trimEnd().split('\n');
  return new Set(
    lines.map((line) => {
      const { device, boot, seq } = JSON.parse(line);
      return `${device} ${boot} ${seq}`;
    }),
  );
}

async function expectInInfluxOnce(influx: InfluxDb, acknowledged: Set<string>): Promise<void> {
  const counts = new Map<string, number>();
  for (const row of await influx.rows('sensors', 'climate')) {
    const key = `${row.device} ${row.boot} ${row.seq}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const missing = [...acknowledged].filter((key) => counts.get(key) !== 1);
  expect(missing.slice(0, 5), `${missing.length} acknowledged are not there exactly once`).toEqual(
    [],
  );
}

function expectHeard(heard: Heard, acknowledged: Set<string>): void {
  const missing = [...acknowledged].filter((key) => heard.readings.get(key)?.size !== 1);
  expect(missing.slice(0, 5), `${missing.length} did not come under one id`).toEqual([]);
}

function expectIncidentsWhole(heard: Heard): void {
  const incidents = new Map<string, string[]>();
  for (const { incident, state } of heard.alerts.values()) {
    incidents.set(incident, [...(incidents.get(incident) ?? []), state]);
  }
  expect(incidents.size).toBeGreaterThan(0);
  for (const [incident, states] of incidents) {
    expect(states.sort(), incident).toEqual(['firing', 'resolved']);
  }
}
