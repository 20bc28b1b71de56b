import { afterEach, describe, expect, test } from 'vitest';
import type { DeviceMessage } from '../../firmware-sim/device.ts';
import { type Fleet, type FleetOptions, openFleet } from '../../firmware-sim/fleet.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { available, eventually, freePort } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { type Broker, startBroker } from './broker.ts';

const open: { broker?: Broker; fleet?: Fleet } = {};
afterEach(async () => {
  await open.fleet?.close(0);
  await open.broker?.kill();
  delete open.broker;
  delete open.fleet;
});

/** Quick devices: many messages, little patience. */
function openQuickFleet(url: string, options: Partial<FleetOptions> = {}): Fleet {
  open.fleet = openFleet({
    url,
    clock: createSystemClock(),
    random: seededRandom(1),
    devices: 4,
    rateHz: 50,
    boot: 1,
    backoff: { minMs: 10, maxMs: 50 },
    graceMs: 5_000,
    ...options,
  });
  return open.fleet;
}
const broker = async (): Promise<Broker> => {
  open.broker = await startBroker();
  return open.broker;
};
const nameOf = (client: string, seq: number): string => `${client} ${seq}`;
const namesOf = (seqMax: number, devices: readonly string[]): string[] =>
  devices.flatMap((device) => Array.from({ length: seqMax }, (_, at) => nameOf(device, at + 1)));
const four = ['gh-01', 'gh-02', 'gh-03', 'gh-04'];

describe.for([
  { protocol: 4, qos: 1 },
  { protocol: 4, qos: 2 },
  { protocol: 5, qos: 1 },
  { protocol: 5, qos: 2 },
] as const)('MQTT $protocol, QoS $qos', ({ protocol, qos }) => {
  test('every message arrives once, in order, and is counted', async () => {
    const { url, heard } = await broker();
    const ledger: DeviceMessage[] = [];
    const report = await openQuickFleet(url, {
      protocol,
      qos,
      moments: 25,
      onAcknowledged: (message) => ledger.push(message),
    }).finished;
    expect(heard.map(({ client, seq }) => nameOf(client, seq)).toSorted()).toEqual(
      namesOf(25, four).toSorted(),
    );
    for (const device of four) {
      const seqs = heard.filter(({ client }) => client === device).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    }
    expect(ledger.map(({ device, seq }) => nameOf(device, seq)).toSorted()).toEqual(
      namesOf(25, four).toSorted(),
    );
    expect(report).toMatchObject({ sent: 100, acknowledged: 100, lost: 0, resent: 0, dropped: 0 });
    expect(report).toMatchObject({ connections: 4, connected: 4, refused: 0, waiting: 0 });
    expect(report.latency.count).toBe(100);
    expect(report.latency.maxMs).toBeGreaterThan(0);
  });
});

test('what a dying server did not acknowledge is sent again, and nothing is lost', async () => {
  const server = await broker();
  const acknowledged = new Set<string>();
  const fleet = openQuickFleet(server.url, {
    moments: 100,
    onAcknowledged: ({ device, seq }) => acknowledged.add(nameOf(device, seq)),
  });
  for (const share of [80, 160, 240]) {
    await eventually(() => expect(fleet.counts.acknowledged).toBeGreaterThan(share));
    server.holding = true;
    const before = server.heard.length;
    await eventually(() => expect(server.heard.length).toBeGreaterThan(before + 4));
    await server.kill();
    const heard = new Set(server.heard.map(({ client, seq }) => nameOf(client, seq)));
    for (const name of acknowledged) expect(heard).toContain(name);
    server.holding = false;
    await server.start();
  }
  const report = await fleet.finished;
  expect(report).toMatchObject({ sent: 400, acknowledged: 400, lost: 0, dropped: 0 });
  expect(report.resent).toBeGreaterThanOrEqual(15);
  expect(report.connections).toBeGreaterThanOrEqual(16);
  expect([...acknowledged].toSorted()).toEqual(namesOf(100, four).toSorted());
});

