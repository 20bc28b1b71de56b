/**
 * After an outage, from outside: what was missed and what is new reach a real InfluxDB side by side,
 * and the gateway is killed in the middle of it.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';
import { metricsOf, type Program, ready, startProgram } from './process/program.ts';

const missed = Number(process.env.TIDEGATE_DRAIN_READINGS ?? 12_000);
const devices = 20;
const deadlineMs = 60_000;
/** What is drained in a second: slow enough to be caught in the middle of it. */
const rate = Math.ceil(missed / 10);

const installed = available('influxd');
if (!installed) process.stderr.write('influxd is not installed: test/e2e/drain is left out.\n');

test.runIf(installed)(
  `${missed} readings missed in an outage are in InfluxDB once, each at its own time, though the gateway is killed while they drain`,
  async () => {
    const folder = await temporaryFolder('drain');
    const influx = await startInfluxDb();
    const gateway = await openGateway(folder, influx);
    const fleet = createFleet(gateway.port);
    try {
      await fleet.publish(500);
      await eventually(async () => expect(await newest(influx)).toBe(499), deadlineMs);
      await influx.terminate();
      await fleet.publish(missed);
      const missedTo = fleet.sent.length;
      await influx.restart();

      const backlog = async () => await gateway.metric('tidegate_backlog_events');
      await eventually(async () => {
        await fleet.publish(20);
        const left = await backlog();
        expect(await newest(influx), 'what is new does not wait').toBeGreaterThanOrEqual(missedTo);
        expect(left).toBeGreaterThan(missed * 0.2);
        expect(left, 'some of it has been drained').toBeLessThan(missed * 0.8);
      }, deadlineMs);
      await gateway.kill();
      await fleet.left();
      await gateway.start();
      await eventually(async () => {
        expect(await backlog(), 'it goes on from where it was').toBeGreaterThan(0);
        expect(await backlog()).toBeLessThan(missed);
      }, deadlineMs);
      await fleet.publish(100);
      await eventually(async () => {
        expect(await backlog()).toBe(0);
        expect(await gateway.metric('tidegate_reader_lag_events')).toBe(0);
      }, deadlineMs);

      await expectOnceEach(influx, fleet.sent);
      await gateway.expectBooksBalanced();
      await gateway.stop();
    } finally {
      await fleet.left();
      await gateway.kill();
      await influx.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
  5 * deadlineMs,
);

/** Devices that number their readings; `sent` are the times of those that were acknowledged. */
function createFleet(port: number) {
  const sent: number[] = [];
  let client: MqttClient | undefined;
  return {
    sent,
    async publish(count: number): Promise<void> {
      client ??= await connectAsync(`mqtt://127.0.0.1:${port}`, {
        protocolVersion: 5,
        reconnectPeriod: 0,
      });
      const acknowledgements = [];
      for (let n = 0; n < count; n++) {
        // Several readings of a device may share a millisecond, as those of real ones do.
        const ts = Date.now();
        const seq = sent.push(ts) - 1;
        acknowledgements.push(
          client.publishAsync(
            `sensors/gh-${seq % devices}/climate`,
            JSON.stringify({ seq, ts, temperature: 20 + (seq % 80) / 8 }),
            { qos: 1 },
          ),
        );
        if (acknowledgements.length >= 500) await Promise.all(acknowledgements.splice(0));
      }
      await Promise.all(acknowledgements);
    },
    async left(): Promise<void> {
      await client?.endAsync(true);
      client = undefined;
    },
  };
}

async function openGateway(folder: string, influx: InfluxDb) {
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `
gateway: { id: e2e }
data: { dir: data }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }], limits: { messagesPerSecond: 0 } }
admin: { listen: '127.0.0.1:${adminPort}' }
ingest:
  - { topic: 'sensors/{device}/{measurement}', codec: json, time: { path: ts, unit: ms } }
sinks:
  influx:
    kind: influxdb
    url: '${influx.url}'
    database: sensors
    batch: { delayMs: 50 }
    retry: { minMs: 50, maxMs: 500 }
    catchUp: { behindEvents: 1000, rate: ${rate} }
`,
  );
  let program: Program | undefined;
  const gateway = {
    port,
    async start(): Promise<void> {
      program = await startProgram('tidegate', ['run', '--config', config], { cwd: folder });
      await ready(program, adminPort);
    },
    async kill(): Promise<void> {
      program?.child.kill('SIGKILL');
      await program?.ended;
    },
    async stop(): Promise<void> {
      program?.child.kill('SIGTERM');
      const end = await program?.ended;
      expect(end?.code, program?.stderr).toBe(0);
    },
    /** Of all readers together. */
    async metric(name: string): Promise<number> {
      let sum = 0;
      for (const [key, value] of await metricsOf(adminPort)) {
        if (key.startsWith(`${name}{`)) sum += value;
      }
      return sum;
    },
    async expectBooksBalanced(): Promise<void> {
      const args = ['audit', '--config', config];
      const audit = await startProgram('tidegate', args, { cwd: folder });
      const { code } = await audit.ended;
      expect(code, `${audit.stdout}${audit.stderr}`).toBe(0);
    },
  };
  await gateway.start();
  return gateway;
}

/** The highest number that InfluxDB has. */
async function newest(influx: InfluxDb): Promise<number> {
  const series = await influx.query('SELECT max(seq) FROM climate', 'sensors');
  return Number(series[0]?.values[0]?.[1] ?? -1);
}

/** Every reading that was sent is one point, at the millisecond that its device gave. */
async function expectOnceEach(influx: InfluxDb, sent: readonly number[]): Promise<void> {
  const times = new Map<number, number[]>();
  for (const { seq, time } of await influx.rows('sensors', 'climate')) {
    const ms = Math.floor(Number(BigInt(time as string) / 1_000_000n));
    times.set(Number(seq), [...(times.get(Number(seq)) ?? []), ms]);
  }
  const wrong = sent.flatMap((ts, seq) => {
    const found = times.get(seq) ?? [];
    return found.length === 1 && found[0] === ts ? [] : [{ seq, ts, found }];
  });
  expect(wrong.slice(0, 5), `${wrong.length} of ${sent.length} are not there once`).toEqual([]);
  expect(times.size, 'nothing is there that was not sent').toBe(sent.length);
}
