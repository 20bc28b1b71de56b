import type { AddressInfo } from 'node:net';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { fromCloudEventsJson } from '../../src/event/cloudevents-json.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { readingOf, readingsOf } from '../event/events.ts';
import { available, eventually } from '../services/child.ts';
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../services/mosquitto.ts';
import { type FakeBroker, startFakeBroker } from './fake-broker.ts';
import { endless, failureOf, sinkOf, sinkParts, withConnection } from './parts.ts';

const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanUps.splice(0).reverse()) await clean();
});

async function startBroker(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const broker = await startMosquitto(options);
  cleanUps.push(() => broker.stop());
  return broker;
}

/** Everything that is published, as [topic, text, packet]. */
async function listen(broker: Mosquitto, as: object = {}) {
  const heard: [string, string, IPublishPacket][] = [];
  const client: MqttClient = await connectAsync(broker.url, {
    reconnectPeriod: 0,
    protocolVersion: 5,
    ...as,
  });
  cleanUps.push(() => client.endAsync(true));
  client.on('message', (topic, payload, packet) => void heard.push([topic, `${payload}`, packet]));
  await client.subscribeAsync('#', { qos: 1 });
  return heard;
}

describe.skipIf(!available('mosquitto'))('with a real Mosquitto', () => {
  test('an event is one message of CloudEvents JSON, and MQTT 5 says so', async () => {
    const broker = await startBroker();
    const heard = await listen(broker);
    await withConnection(sinkOf(sinkKinds.mqtt, { url: broker.url, status: false }), async (c) => {
      expect(await c.deliver([readingOf()], endless)).toEqual([]);
    });
    const [topic, text, packet] = await eventually(() => heard[0] ?? Promise.reject(new Error()));
    expect(topic).toBe('gateways/greenhouse-pi/reading/gh-07');
    expect(fromCloudEventsJson(text)).toEqual(readingOf());
    expect(packet.properties?.contentType).toBe('application/cloudevents+json');
    expect(packet.qos).toBe(1);
  });

  test('the status is online while connected, offline after leaving and after dying', async () => {
    const broker = await startBroker();
    const statuses = async () => {
      const heard = await listen(broker);
      return await eventually(() => {
        const retained = heard.find(([topic]) => topic === 'gateways/greenhouse-pi/status');
        return retained?.[1] ?? Promise.reject(new Error('No status.'));
      });
    };
    const line = await cuttable(broker.port);
    const sink = sinkOf(sinkKinds.mqtt, { url: line.url });
    const first = await sink.connect(endless);
    expect(await statuses()).toBe('online');
    await first.close();
    expect(await statuses()).toBe('offline');
    const second = await sink.connect(endless);
    expect(await statuses()).toBe('online');
    line.cut();
    await eventually(async () => expect(await statuses()).toBe('offline'));
    await second.close();
  });

  test('two lanes have client ids of their own, and the id of a closed one is used again', async () => {
    const broker = await startBroker({ lines: ['log_type all'] });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url });
    const lanes = [await sink.connect(endless), await sink.connect(endless)];
    await lanes[0]!.close();
    const again = await sink.connect(endless);
    expect(await again.deliver(readingsOf(1), endless)).toEqual([]);
    expect(await lanes[1]!.deliver(readingsOf(1), endless)).toEqual([]);
    await Promise.all([again.close(), lanes[1]!.close()]);
    const ids = [...broker.output.matchAll(/connected from \S+ as (\S+)/g)].map(([, id]) => id);
    const id = 'tidegate-greenhouse-pi-cloud';
    expect(ids.filter((each) => each?.startsWith('tidegate'))).toEqual([id, `${id}-2`, id]);
  });

  test('what an access list forbids is rejected by name, the rest is delivered', async () => {
    const broker = await startBroker({
      user: { username: 'gw', password: 'pw' },
      acl: ['user gw', 'topic readwrite gateways/+/reading/gh-1', 'topic read #'],
    });
    const as = { username: 'gw', password: 'pw' };
    const heard = await listen(broker, as);
    const parts = sinkParts();
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, ...as }, parts);
    const rejections = await withConnection(sink, (c) => c.deliver(readingsOf(20), endless));
    const refused = readingsOf(20).filter(({ subject }) => subject !== 'gh-1');
    expect(rejections.map(({ event }) => event)).toEqual(refused);
    expect(rejections[0]?.reason).toBe('The server answers 0x87, not authorized.');
    await eventually(() => expect(heard).toHaveLength(2));
    expect(parts.log).toMatchObject([{ level: 'warn', message: 'The status was refused.' }]);
  });

  test.each([4, 5])(
    'a wrong password is an error with its remedy, in version %d',
    async (version) => {
      const broker = await startBroker({ user: { username: 'gw', password: 'pw' } });
      const options = { url: broker.url, username: 'gw', password: 'no', version };
      const error = await failureOf(sinkOf(sinkKinds.mqtt, options).connect(endless));
      expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
      expect(error.message).toMatch(/ot authorized.*: check username, password/);
    },
  );

  test('over TLS with our own certificate, and over a WebSocket', async () => {
    const broker = await startBroker({ tls: 'mutual', websocket: true });
    const { caFile: ca, clientCertFile: cert, clientKeyFile: key } = broker;
    for (const options of [
      { url: broker.tlsUrl, tls: { ca, cert, key } },
      { url: broker.websocketUrl },
    ]) {
      await withConnection(sinkOf(sinkKinds.mqtt, options), async (c) => {
        expect(await c.deliver(readingsOf(10), endless)).toEqual([]);
      });
    }
    const stranger = sinkOf(sinkKinds.mqtt, { url: broker.tlsUrl });
    expect((await failureOf(stranger.connect(endless))).message).toMatch(/certificate|issuer/);
  });

  test('a broker that hangs is given up, by connections and while connecting', async () => {
    const broker = await startBroker();
    const options = { url: broker.url, timeout: '200ms', connectTimeout: '200ms' };
    const sink = sinkOf(sinkKinds.mqtt, options);
    const connection = await sink.connect(endless);
    await broker.pause();
    const error = await failureOf(connection.deliver(readingsOf(5), endless));
    expect(error.message).toContain('has acknowledged nothing for 200 ms');
    await connection.close();
    expect((await failureOf(sink.connect(endless))).message).toContain('no answer within 200 ms');
    broker.resume();
  });

  test('a line that is dead without a word is noticed by an idle connection', async () => {
    const broker = await startBroker();
    const connection = await sinkOf(sinkKinds.mqtt, { url: broker.url, keepAlive: '1s' }).connect(
      endless,
    );
    await broker.pause();
    await eventually(async () => {
      const error = await failureOf(connection.deliver(readingsOf(1), AbortSignal.timeout(50)));
      expect(error).toMatchObject({ code: 'GW_SINK_UNAVAILABLE' });
    }, 8_000);
    broker.resume();
    await connection.close();
  });
});