test('a device that was cut off sends the oldest message first', async () => {
  const server = await broker();
  server.holding = true;
  const fleet = openQuickFleet(server.url, { devices: 1, moments: 30, windowMessages: 8 });
  await eventually(() => expect(fleet.counts.sent).toBe(8));
  await server.kill();
  const before = server.heard.length;
  server.holding = false;
  await server.start();
  await fleet.finished;
  const again = server.heard.slice(before).map(({ seq }) => seq);
  expect(again).toEqual(Array.from({ length: 30 }, (_, at) => at + 1));
});

test('no more messages await their acknowledgement than the window holds', async () => {
  const server = await broker();
  server.holding = true;
  const fleet = openQuickFleet(server.url, { windowMessages: 3, moments: 50 });
  await eventually(() => expect(fleet.counts.waiting).toBe(200));
  expect(server.heard.length).toBe(12);
});

test('a device that is offline too long forgets its oldest messages, and says so', async () => {
  const port = await freePort();
  const fleet = openQuickFleet(`mqtt://127.0.0.1:${port}`, { offlineMoments: 10, moments: 60 });
  await eventually(() => expect(fleet.counts.dropped).toBeGreaterThan(100));
  open.broker = await startBroker(port);
  const report = await fleet.finished;
  expect(report.lost).toBe(0);
  expect(report.acknowledged + report.dropped).toBe(240);
  const seqs = open.broker.heard.filter(({ client }) => client === 'gh-02').map(({ seq }) => seq);
  expect(seqs.at(-1)).toBe(60);
  expect(seqs[0]).toBeGreaterThan(20);
});

test('what is never acknowledged is lost', async () => {
  const server = await broker();
  server.holding = true;
  const report = await openQuickFleet(server.url, { moments: 30, graceMs: 50 }).finished;
  expect(report).toMatchObject({ acknowledged: 0, lost: 120, dropped: 0 });
});

test('without any server all is lost, and the report says why', async () => {
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const report = await openQuickFleet(url, { moments: 5, graceMs: 50 }).finished;
  expect(report).toMatchObject({ sent: 0, acknowledged: 0, connected: 0, lost: 20 });
  expect(report.problem).toContain('ECONNREFUSED');
});

test('closing stops the devices, waits for what is on its way, and hangs up', async () => {
  const server = await broker();
  const fleet = openQuickFleet(server.url);
  await eventually(() => expect(fleet.counts.acknowledged).toBeGreaterThan(20));
  const report = await fleet.close();
  expect(report.lost).toBe(0);
  expect(report.acknowledged).toBe(report.sent);
  await eventually(() => expect(server.connections).toBe(0));
});

test('an aborted signal closes the fleet', async () => {
  const server = await broker();
  const stop = new AbortController();
  const fleet = openQuickFleet(server.url, { signal: stop.signal });
  await eventually(() => expect(fleet.counts.acknowledged).toBeGreaterThan(4));
  stop.abort();
  expect(await fleet.finished).toMatchObject({ lost: 0 });
});

test('devices keep to their rate', async () => {
  const server = await broker();
  const report = await openQuickFleet(server.url, { devices: 10, rateHz: 100, durationMs: 1_000 })
    .finished;
  expect(report.acknowledged).toBe(1_000);
  expect(report.elapsedMs).toBeGreaterThan(950);
});

test('a thousand devices, each with a connection of its own, come from one process', async () => {
  const server = await broker();
  const fleet = openQuickFleet(server.url, { devices: 1_000, rateHz: 1, moments: 2 });
  expect(await fleet.finished).toMatchObject({ acknowledged: 2_000, lost: 0, connections: 1_000 });
  expect(server.mostConnections).toBe(1_000);
});

test.skipIf(!available('mosquitto'))('a killed Mosquitto costs the fleet nothing', async () => {
  const mosquitto = await startMosquitto({ lines: ['max_inflight_messages 0'] });
  try {
    const fleet = openQuickFleet(mosquitto.url, { moments: 150, devices: 8 });
    await eventually(() => expect(fleet.counts.acknowledged).toBeGreaterThan(100));
    await mosquitto.kill();
    await mosquitto.restart();
    const report = await fleet.finished;
    expect(report).toMatchObject({ sent: 1_200, acknowledged: 1_200, lost: 0, dropped: 0 });
    expect(report.connections).toBe(16);
  } finally {
    await mosquitto.stop();
  }
});
