import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mqttSourceKind } from '../../src/source/mqtt.ts';
import type { Ingest } from '../../src/source/source.ts';
import { available, eventually } from '../services/child.ts';
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../services/mosquitto.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

describe.runIf(available('mosquitto'))("somebody else's broker (Mosquitto)", () => {
  let mosquitto: Mosquitto;
  let device: MqttClient;
  beforeEach(async () => {
    mosquitto = await startMosquitto();
    device = await connectAsync(mosquitto.url);
  });
  afterEach(async () => {
    await device.endAsync(true);
    await stopRuns();
    await mosquitto.stop();
  });

  const create = (options: object = {}, name = 'plant') =>
    mqttSourceKind.create(
      mqttSourceKind.options.parse({ url: mosquitto.url, topics: ['sensors/#'], ...options }),
      sourceParts(name),
    );
  const publish = (topic: string, payload: string, retain = false) =>
    device.publishAsync(topic, payload, { qos: 1, retain });
  const lost: Ingest = async () => {
    throw new Error('The disk is gone.');
  };

  describe.for([4, 5] as const)('protocol version %i', (version) => {
    test('its messages are ingested under their topics', async () => {
      const run = await runSource(create({ version }));
      await publish('sensors/a', '21');
      await publish('other/a', '22');
      await publish('sensors/b', '23');
      await eventually(() => expect(run.texts()).toEqual(['21', '23']));
      expect(run.messages[0]).toMatchObject({ topic: 'sensors/a' });
    });

    test('a message that could not be kept is not acknowledged, and comes again', async () => {
      const first = await runSource(create({ version }), lost);
      await publish('sensors/a', '21');
      expect(String(await first.running)).toContain('The disk is gone.');

      const second = await runSource(create({ version }));
      await eventually(() => expect(second.texts()).toEqual(['21']));
    });

    test('what is published while we are away waits there', async () => {
      await (await runSource(create({ version }))).stop();
      await publish('sensors/a', '21');
      const second = await runSource(create({ version }));
      await eventually(() => expect(second.texts()).toEqual(['21']));
    });
  });

  test('many messages are made durable together, not one after the other', async () => {
    let ingests = 0;
    let release!: () => void;
    const safe = new Promise<void>((resolve) => {
      release = resolve;
    });
    const run = await runSource(create(), async () => {
      ingests += 1;
      await safe;
    });
    const published = Array.from({ length: 500 }, (_, index) => publish('sensors/a', `${index}`));
    // With one at a time, no second would come before the first is safe.
    await eventually(() => expect(run.messages.length).toBeGreaterThan(10));
    release();
    await Promise.all(published);
    await eventually(() => expect(run.messages).toHaveLength(500));
    expect(run.texts()).toEqual(Array.from({ length: 500 }, (_, index) => `${index}`));
    expect(ingests).toBeLessThan(250);
  });

  test('while nothing becomes durable, no more is read than may wait', async () => {
    let release!: () => void;
    const safe = new Promise<void>((resolve) => {
      release = resolve;
    });
    const run = await runSource(create({ topics: ['#'], qos: 0 }), async () => await safe);
    const payload = 'x'.repeat(4_096);
    for (let index = 0; index < 3_000; index++) device.publish('sensors/a', payload, { qos: 0 });
    await publish('sensors/last', 'last');
    // 4 MiB of such payloads are 1,024.
    await eventually(() => expect(run.messages.length).toBeGreaterThan(0));
    const held = run.messages.length;
    expect(held).toBeLessThanOrEqual(1_024);
    release();
    await eventually(() => expect(run.texts().at(-1)).toBe('last'));
    expect(run.messages.length).toBeGreaterThan(held);
  });

  test('several gateways share one stream', async () => {
    const topics = ['$share/tidegate/sensors/#'];
    const one = await runSource(create({ topics }, 'one'));
    const two = await runSource(create({ topics }, 'two'));
    for (let index = 0; index < 20; index++) await publish('sensors/a', `${index}`);
    await eventually(() => expect(one.messages.length + two.messages.length).toBe(20));
    expect(Math.min(one.messages.length, two.messages.length)).toBeGreaterThan(0);
  });

  test('retained messages are ignored unless wanted; what a gateway says of itself always', async () => {
    await publish('sensors/a', 'old', true);
    await publish('tidegate/status', 'online', true);
    const topics = ['sensors/#', 'tidegate/#'];
    const ignoring = await runSource(create({ topics }));
    const keeping = await runSource(create({ topics, retained: 'keep' }, 'keeping'));
    await publish('sensors/a', 'new');
    await eventually(() => expect(keeping.texts()).toEqual(['old', 'new']));
    await eventually(() => expect(ignoring.texts()).toEqual(['new']));
  });

  test('a broker that goes away ends the run with the reason', async () => {
    const run = await runSource(create());
    await mosquitto.kill();
    expect(String(await run.running)).toContain('closed the connection');
    const refused = await runSource(create());
    expect(String(await refused.running)).toContain('ECONNREFUSED');
  });
});

describe.runIf(available('mosquitto'))("ways to somebody else's broker", () => {
  const brokers: Mosquitto[] = [];
  const start = async (options: MosquittoOptions) => {
    const broker = await startMosquitto(options);
    brokers.push(broker);
    return broker;
  };
  afterEach(async () => {
    await stopRuns();
    for (const broker of brokers.splice(0)) await broker.stop();
  });
  const create = (options: object) =>
    mqttSourceKind.create(
      mqttSourceKind.options.parse({ topics: ['sensors/#'], ...options }),
      sourceParts('plant'),
    );

  test('TLS with certificates of both sides, and WebSocket: messages come by either', async () => {
    const broker = await start({ tls: 'mutual', websocket: true });
    const { caFile: ca, clientCertFile: cert, clientKeyFile: key } = broker;
    const files = { ca: { file: ca }, cert: { file: cert }, key: { file: key } };
    const secure = await runSource(create({ url: broker.tlsUrl, ...files, clientId: 'secure' }));
    const web = await runSource(create({ url: broker.websocketUrl, clientId: 'web' }));
    const device = await connectAsync(broker.url);
    await device.publishAsync('sensors/a', '21', { qos: 1 });
    await eventually(() => expect([secure.texts(), web.texts()]).toEqual([['21'], ['21']]));
    await device.endAsync(true);
  });

  test('a broker whose certificate nobody here vouches for is not spoken to', async () => {
    const broker = await start({ tls: true });
    const { running, messages } = await runSource(create({ url: broker.tlsUrl }));
    expect(String(await running)).toMatch(/certificate/i);
    expect(messages).toEqual([]);
  });

  test.each([4, 5])('version %i: a wrong password is named as such', async (version) => {
    const user = { username: 'pi', password: 'right' };
    const broker = await start({ user });
    const password = 'wrong';
    const { running } = await runSource(
      create({ url: broker.url, version, username: 'pi', password }),
    );
    expect(String(await running)).toMatch(/not authorized|bad user ?name or password/i);
  });
});