describe('with a broker that behaves oddly', () => {
  const start = async (...args: Parameters<typeof startFakeBroker>): Promise<FakeBroker> => {
    const broker = await startFakeBroker(...args);
    cleanUps.push(() => broker.stop());
    return broker;
  };
  const connack = { cmd: 'connack', sessionPresent: false, reasonCode: 0, returnCode: 0 } as const;
  const puback = (messageId: number | undefined, reasonCode = 0) =>
    ({ cmd: 'puback', messageId: messageId ?? 0, reasonCode }) as const;

  test('one that speaks only 3.1.1 gets 3.1.1, from then on at once', async () => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') {
        send(packet.protocolVersion === 5 ? { ...connack, returnCode: 1, reasonCode: 1 } : connack);
      }
      if (packet.cmd === 'publish') send(puback(packet.messageId));
    });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url });
    for (let times = 0; times < 2; times++) {
      await withConnection(sink, async (c) => {
        expect(await c.deliver(readingsOf(3), endless)).toEqual([]);
      });
    }
    expect(broker.connects.map(({ protocolVersion }) => protocolVersion)).toEqual([5, 4, 4]);
  });

  test('one that hangs up on MQTT 5 without a word gets 3.1.1, unless 5 was asked for', async () => {
    const broker = await start((packet, send, socket) => {
      if (packet.cmd !== 'connect') return;
      if (packet.protocolVersion === 5) socket.destroy();
      else send(connack);
    });
    const connection = await sinkOf(sinkKinds.mqtt, { url: broker.url, status: false }).connect(
      endless,
    );
    await connection.close();
    const error = await failureOf(
      sinkOf(sinkKinds.mqtt, { url: broker.url, version: 5 }).connect(endless),
    );
    expect(error.message).toContain('closed the connection without an answer');
    expect(broker.connects.map(({ protocolVersion }) => protocolVersion)).toEqual([5, 4, 5]);
  });

  test('no more messages are in flight than both sides allow', async () => {
    let inFlight = 0;
    let inFlightMax = 0;
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send({ ...connack, properties: { receiveMaximum: 7 } });
      if (packet.cmd !== 'publish') return;
      inFlightMax = Math.max(inFlightMax, ++inFlight);
      setImmediate(() => {
        inFlight--;
        send(puback(packet.messageId));
      });
    });
    const run = async (options: object) => {
      inFlightMax = 0;
      const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, ...options });
      await withConnection(sink, async (c) => void (await c.deliver(readingsOf(100), endless)));
      return inFlightMax;
    };
    expect(await run({})).toBe(7);
    expect(await run({ window: 3 })).toBe(3);
  });

  test('the window slides over two batches: the second fills what the first leaves free', async () => {
    let inFlightMax = 0;
    const waiting: number[] = [];
    const broker = await start((packet) => {
      if (packet.cmd === 'connect') broker.send({ ...connack, properties: { receiveMaximum: 10 } });
      if (packet.cmd === 'publish') waiting.push(packet.messageId!);
      inFlightMax = Math.max(inFlightMax, waiting.length);
    });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, status: false });
    await withConnection(sink, async (c) => {
      const order: string[] = [];
      const batches = ['first', 'second'].map(async (name) => {
        expect(await c.deliver(readingsOf(7), endless)).toEqual([]);
        order.push(name);
      });
      await eventually(() => expect(waiting).toHaveLength(10));
      // As no server may: what came last is answered first.
      while (order.length < 2) {
        const id = waiting.pop();
        if (id !== undefined) broker.send(puback(id));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(batches);
      expect(order).toEqual(['first', 'second']);
    });
    expect(inFlightMax).toBe(10);
    const ids = broker.packets.flatMap((packet) =>
      packet.cmd === 'publish' ? packet.messageId : [],
    );
    expect(new Set(ids).size).toBe(14);
  });

  test('a ping carries our acknowledgement to a server that waits for it, and no more than two', async () => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd === 'publish' && broker.packets.length === 1) send(puback(packet.messageId));
      if (packet.cmd === 'pingreq') send({ cmd: 'pingresp' });
    });
    const options = { url: broker.url, status: false, timeout: '300ms' };
    await withConnection(sinkOf(sinkKinds.mqtt, options), async (c) => {
      const error = await failureOf(c.deliver(readingsOf(3), endless));
      expect(error.message).toContain('has acknowledged nothing for 300 ms');
    });
    expect(broker.packets.filter(({ cmd }) => cmd === 'pingreq')).toHaveLength(2);
  });

  test('another ping goes out when the answer to the last one is held back, too', async () => {
    let pings = 0;
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd === 'publish' && broker.packets.length === 1) send(puback(packet.messageId));
      if (packet.cmd === 'pingreq')
        send(puback((broker.packets[++pings] as IPublishPacket).messageId));
    });
    const options = { url: broker.url, status: false, timeout: '2s' };
    await withConnection(sinkOf(sinkKinds.mqtt, options), (c) => c.deliver(readingsOf(3), endless));
  });

  test.each([
    [0x90, 'topic name invalid'],
    [0x99, 'payload format invalid'],
  ])('the code 0x%s rejects the one event', async (code, words) => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd !== 'publish') return;
      send(puback(packet.messageId, `${packet.payload}`.includes('"r-3"') ? code : 0));
    });
    const rejections = await withConnection(sinkOf(sinkKinds.mqtt, { url: broker.url }), (c) =>
      c.deliver(readingsOf(6), endless),
    );
    expect(rejections).toEqual([
      { event: readingsOf(6)[3], reason: expect.stringContaining(words) },
    ]);
  });

  test.each([0x97, 0x80, 0x83, 0x91])('the code 0x%s is worth another try', async (code) => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd === 'publish') send(puback(packet.messageId, code));
    });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, status: false });
    await withConnection(sink, async (c) => {
      expect(await failureOf(c.deliver(readingsOf(2), endless))).toMatchObject({
        code: 'GW_SINK_UNAVAILABLE',
      });
    });
  });

  test('a packet of just the size that the server takes is sent, one byte more is not', async () => {
    let limit = 0;
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send({ ...connack, properties: { maximumPacketSize: limit } });
      if (packet.cmd === 'publish') send(puback(packet.messageId));
    });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, status: false });
    const event = readingsOf(1);
    limit = 1_000_000;
    await withConnection(sink, async (c) => void (await c.deliver(event, endless)));
    const publish = broker.packets.find(({ cmd }) => cmd === 'publish');
    const bytes = (publish?.length ?? 0) + (publish!.length! < 128 ? 2 : 3);
    for (const [size, rejected] of [
      [bytes, 0],
      [bytes - 1, 1],
    ] as const) {
      limit = size;
      const rejections = await withConnection(sink, (c) => c.deliver(event, endless));
      expect(rejections).toHaveLength(rejected);
    }
  });

  test('with a server that takes less than qos, a person must choose', async () => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send({ ...connack, properties: { maximumQoS: 0 } });
    });
    const error = await failureOf(sinkOf(sinkKinds.mqtt, { url: broker.url }).connect(endless));
    expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
    expect(error.message).toContain('takes QoS 0 at most, and qos is 1');
  });

  test('a client that takes our id is named as the cause', async () => {
    const broker = await start((packet, send, socket) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd !== 'publish') return;
      send({ cmd: 'disconnect', reasonCode: 0x8e });
      socket.end();
    });
    const sink = sinkOf(sinkKinds.mqtt, { url: broker.url, status: false });
    await withConnection(sink, async (c) => {
      const error = await failureOf(c.deliver(readingsOf(1), endless));
      expect(error.message).toContain('reason 0x8e: another client uses the same clientId');
    });
  });

  test('QoS 2 is taken when it is complete', async () => {
    const broker = await start((packet, send) => {
      if (packet.cmd === 'connect') send(connack);
      if (packet.cmd === 'publish' && packet.qos === 1) send(puback(packet.messageId));
      if (packet.cmd === 'publish' && packet.qos === 2) {
        send({ cmd: 'pubrec', messageId: packet.messageId! });
      }
      if (packet.cmd === 'pubrel') send({ cmd: 'pubcomp', messageId: packet.messageId! });
    });
    await withConnection(sinkOf(sinkKinds.mqtt, { url: broker.url, qos: 2 }), async (c) => {
      expect(await c.deliver(readingsOf(150), endless)).toEqual([]);
    });
    expect(broker.packets.filter(({ cmd }) => cmd === 'pubrel')).toHaveLength(150);
  });
});

/** A line to a port that can be cut, as when a router loses power. */
async function cuttable(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connectTcp(port, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  cleanUps.push(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, cut };
}
