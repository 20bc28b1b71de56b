import { execFile, spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, connect as connectNow, type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { openTestBroker, stopAll, type TestBroker } from '../broker/harness.ts';
import { available, eventually, temporaryFolder } from '../services/child.ts';
import { makeCertificates } from '../services/mosquitto.ts';

const run = promisify(execFile);

const clients: MqttClient[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map(async (client) => await client.endAsync(true)));
  await stopAll();
});

async function connect(url: string, options: IClientOptions): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** Resolves when the broker has ended the attempt; rejects if it let the client in. */
async function isRefused(url: string, options: IClientOptions): Promise<void> {
  const client = connectNow(url, { reconnectPeriod: 0, ...options });
  clients.push(client);
  client.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    client.once('close', resolve);
    client.once('connect', () => reject(new Error('the client was let in')));
  });
}

function collect(client: MqttClient): string[] {
  const received: string[] = [];
  client.on('message', (topic, payload, { qos, retain }) => {
    received.push(`${topic}=${payload} qos${qos}${retain ? ' retained' : ''}`);
  });
  return received;
}

const texts = (broker: TestBroker): string[] => broker.messages.map(({ payload }) => `${payload}`);

describe.for([4, 5] as const)('MQTT.js, level %i', (protocolVersion) => {
  test('messages of every QoS are ingested, and reach the other clients', async () => {
    const broker = await openTestBroker();
    const subscriber = await connect(broker.url, { protocolVersion });
    const received = collect(subscriber);
    await subscriber.subscribeAsync('sensors/+/climate', { qos: 2 });
    const publisher = await connect(broker.url, { protocolVersion });
    for (const qos of [0, 1, 2] as const) {
      await publisher.publishAsync('sensors/a/climate', `${qos}`, { qos });
    }
    await publisher.publishAsync('sensors/a/other', 'unheard', { qos: 1 });
    await eventually(() => expect(texts(broker)).toEqual(['0', '1', '2', 'unheard']));
    await eventually(() =>
      expect(received.sort()).toEqual([0, 1, 2].map((qos) => `sensors/a/climate=${qos} qos${qos}`)),
    );
  });

  test('thousands of messages arrive in order, each once', async () => {
    const broker = await openTestBroker();
    const client = await connect(broker.url, { protocolVersion });
    const count = 3000;
    const all = Array.from({ length: count }, async (_, index) => {
      await client.publishAsync('sensors/a', `${index}`, { qos: index % 2 === 0 ? 1 : 2 });
    });
    await Promise.all(all);
    expect(texts(broker).map(Number)).toEqual(Array.from({ length: count }, (_, index) => index));
  });

  test('a retained message is there for those who come later, until it is cleared', async () => {
    const broker = await openTestBroker();
    const publisher = await connect(broker.url, { protocolVersion });
    await publisher.publishAsync('state/a', 'on', { qos: 1, retain: true });
    const first = await connect(broker.url, { protocolVersion });
    const received = collect(first);
    await first.subscribeAsync('state/#', { qos: 1 });
    await eventually(() => expect(received).toEqual(['state/a=on qos1 retained']));
    await publisher.publishAsync('state/a', '', { qos: 1, retain: true });
    const second = await connect(broker.url, { protocolVersion });
    const nothing = collect(second);
    await second.subscribeAsync('state/#', { qos: 1 });
    await publisher.publishAsync('state/b', 'mark', { qos: 1 });
    await eventually(() => expect(nothing).toEqual(['state/b=mark qos1']));
  });

  test('a persistent session gets what came while it was away, in order', async () => {
    const broker = await openTestBroker();
    const session: IClientOptions = {
      ...{ protocolVersion, clientId: 'away', clean: false },
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
    };
    const before = await connect(broker.url, session);
    await before.subscribeAsync('news/#', { qos: 2 });
    await before.endAsync();
    const publisher = await connect(broker.url, { protocolVersion });
    for (let index = 0; index < 20; index++) {
      // The order is that of one topic and one QoS [MQTT-4.6.0-6].
      for (const qos of [1, 2] as const) {
        await publisher.publishAsync(`news/${qos}`, `${index}`, { qos });
      }
    }
    await publisher.publishAsync('news/a', 'not kept', { qos: 0 });
    const received = { 'news/1': [] as string[], 'news/2': [] as string[], 'news/a': [] };
    const after = connectNow(broker.url, { reconnectPeriod: 0, ...session });
    clients.push(after);
    after.on('message', (topic, payload) => {
      received[topic as keyof typeof received].push(`${payload}` as never);
    });
    const all = Array.from({ length: 20 }, (_, index) => `${index}`);
    await eventually(() =>
      expect(received).toEqual({ 'news/1': all, 'news/2': all, 'news/a': [] }),
    );
  });

  test('a will reaches subscribers and the log', async () => {
    const broker = await openTestBroker();
    const watcher = await connect(broker.url, { protocolVersion });
    const received = collect(watcher);
    await watcher.subscribeAsync('state/#', { qos: 1 });
    const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
    const device = await connect(broker.url, { protocolVersion, will });
    device.stream.destroy();
    await eventually(() => expect(received).toEqual(['state/a=gone qos1']));
    expect(texts(broker)).toEqual(['gone']);
  });
});

