import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { Aedes } from 'aedes';
import { SerialPort } from 'serialport';
import { afterEach, describe, expect, test } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { type FleetOptions, openFleet } from '../../firmware-sim/fleet.ts';
import { directTransport } from '../../firmware-sim/link/direct.ts';
import { transportTo } from '../../firmware-sim/link/index.ts';
import { openPseudoTerminal } from '../../firmware-sim/pseudo-terminal.ts';
import { parseScenario } from '../../firmware-sim/scenario/load.ts';
import { runScenario } from '../../firmware-sim/scenario/run.ts';
import { shapeNamed } from '../../firmware-sim/shape/index.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createFramer } from '../../src/source/serial-framing.ts';
import { IngestWorld } from '../flow/ingest-world.ts';
import { readAll } from '../log/opened.ts';
import { available, eventually } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
const quick = (options: Partial<FleetOptions>) => {
  const fleet = openFleet({
    ...{ clock: createSystemClock(), random: seededRandom(1), devices: 3, rateHz: 40, boot: 1 },
    ...{ moments: 10, graceMs: 5_000, backoff: { minMs: 5, maxMs: 20 } },
    ...options,
  });
  ends.push(() => fleet.close(0));
  return fleet;
};

describe.for([4, 5] as const)('MQTT %i', (protocol) => {
  test('messages arrive over WebSocket', async () => {
    const heard: string[] = [];
    const aedes = await Aedes.createBroker();
    aedes.authorizePublish = (_, { topic }, done) => {
      heard.push(topic);
      done(null);
    };
    const http = createServer();
    const sockets = new WebSocketServer({ server: http, path: '/mqtt' });
    sockets.on('connection', (socket) => aedes.handle(createWebSocketStream(socket) as Duplex));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    ends.push(
      () => http.closeAllConnections(),
      () => new Promise<void>((resolve) => aedes.close(() => resolve())),
    );
    const { port } = http.address() as AddressInfo;
    const report = await quick({ url: `ws://127.0.0.1:${port}`, protocol }).finished;
    expect(report).toMatchObject({ acknowledged: 30, lost: 0, refused: 0 });
    expect(heard.filter((topic) => topic === 'sensors/gh-02/climate')).toHaveLength(10);
    http.close();
  });
});

test.skipIf(!available('mosquitto') || !available('openssl'))(
  'messages arrive over TLS, and a certificate that nobody vouches for is refused',
  async () => {
    const mosquitto = await startMosquitto({ tls: true });
    ends.push(() => mosquitto.stop());
    const url = mosquitto.tlsUrl;
    const ca = await readFile(mosquitto.caFile);
    expect(await quick({ url, ca }).finished).toMatchObject({ acknowledged: 30, lost: 0 });
    const stranger = await quick({ url, graceMs: 200 }).finished;
    expect(stranger).toMatchObject({ acknowledged: 0, lost: 30 });
    expect(stranger.problem).toMatch(/certificate|self-signed/i);
  },
);

test('over HTTP a message is acknowledged by 204, refused by 400, and sent again after 503', async () => {
  const seen: string[] = [];
  let answers = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      answers += 1;
      const status = answers === 3 ? 503 : answers === 5 ? 400 : 204;
      if (status !== 503) seen.push(`${request.url} ${JSON.parse(body).seq}`);
      expect(request.headers.authorization).toBe('Bearer secret');
      response.writeHead(status).end(status === 204 ? undefined : 'No.');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const report = await quick({ url, password: 'secret', devices: 1 }).finished;
  expect(report).toMatchObject({ sent: 10, resent: 1, acknowledged: 9, refused: 1, lost: 0 });
  expect(seen).toEqual(
    Array.from({ length: 10 }, (_, at) => `/ingest/sensors/gh-01/climate ${at + 1}`),
  );
  server.close();
});

