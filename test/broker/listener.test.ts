import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import { eventually } from '../services/child.ts';
import { openTestBroker, stopAll } from './harness.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-listener-'));
  path = join(folder, 'mqtt.sock');
});
afterEach(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

/** A client that comes over the unix socket. */
async function enter(clientId: string): Promise<MqttClient> {
  const client = new MqttClient(() => connect({ path }), { clientId, reconnectPeriod: 0 });
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(new Error('The connection was closed.')));
  });
  return client;
}

test('clients come over a unix socket, several at once, and find its file gone at the end', async () => {
  const broker = await openTestBroker({
    options: { listeners: [{ path, mode: '0600' }, { port: 0 }], limits: { connections: 4 } },
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const clients = await Promise.all(['one', 'two', 'three', 'four'].map(enter));
  for (const client of clients) await client.publishAsync('a', '1', { qos: 1 });
  expect(broker.messages).toHaveLength(4);
  const listed = broker.source.listClients();
  expect(listed.map(({ address, listener }) => [address, listener])).toEqual(
    clients.map(() => ['', path]),
  );
  for (const client of clients) await client.endAsync();
  await eventually(() => expect(broker.source.clients).toBe(0));
  await broker.stop();
  expect(existsSync(path)).toBe(false);
});

test('who comes over a unix socket and says nothing makes room, and nobody else', async () => {
  const broker = await openTestBroker({
    options: { listeners: [{ path }], limits: { connections: 2 } },
    bounds: { connectMaxMs: 60_000 },
  });
  const silent = connect({ path });
  await new Promise<void>((resolve) => silent.once('connect', resolve));
  const closed = new Promise<void>((resolve) => silent.once('close', () => resolve()));
  silent.resume();
  const first = await enter('one');
  const second = await eventually(() => enter('two'));
  await closed;
  expect(broker.source.listClients().map(({ id }) => id)).toEqual(['one', 'two']);
  await Promise.all([first.endAsync(), second.endAsync()]);
});

test('WebSockets over a unix socket, as behind a web server', async () => {
  const broker = await openTestBroker({
    options: { listeners: [{ path, transport: 'websocket' }, { port: 0 }] },
  });
  const socket = new WebSocket(`ws+unix:${path}:/mqtt`, ['mqtt']);
  const client = new MqttClient(() => createWebSocketStream(socket), { reconnectPeriod: 0 });
  await client.publishAsync('a', '1', { qos: 1 });
  expect(broker.source.listClients().map(({ listener }) => listener)).toEqual([path]);
  await client.endAsync();
  await eventually(() => expect(broker.source.clients).toBe(0));
});

test('a socket file that a killed process left is replaced; one in use is not', async () => {
  const words = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log(1))`;
  const child = spawn(process.execPath, ['-e', words], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const options = { listeners: [{ path }] };
  await expect(openTestBroker({ options })).rejects.toMatchObject({ code: 'GW_LISTEN_IN_USE' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await ended;
  expect(existsSync(path)).toBe(true);
  const broker = await openTestBroker({ options });
  const client = await enter('one');
  await client.endAsync();
  await broker.stop();
});

test('a file that is no socket is left alone', async () => {
  writeFileSync(path, 'precious');
  const opened = openTestBroker({ options: { listeners: [{ path }] } });
  await expect(opened).rejects.toMatchObject({ code: 'GW_LISTEN_IN_USE' });
  expect(statSync(path).size).toBe(8);
});