test('MQTT 5 properties reach the other clients', async () => {
  const broker = await openTestBroker();
  const subscriber = await connect(broker.url, { protocolVersion: 5 });
  const seen: unknown[] = [];
  subscriber.on('message', (_topic, _payload, { properties }) => seen.push(properties));
  await subscriber.subscribeAsync('a', { qos: 1 });
  const publisher = await connect(broker.url, { protocolVersion: 5 });
  const properties = {
    ...{ contentType: 'application/json', responseTopic: 'b' },
    ...{ correlationData: Buffer.from('7'), userProperties: { trace: 'x' } },
  };
  await publisher.publishAsync('a', '{}', { qos: 1, properties });
  await eventually(() => expect(seen).toHaveLength(1));
  expect(seen[0]).toMatchObject({ ...properties, userProperties: { trace: 'x' } });
});

test('a client without an identifier is given one', async () => {
  const broker = await openTestBroker();
  const client = await connect(broker.url, { protocolVersion: 5, clientId: '' });
  await client.publishAsync('a', 'x', { qos: 1 });
  expect(texts(broker)).toEqual(['x']);
});

describe('TLS', () => {
  test.skipIf(!available('openssl'))(
    'clients are served, and only with a certificate where one is asked for',
    async () => {
      const folder = await temporaryFolder('broker-tls');
      try {
        await makeCertificates(folder);
        const tls = { cert: 'server.crt', key: { file: 'server.key' } };
        const listeners = [
          { port: 0, tls },
          { port: 0, tls: { ...tls, clientCa: 'ca.crt' } },
        ];
        const broker = await openTestBroker({ options: { listeners }, folder });
        const [open, mutual] = broker.source.addresses;
        expect(open).toMatchObject({ tls: true, transport: 'tcp' });
        const file = async (name: string) => await readFile(join(folder, name));
        const ca = await file('ca.crt');
        const plain = await connect(`mqtts://127.0.0.1:${open!.port}`, { ca });
        await plain.publishAsync('a', 'plain', { qos: 1 });
        const url = `mqtts://127.0.0.1:${mutual!.port}`;
        const certificate = { cert: await file('client.crt'), key: await file('client.key') };
        const known = await connect(url, { ca, ...certificate });
        await known.publishAsync('a', 'known', { qos: 2 });
        await isRefused(url, { ca });
        await isRefused(url.replace('mqtts', 'mqtt'), {});
        expect(texts(broker)).toEqual(['plain', 'known']);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );

  test('a certificate that cannot be read is named', async () => {
    const tls = { cert: 'nowhere.crt', key: 'nowhere.key' };
    await expect(
      openTestBroker({ options: { listeners: [{ port: 0, tls }] } }),
    ).rejects.toMatchObject({
      code: 'GW_SECRET_MISSING',
      message: expect.stringContaining('nowhere.crt'),
    });
    const broken = { cert: '-----BEGIN CERTIFICATE-----\nx\n', key: '-----BEGIN KEY-----\nx\n' };
    await expect(
      openTestBroker({ options: { listeners: [{ port: 0, tls: broken }] } }),
    ).rejects.toMatchObject({ code: 'GW_LISTEN_FAILED' });
  });
});

describe.for(['mqttv311', 'mqttv5'])('mosquitto_pub and mosquitto_sub, %s', (version) => {
  test.skipIf(!available('mosquitto_pub') || !available('mosquitto_sub'))(
    'messages go through, one at a time and many from a pipe',
    async () => {
      const broker = await openTestBroker();
      const common = ['-h', '127.0.0.1', '-p', String(broker.port), '-V', version];
      const subscriber = spawn(
        'mosquitto_sub',
        [...common, '-t', 'sensors/#', '-q', '2', '-F', '%q %p'],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      try {
        let received = '';
        subscriber.stdout.on('data', (chunk) => {
          received += chunk;
        });
        await eventually(() => expect(broker.source.clients).toBe(1));
        await run('mosquitto_pub', [...common, '-t', 'sensors/ready', '-m', 'x', '-r']);
        await eventually(() => expect(received).toBe('0 x\n'));
        const topic = ['-t', 'sensors/a'];
        await run('mosquitto_pub', [...common, ...topic, '-q', '1', '-m', 'one']);
        await run('mosquitto_pub', [...common, ...topic, '-q', '2', '-m', 'two']);
        const pipe = spawn('mosquitto_pub', [...common, ...topic, '-q', '1', '-l'], {
          stdio: ['pipe', 'inherit', 'inherit'],
        });
        const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`);
        pipe.stdin.end(`${lines.join('\n')}\n`);
        const expected = ['x', 'one', 'two', ...lines];
        await eventually(() => expect(texts(broker)).toEqual(expected));
        const shown = ['0 x', '1 one', '2 two', ...lines.map((line) => `1 ${line}`)];
        await eventually(() => expect(received.trim().split('\n')).toEqual(shown));
        const kept = await run('mosquitto_sub', [...common, '-t', 'sensors/#', '-C', '1']);
        expect(kept.stdout).toBe('x\n');
      } finally {
        subscriber.kill();
      }
    },
  );
});
