import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { generate, type Packet, parser } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../services/child.ts';
import { makeCertificates } from '../services/mosquitto.ts';
import {
  connectPacket,
  connectRaw,
  openTestBroker,
  publishPacket,
  stopAll,
  type TestBrokerOptions,
} from './harness.ts';

afterEach(stopAll);

async function openWebSocketBroker(listener: object = {}, more: TestBrokerOptions = {}) {
  const broker = await openTestBroker({
    ...more,
    options: {
      listeners: [{ port: 0, transport: 'websocket', ...listener }, { port: 0 }],
      ...more.options,
    },
  });
  return { broker, url: `ws://127.0.0.1:${broker.port}` };
}

/** A WebSocket and the MQTT packets that came through it. */
async function openWebSocket(url: string, protocols: string[] = ['mqtt']) {
  const socket = new WebSocket(url, protocols);
  const received: Packet[] = [];
  const reader = parser();
  reader.on('packet', (packet) => received.push(packet));
  let closeCode: number | undefined;
  socket.on('message', (bytes: Buffer) => reader.parse(bytes));
  socket.on('close', (code) => {
    closeCode = code;
  });
  await once(socket, 'open');
  return {
    socket,
    received,
    cmds: () => received.map(({ cmd }) => cmd),
    closed: async () =>
      await eventually(() => {
        if (closeCode === undefined) throw new Error('It is still open.');
        return closeCode;
      }),
  };
}

for (const protocolVersion of [3, 4, 5] as const) {
  test(`MQTT.js over a WebSocket, level ${protocolVersion}: both ways, every QoS`, async () => {
    const { broker, url } = await openWebSocketBroker();
    const client = await connectAsync(url, {
      protocolVersion,
      ...(protocolVersion === 3 ? { protocolId: 'MQIsdp' as const } : {}),
    });
    const got: string[] = [];
    client.on('message', (topic, payload) => got.push(`${topic} ${payload.length}`));
    await client.subscribeAsync('a/#', { qos: 2 });
    const large = Buffer.alloc(200_000, 'x');
    await client.publishAsync('a/0', 'zero', { qos: 0 });
    await client.publishAsync('a/1', 'one', { qos: 1 });
    await client.publishAsync('a/2', large, { qos: 2 });
    await eventually(() => expect(got).toEqual(['a/0 4', 'a/1 3', 'a/2 200000']));
    expect(broker.messages.map(({ topic }) => topic)).toEqual(['a/0', 'a/1', 'a/2']);
    await client.endAsync();
    await eventually(() => expect(broker.source.clients).toBe(0));
  });
}

test('packets may be cut anywhere, and many may be in one message', async () => {
  const { broker, url } = await openWebSocketBroker();
  const packets = [
    connectPacket(4, { id: 'cut' }),
    ...Array.from({ length: 20 }, (_, n) => publishPacket(`a/${n}`, 'x'.repeat(n), 1, n + 1)),
  ];
  const bytes = Buffer.concat(packets.map((packet) => generate(packet)));
  for (const size of [1, 2, 3, 7, 100, bytes.length]) {
    broker.messages.length = 0;
    const { socket, received } = await openWebSocket(url);
    for (let at = 0; at < bytes.length; at += size) socket.send(bytes.subarray(at, at + size));
    await eventually(() => expect(received).toHaveLength(21));
    expect(broker.messages).toHaveLength(20);
    socket.close();
  }
});

test('one packet in many fragments of one message, with pings between them', async () => {
  const { broker, url } = await openWebSocketBroker();
  const { socket, received } = await openWebSocket(url);
  socket.send(generate(connectPacket(4, { id: 'fragments' })));
  const bytes = generate(publishPacket('a', 'x'.repeat(5000), 1, 1));
  let pongs = 0;
  socket.on('pong', () => {
    pongs += 1;
  });
  for (let at = 0; at < bytes.length; at += 1000) {
    socket.send(bytes.subarray(at, at + 1000), { fin: at + 1000 >= bytes.length });
    socket.ping();
  }
  await eventually(() => expect(received.at(-1)?.cmd).toBe('puback'));
  await eventually(() => expect(pongs).toBe(6));
  expect(broker.messages[0]!.payload).toHaveLength(5000);
  socket.close();
});

test('a text message closes the connection', async () => {
  const { broker, url } = await openWebSocketBroker();
  const { socket, closed } = await openWebSocket(url);
  socket.send(generate(connectPacket(4)).toString('latin1'));
  expect(await closed()).toBe(1003);
  expect(broker.source.clients).toBe(0);
});