test.for(['', 'framing=line', 'framing=slip&checksum=crc32', 'framing=cobs&checksum=crc16-ccitt'])(
  'a board writes whole frames to a serial port, and hears that they are safe: %s',
  async (query, context) => {
    const line = await openPseudoTerminal().catch((error: Error) => {
      console.log(`skipped: ${error.message}`);
      context.skip();
      throw error;
    });
    ends.push(() => line.close());
    const given = new URLSearchParams(query);
    const [kind, checksum] = [given.get('framing') ?? 'line', given.get('checksum') ?? 'none'];
    const framer = createFramer({ kind, checksum, delimiter: '\n' } as never, 1_000);
    const port = new SerialPort({ path: line.port, baudRate: 9_600, lock: false });
    const heard: string[] = [];
    port.on('data', (chunk: Buffer) => {
      for (const { payload, problem } of framer.push(chunk)) {
        heard.push(problem ?? payload.toString());
        port.write('ok');
      }
    });
    ends.push(() => new Promise((resolve) => port.close(resolve)));
    const url = `serial:${line.board}?acknowledge=ok${query === '' ? '' : `&${query}`}`;
    const report = await quick({ url, devices: 1, shape: shapeNamed('board') }).finished;
    expect(report).toMatchObject({ sent: 10, acknowledged: 10, lost: 0 });
    await eventually(() => expect(heard).toHaveLength(10));
    for (const each of heard) expect(Object.keys(JSON.parse(each))).toEqual(['soil', 'light']);
  },
);

test.for([
  ['gopher://x', 'is not an address'],
  ['nonsense', 'is not an address'],
  ['serial:', 'has no port'],
  ['serial:/dev/ttyS0?speed=9600', 'has an unknown part, speed'],
  ['serial:/dev/ttyS0?framing=morse', 'is not what a port can have'],
])('an address that cannot be one is told with the remedy: %s', ([url, words]) => {
  expect(() => transportTo(url!)).toThrow(words);
  expect(() => transportTo(url!)).toThrow(/serial:\/dev\/ttyUSB0|framing/);
});

/** Lets simulated time pass until the promise has come to its end. */
async function passing<T>(world: IngestWorld, ended: Promise<T>, stepMs: number): Promise<T> {
  let over = false;
  const watched = ended.finally(() => {
    over = true;
  });
  while (!over) await world.clock.advance(stepMs);
  return await watched;
}

test('under a simulated clock an hour of devices is in the log, every reading of it', async () => {
  const world = await IngestWorld.open([
    { topic: 'sensors/{device}/{measurement}', identity: ['boot', 'seq'] },
  ]);
  const fleet = openFleet({
    ...{ clock: world.clock, random: seededRandom(1), devices: 2, rateHz: 0.1, boot: 1 },
    transport: directTransport(world.ingest, world.clock),
    durationMs: 3_600_000,
  });
  const report = await passing(world, fleet.finished, 60_000);
  expect(report).toMatchObject({ sent: 720, acknowledged: 720, lost: 0 });
  const readings = (await readAll(world.log)).filter(({ type }) => type === 'reading');
  expect(readings).toHaveLength(720);
});

test('a scenario runs within a test, and says what was expected and seen', async () => {
  const world = await IngestWorld.open([{ topic: 'sensors/{device}/{measurement}' }]);
  const scenario = parseScenario(
    `summary: in process
groups:
  good: { shape: climate, devices: 2, every: 1s }
  away: { shape: climate, every: 1s, prefix: away-, behaviours: { silence: { after: 10s, lasts: 20s } } }
lasts: 60s
expect: { groups: { good: { acknowledged: 120 }, away: { acknowledged: 41 } } }
`,
    'here.yaml',
  );
  const { clock, ingest } = world;
  const running = runScenario({ scenario, clock, ingest, random: seededRandom(1), boot: 1 });
  const report = await passing(world, running, 1_000);
  expect(report.findings).toEqual([
    { what: 'lost', expected: '0', seen: '0', holds: true },
    { what: 'refused', expected: '0', seen: '0', holds: true },
    { what: 'good acknowledged', expected: '120', seen: '120', holds: true },
    { what: 'away acknowledged', expected: '41', seen: '40', holds: false },
  ]);
  expect(report.holds).toBe(false);
});
