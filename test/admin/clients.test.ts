import { connectAsync } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { type Admin, openAdmin } from '../../src/admin/server.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { authFiles, userLine } from '../broker/auth-files.ts';
import {
  connectRaw,
  openTestBroker,
  publishPacket,
  stopAll,
  type TestBroker,
} from '../broker/harness.ts';
import { eventually } from '../services/child.ts';

let admin: Admin | undefined;
afterEach(async () => {
  await admin?.close();
  await stopAll();
});

async function openBoth(broker: TestBroker): Promise<string> {
  admin = await openAdmin({
    listen: { host: '127.0.0.1', port: 0 },
    metrics: createMetrics(),
    logger: silentLogger,
    health: () => undefined,
    ready: () => true,
    status: () => ({}),
    clients: {
      list: () => broker.source.listClients(),
      disconnect: (id) => broker.source.disconnect(id),
    },
  });
  return `http://127.0.0.1:${admin.address.port}/api/v1/clients`;
}

async function listed(url: string): Promise<Record<string, unknown>[]> {
  return ((await (await fetch(url)).json()) as { clients: Record<string, unknown>[] }).clients;
}

const post = async (url: string, headers: object = {}) =>
  await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{}',
  });

test('every client is listed with what it is and what passed', async () => {
  const broker = await openTestBroker({
    options: { auth: { passwordFile: 'users', anonymous: true } },
    authFiles: authFiles({ users: await userLine('anna', 'word') }),
  });
  const url = await openBoth(broker);
  const before = Date.now();
  const device = await connectRaw(broker.port, 4, { id: 'device', keepalive: 30, clean: false });
  device.send(publishPacket('abc', '1234567', 1, 9));
  await device.next('puback');
  const client = await connectAsync(broker.url, {
    ...{ protocolVersion: 5, clientId: 'dash/1', username: 'anna', password: 'word' },
    keepalive: 60,
  });
  const clients = await listed(url);
  expect(clients.map(({ id }) => id)).toEqual(['device', 'dash/1']);
  const [first, second] = clients as [Record<string, unknown>, Record<string, unknown>];
  expect(first).toMatchObject({
    ...{ address: '127.0.0.1', version: '3.1.1', keepAlive: 30, sessionKept: true },
    ...{ packetsIn: 2, publishesIn: 1, publishBytesIn: 10, publishesOut: 0, dropped: 0 },
    ...{ subscriptions: 0, inFlight: 0, queued: 0 },
  });
  expect(first.username).toBeUndefined();
  expect(first.listener).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(first.bytesIn).toBeGreaterThan(14 + 14);
  expect(first.bytesOut).toBe(8);
  for (const name of ['connectedSince', 'lastSeen']) {
    const time = Date.parse(first[name] as string);
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(Date.now());
  }
  expect(second).toMatchObject({
    username: 'anna',
    version: '5',
    keepAlive: 60,
    sessionKept: false,
  });
  await client.endAsync();
  await eventually(async () => expect((await listed(url)).map(({ id }) => id)).toEqual(['device']));
});

test('what a session holds and what its client missed is counted', async () => {
  const broker = await openTestBroker({ options: { limits: { queuedMessages: 3 } } });
  const url = await openBoth(broker);
  const reader = await connectRaw(broker.port, 5, {
    ...{ id: 'reader', clean: false },
    properties: { receiveMaximum: 2, sessionExpiryInterval: 100 },
  });
  const subscriptions = [
    { topic: 'a/#', qos: 1 },
    { topic: 'b', qos: 0 },
  ];
  reader.send({ cmd: 'subscribe', messageId: 1, subscriptions } as never);
  await reader.next('suback');
  const sender = await connectRaw(broker.port, 4, { id: 'sender' });
  for (let id = 1; id <= 6; id++) sender.send(publishPacket(`a/${id}`, 'xyz', 1, id));
  for (let id = 1; id <= 6; id++) await sender.next('puback');
  await eventually(async () =>
    expect((await listed(url))[0]).toMatchObject({
      ...{ id: 'reader', subscriptions: 2, inFlight: 2, queued: 3, dropped: 1 },
      ...{ publishesOut: 2, publishBytesOut: 12, packetsOut: 4 },
    }),
  );
});

test('a client can be disconnected: version 5 is told why, and its will is published', async () => {
  const broker = await openTestBroker();
  const url = await openBoth(broker);
  const watcher = await connectRaw(broker.port, 4, { id: 'watcher' });
  watcher.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: '#', qos: 0 }],
  } as never);
  await watcher.next('suback');
  for (const version of [4, 5] as const) {
    const will = { topic: `gone/${version}`, payload: Buffer.from('1'), qos: 0, retain: false };
    const device = await connectRaw(broker.port, version, { id: 'gh/07 ä', will });
    const answer = await post(`${url}/${encodeURIComponent('gh/07 ä')}/disconnect`);
    expect([answer.status, await answer.json()]).toEqual([200, { disconnected: 'gh/07 ä' }]);
    if (version === 5) expect((await device.next('disconnect')).reasonCode).toBe(0x98);
    await device.gone();
    expect((await watcher.next('publish')).topic).toBe(`gone/${version}`);
  }
  const again = await post(`${url}/nobody/disconnect`);
  expect([again.status, await again.json()]).toEqual([
    404,
    {
      error: {
        code: 'GW_CLIENT_UNKNOWN',
        message: 'No client nobody is connected. See which are with: GET /api/v1/clients',
      },
    },
  ]);
});

test('nobody is disconnected by a page of another site, nor by asking', async () => {
  const broker = await openTestBroker();
  const url = await openBoth(broker);
  const device = await connectRaw(broker.port, 4, { id: 'device' });
  const target = `${url}/device/disconnect`;
  expect((await post(target, { origin: 'http://evil.example' })).status).toBe(403);
  expect((await post(target, { 'content-type': 'text/plain' })).status).toBe(415);
  expect((await fetch(target)).status).toBe(405);
  expect((await fetch(`${url}/device`)).status).toBe(404);
  expect(device.closed).toBe(false);
  expect(broker.source.clients).toBe(1);
});
