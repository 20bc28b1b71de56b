import { createServer, type Server } from 'node:http';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as TcpServer,
} from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, expect, test } from 'vitest';
import { influxAnswer, metricsOf } from '../../firmware-sim/check/questions.ts';
import { parseScenario } from '../../firmware-sim/scenario/load.ts';
import { runScenario } from '../../firmware-sim/scenario/run.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';

const clock = createSystemClock();
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function listening<T extends Server | TcpServer>(server: T): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A broker that acknowledges everything, and hands on only what it likes. */
async function startLiar(handsOn: (topic: string) => boolean): Promise<string> {
  const aedes = await Aedes.createBroker();
  aedes.authorizeForward = (_, packet) => (handsOn(packet.topic) ? packet : null);
  const server = createTcpServer(aedes.handle);
  ends.push(() => new Promise<void>((resolve) => aedes.close(() => resolve())));
  return `mqtt://127.0.0.1:${await listening(server)}`;
}

const scenarioTo = (url: string, expected: string) =>
  parseScenario(
    `summary: two devices
url: ${url}
grace: 300ms
lasts: 500ms
groups: { sensors: { shape: climate, devices: 2, every: 50ms } }
expect: ${expected}
`,
    'here.yaml',
  );
const run = (url: string, expected: string) =>
  runScenario({ scenario: scenarioTo(url, expected), clock, random: seededRandom(1), boot: 1 });

test('what was acknowledged and reaches no subscriber is missing, and that is a failure', async () => {
  const url = await startLiar((topic) => !topic.includes('gh-02'));
  const report = await run(url, '{}');
  expect(report.groups.get('sensors')).toMatchObject({ acknowledged: 20, lost: 0 });
  expect(report.findings).toContainEqual({
    what: 'missing',
    expected: '0',
    seen: '10',
    holds: false,
  });
  expect(report.holds).toBe(false);
  expect(report.observer?.seen).toBe(10);
});

test('what arrives is seen, with the time that it took', async () => {
  const report = await run(await startLiar(() => true), '{ p99: 1m }');
  expect(report.holds).toBe(true);
  expect(report.observer).toMatchObject({ seen: 20, missing: 0 });
  expect(report.observer?.latency.count).toBe(20);
});

test('incidents are counted by rule, once each, however often they are announced', async () => {
  const aedes = await Aedes.createBroker();
  const server = createTcpServer(aedes.handle);
  ends.push(() => new Promise<void>((resolve) => aedes.close(() => resolve())));
  let announced = 0;
  aedes.on('publish', ({ topic }) => {
    if (!topic.startsWith('sensors/') || announced > 3) return;
    announced += 1;
    const state = announced > 2 ? 'resolved' : 'firing';
    const data = { rule: 'overheat', state, incident: `i${announced % 2}` };
    const payload = Buffer.from(JSON.stringify({ type: 'alert', data }));
    const common = { cmd: 'publish', qos: 1, retain: false, dup: false } as const;
    for (let time = 0; time < 2; time++) {
      aedes.publish({ ...common, topic: `tidegate/alerts/overheat/x`, payload }, () => undefined);
    }
  });
  const url = `mqtt://127.0.0.1:${await listening(server)}`;
  const report = await run(
    url,
    '{ incidents: { overheat: { firing: 2, resolved: 2 }, frost: { firing: 0 } } }',
  );
  expect(report.findings.filter(({ holds }) => !holds)).toEqual([]);
});

test('a server that cannot be reached is told before anything is sent', async () => {
  await expect(run('mqtt://127.0.0.1:9', '{}')).rejects.toThrow(/ECONNREFUSED|connect/);
});

test('counters are those of the gateway, each with its labels and all together', async () => {
  const text = '# HELP x y\nx_total{kind="a"} 2\nx_total{kind="b"} 3\nplain 7\n';
  const server = createServer((_, response) => response.end(text));
  const found = await metricsOf(`http://127.0.0.1:${await listening(server)}`, clock);
  expect([...found]).toEqual([
    ['x_total{kind="a"}', 2],
    ['x_total', 5],
    ['x_total{kind="b"}', 3],
    ['plain', 7],
  ]);
});

test('a sink is asked in InfluxQL; what it does not find is 0, and its refusal is told', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url!, 'http://x');
    asked.push(`${searchParams.get('db')} ${request.headers.authorization}`);
    const query = searchParams.get('q')!;
    const series = [{ name: 'climate', columns: ['time', 'count'], values: [[0, 42]] }];
    const answers: Record<string, unknown> = {
      found: { results: [{ series }] },
      empty: { results: [{}] },
      wrong: { results: [{ error: 'parse error' }] },
    };
    response.writeHead(query === 'denied' ? 401 : 200).end(JSON.stringify(answers[query] ?? {}));
  });
  const url = `http://127.0.0.1:${await listening(server)}`;
  const influx = { url, database: 'sensors', token: 't' };
  expect(await influxAnswer(influx, 'found', clock)).toBe(42);
  expect(await influxAnswer(influx, 'empty', clock)).toBe(0);
  await expect(influxAnswer(influx, 'wrong', clock)).rejects.toThrow('parse error');
  await expect(influxAnswer(influx, 'denied', clock)).rejects.toThrow('401');
  expect(new Set(asked)).toEqual(new Set(['sensors Token t']));
});