test('a message that is too large closes the connection, and no other', async () => {
  const { broker, url } = await openWebSocketBroker({ limits: { packetBytes: 1000 } });
  const honest = await openWebSocket(url);
  const { socket, closed } = await openWebSocket(url);
  socket.send(Buffer.alloc(70_000));
  expect(await closed()).toBe(1009);
  honest.socket.send(generate(connectPacket(4)));
  await eventually(() => expect(honest.cmds()).toEqual(['connack']));
  const packet = await openWebSocket(url);
  packet.socket.send(generate(connectPacket(4, { id: 'other' })));
  packet.socket.send(generate(publishPacket('a', 'x'.repeat(2000), 1)));
  await packet.closed();
  expect(await broker.count('brokerRefused', 'too_large')).toBe(1);
  honest.socket.close();
});

test('messages that begin and do not end are bounded over all connections', async () => {
  const { url } = await openWebSocketBroker(
    {},
    { bounds: { unfinishedBytes: 100_000, connectMaxMs: 60_000 } },
  );
  const first = await openWebSocket(url);
  const second = await openWebSocket(url);
  first.socket.send(Buffer.alloc(60_000), { fin: false });
  await new Promise<void>((done) => first.socket.ping(undefined, undefined, () => done()));
  second.socket.on('error', () => {});
  second.socket.send(Buffer.alloc(60_000), { fin: false });
  await Promise.any([first.closed(), second.closed()]);
  first.socket.terminate();
  second.socket.terminate();
});

test('the subprotocol is agreed on; without it there is no connection', async () => {
  const { url } = await openWebSocketBroker();
  for (const name of ['mqtt', 'mqttv3.1']) {
    const { socket } = await openWebSocket(url, ['other', name]);
    expect(socket.protocol).toBe(name);
    socket.close();
  }
  for (const protocols of [[], ['amqp']]) {
    const socket = new WebSocket(url, protocols);
    const [error] = await once(socket, 'error');
    expect(error.message).toContain('400');
  }
});

test('with a path configured no other is answered', async () => {
  const { url } = await openWebSocketBroker({ urlPath: '/mqtt' });
  const { socket } = await openWebSocket(`${url}/mqtt?x=1`);
  socket.close();
  const other = new WebSocket(`${url}/`, ['mqtt']);
  const [error] = await once(other, 'error');
  expect(error.message).toContain('404');
});

test('who asks for a page is told what this is, and silence ends', async () => {
  const { broker } = await openWebSocketBroker({}, { bounds: { connectMaxMs: 200 } });
  const { port } = broker;
  const asked = request({ port, host: '127.0.0.1', path: '/' });
  asked.end();
  const [response] = await once(asked, 'response');
  expect(response.statusCode).toBe(426);
  response.resume();
  for (const words of ['', 'GET / HTTP/1.1\r\nHost: x\r\n']) {
    const socket = connectTcp({ port, host: '127.0.0.1' });
    socket.write(words);
    socket.resume();
    await once(socket, 'close');
  }
  const { socket, closed } = await openWebSocket(`ws://127.0.0.1:${port}`);
  await closed();
  socket.close();
  expect(await broker.count('brokerRefused', 'timeout')).toBe(1);
});

test('a subscriber that reads nothing is given up, and others are served', {
  timeout: 30_000,
}, async () => {
  const { broker, url } = await openWebSocketBroker(
    {},
    { bounds: { slowBytes: 50_000, unsentBytes: 100_000, drainMaxMs: 500 } },
  );
  const slow = await openWebSocket(url);
  slow.socket.send(generate(connectPacket(4, { id: 'slow' })));
  slow.socket.send(
    generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] } as Packet),
  );
  await eventually(() => expect(slow.cmds()).toEqual(['connack', 'suback']));
  slow.socket.pause();
  const sender = await connectRaw(broker.source.addresses[1]!.port, 4, { id: 'sender' });
  const payload = 'x'.repeat(100_000);
  const dropped = async () => await broker.count('brokerDropped', 'slow');
  for (let id = 1; id < 2000 && (await dropped()) === 0; id++) {
    sender.send(publishPacket('a', payload, 1, id));
    await sender.next('puback');
  }
  expect(await dropped()).toBeGreaterThan(0);
  slow.socket.terminate();
});

test('WebSockets with TLS, and client certificates', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-wss-'));
  try {
    await makeCertificates(folder);
    const { broker } = await openWebSocketBroker(
      { tls: { cert: 'server.crt', key: { file: 'server.key' }, clientCa: 'ca.crt' } },
      { folder },
    );
    const read = (name: string) => readFileSync(join(folder, name));
    const url = `wss://localhost:${broker.port}`;
    const client = await connectAsync(url, {
      ...{ ca: read('ca.crt'), cert: read('client.crt'), key: read('client.key') },
    });
    await client.publishAsync('a', '1', { qos: 1 });
    expect(broker.messages).toHaveLength(1);
    await client.endAsync();
    const stranger = connectAsync(url, { ca: read('ca.crt'), reconnectPeriod: 0 });
    await expect(stranger).rejects.toThrow();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
