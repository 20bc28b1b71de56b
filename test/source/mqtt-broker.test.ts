import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import {
  connectRaw,
  createHeldIngest,
  openTestBroker,
  publishPacket,
  stopAll,
} from '../broker/harness.ts';
import { eventually } from '../services/child.ts';

afterEach(stopAll);

const texts = (messages: readonly { readonly payload: Uint8Array }[]): string[] =>
  messages.map(({ payload }) => String(payload));

describe.for([4, 5] as const)('MQTT level %i', (version) => {
  test('a QoS 1 message is acknowledged only when it is safe', async () => {
    const held = createHeldIngest();
    const { port } = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(port, version);
    client.send(publishPacket('sensors/a', 'one', 1, 11), publishPacket('sensors/a', 'two', 1, 12));
    await eventually(() => expect(texts(held.messages)).toEqual(['one', 'two']));
    client.send({ cmd: 'pingreq' });
    await client.next('pingresp');
    expect(client.received.map(({ cmd }) => cmd)).not.toContain('puback');

    held.release();
    expect((await client.next('puback')).messageId).toBe(11);
    expect((await client.next('puback')).messageId).toBe(12);
  });

  test('a QoS 2 message is received only when it is safe, and its repeat is not another', async () => {
    const held = createHeldIngest();
    const { port } = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(port, version);
    client.send(publishPacket('sensors/a', 'one', 2, 5));
    await eventually(() => expect(texts(held.messages)).toEqual(['one']));
    client.send(publishPacket('sensors/a', 'one', 2, 5, { dup: true }), { cmd: 'pingreq' });
    await client.next('pingresp');
    expect(client.received.map(({ cmd }) => cmd)).not.toContain('pubrec');

    held.release();
    await client.next('pubrec');
    await client.next('pubrec');
    client.send(publishPacket('sensors/a', 'one', 2, 5, { dup: true }));
    await client.next('pubrec');
    client.send({ cmd: 'pubrel', messageId: 5 });
    await client.next('pubcomp');
    expect(texts(held.messages)).toEqual(['one']);

    client.send(publishPacket('sensors/a', 'two', 2, 5));
    await eventually(() => expect(texts(held.messages)).toEqual(['one', 'two']));
    held.release();
    await client.next('pubrec');
  });

  test('messages of every QoS are ingested in the order they were sent', async () => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port, version);
    const packets = Array.from({ length: 300 }, (_, index) =>
      publishPacket('sensors/a', `${index}`, (index % 3) as 0 | 1 | 2, index + 1),
    );
    client.send(...packets);
    await eventually(() => expect(broker.messages).toHaveLength(300));
    expect(texts(broker.messages)).toEqual(packets.map((_, index) => `${index}`));
  });

  test('a message that cannot be kept is never acknowledged: the client is cut off', async () => {
    for (const qos of [1, 2] as const) {
      const held = createHeldIngest();
      const broker = await openTestBroker({ ingest: held.ingest });
      const client = await connectRaw(broker.port, version);
      client.send(publishPacket('sensors/a', 'one', qos, 3));
      await eventually(() => expect(held.messages).toHaveLength(1));
      held.refuse();
      await client.gone();
      expect(client.received.map(({ cmd }) => cmd)).toEqual(['connack']);

      const again = await connectRaw(broker.port, version);
      again.send(publishPacket('sensors/a', 'one', qos, 3, { dup: true }));
      await eventually(() => expect(held.messages).toHaveLength(2));
    }
  });

  test('a will is ingested once, and not after a farewell', async () => {
    const broker = await openTestBroker();
    const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 2, retain: true };
    const polite = await connectRaw(broker.port, version, { id: 'polite', will });
    polite.send({ cmd: 'disconnect' });
    await polite.gone();
    const watcher = await connectRaw(broker.port, version, { id: 'watcher' });
    watcher.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'state/#', qos: 1 }],
    });
    await watcher.next('suback');
    const lost = await connectRaw(broker.port, version, { id: 'lost', will });
    lost.socket.destroy();
    const { topic, payload } = await watcher.next('publish');
    expect([topic, String(payload)]).toEqual(['state/a', 'gone']);
    const last = await connectRaw(broker.port, version, { id: 'last' });
    last.send(publishPacket('sensors/a', 'end', 1));
    await last.next('puback');
    expect(texts(broker.messages)).toEqual(['gone', 'end']);
  });

  test('what only the gateway may publish is dropped, acknowledged in its turn, and counted', async () => {
    const held = createHeldIngest();
    const broker = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(broker.port, version);
    client.send(
      publishPacket('sensors/a', 'one', 1, 1),
      publishPacket('tidegate/alerts/x', 'mine', 1, 2),
      publishPacket('tidegate/status', 'mine', 0, 0, { retain: true }),
      publishPacket('$SYS/broker/version', 'mine', 2, 3),
      publishPacket('sensors/a', 'two', 1, 4),
    );
    await eventually(() => expect(texts(held.messages)).toEqual(['one', 'two']));
    held.release();
    const answers = [
      await client.next('puback'),
      await client.next('puback'),
      await client.next('pubrec'),
      await client.next('puback'),
    ];
    expect(answers.map(({ messageId }) => messageId)).toEqual([1, 2, 3, 4]);
    const refused = version === 5 ? 0x87 : undefined;
    const fine = version === 5 ? 0 : undefined;
    expect(answers.map(({ reasonCode }) => reasonCode)).toEqual([fine, refused, refused, fine]);
    expect(await broker.count('brokerRefused', 'publish_denied')).toBe(3);

    client.send({
      cmd: 'subscribe',
      messageId: 9,
      subscriptions: [{ topic: 'tidegate/#', qos: 0 }],
    });
    await client.next('suback');
    // Of all that is retained there, nothing is the client's.
    await broker.source.publish('tidegate/status', 'ours', { retain: true, qos: 0 });
    expect(String((await client.next('publish')).payload)).toBe('ours');
  });

  test('what the gateway publishes reaches subscribers and is not ingested', async () => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port, version);
    const subscriptions = [{ topic: 'tidegate/commands/#', qos: 1 as const }];
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.next('suback');
    await broker.source.publish('tidegate/commands/a/blink', 'now', { retain: false, qos: 1 });
    const { topic, qos, payload, messageId } = await client.next('publish');
    expect([topic, qos, String(payload)]).toEqual(['tidegate/commands/a/blink', 1, 'now']);
    client.send({ cmd: 'puback', messageId: messageId! });
    client.send(publishPacket('sensors/a', 'end', 1));
    await client.next('puback');
    expect(texts(broker.messages)).toEqual(['end']);
  });

  test('while messages wait to be safe, pings are answered and subscriptions are made', async () => {
    const held = createHeldIngest();
    const { port } = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(port, version);
    client.send(
      ...Array.from({ length: 200 }, (_, index) => publishPacket('sensors/a', 'x', 1, index + 1)),
    );
    await eventually(() => expect(held.messages).toHaveLength(200));
    for (let round = 0; round < 3; round++) {
      client.send({ cmd: 'pingreq' });
      await client.next('pingresp');
    }
    client.send({
      cmd: 'subscribe',
      messageId: 7,
      subscriptions: [{ topic: 'commands/a', qos: 0 }],
    });
    await client.next('suback');
  });
});

test('user properties of MQTT 5 come with the message, those without have none', async () => {
  const broker = await openTestBroker();
  const client = await connectRaw(broker.port, 5);
  const userProperties = { trace: 'abc', unit: ['K', 'Pa'], constructor: 'x' };
  client.send(
    publishPacket('sensors/a', 'one', 1, 1, { properties: { userProperties } }),
    publishPacket('sensors/a', 'two', 1, 2),
  );
  await client.next('puback');
  await client.next('puback');
  expect(broker.messages.map(({ properties }) => properties && { ...properties })).toEqual([
    userProperties,
    undefined,
  ]);
});

test('messages carry the time at which they arrived', async () => {
  const broker = await openTestBroker();
  const before = Date.now();
  const client = await connectRaw(broker.port);
  client.send(publishPacket('sensors/a', 'one', 1, 1));
  await client.next('puback');
  const [message] = broker.messages;
  expect(message!.receivedAt).toBeGreaterThanOrEqual(before);
  expect(message!.receivedAt).toBeLessThanOrEqual(Date.now());
});

test('a QoS 1 message that is safe reaches subscribers though its publisher is gone', async () => {
  const held = createHeldIngest();
  const { port } = await openTestBroker({ ingest: held.ingest });
  const watcher = await connectRaw(port, 4, { id: 'watcher' });
  watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
  await watcher.next('suback');
  const client = await connectRaw(port);
  client.send(publishPacket('sensors/a', 'one', 1, 1));
  await eventually(() => expect(held.messages).toHaveLength(1));
  client.end();
  await client.gone();
  held.release();
  expect(String((await watcher.next('publish')).payload)).toBe('one');
});

describe('start and stop', () => {
  test('a port that is in use is named', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const options = { listeners: [{ port: 0 }, { port }] };
    await expect(openTestBroker({ options })).rejects.toMatchObject({
      code: 'GW_LISTEN_IN_USE',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    other.close();
  });

  test('an address that is not ours is named', async () => {
    const options = { listeners: [{ port: 0, host: '203.0.113.7' }] };
    await expect(openTestBroker({ options })).rejects.toMatchObject({
      code: 'GW_LISTEN_FAILED',
      message: expect.stringContaining('203.0.113.7:0'),
    });
  });

  test('acknowledgements that are due leave before the connections close', async () => {
    let under = 0;
    const broker = await openTestBroker({
      ingest: async (messages) => {
        under += messages.length;
        await sleep(150);
      },
    });
    const client = await connectRaw(broker.port, 5);
    client.send(publishPacket('sensors/a', 'one', 1, 1), publishPacket('sensors/a', 'two', 2, 2));
    await eventually(() => expect(under).toBe(2));
    const stopped = broker.stop();
    await expect(connectRaw(broker.port)).rejects.toThrow();
    await stopped;
    await client.gone();
    expect(client.received.map(({ cmd }) => cmd)).toEqual([
      ...['connack', 'puback', 'pubrec', 'disconnect'],
    ]);
  });

  test('it stops within a second though messages are never safe and clients do not read', async () => {
    const held = createHeldIngest();
    const broker = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(broker.port, 5);
    const deaf = await connectRaw(broker.port, 5, { id: 'deaf' });
    deaf.socket.pause();
    client.send(publishPacket('sensors/a', 'one', 1, 1));
    await eventually(() => expect(held.messages).toHaveLength(1));
    const start = performance.now();
    await broker.stop();
    expect(performance.now() - start).toBeLessThan(1000);
    await client.gone();
    expect(client.received.map(({ cmd }) => cmd)).not.toContain('puback');
  });

  test('wills are not published when it is the gateway that goes', async () => {
    const broker = await openTestBroker();
    const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 1, retain: false };
    await connectRaw(broker.port, 4, { will });
    await broker.stop();
    expect(broker.messages).toEqual([]);
  });

  test('of tidegate/status it only says that it goes: that it is there, the gateway says', async () => {
    const status = {
      gateway: 'greenhouse-pi',
      version: '1.2.3',
      since: '2026-11-20T14:09:00.000Z',
    };
    const broker = await openTestBroker({ status });
    const client = await connectRaw(broker.port);
    const subscriptions = [{ topic: 'tidegate/status', qos: 0 as const }];
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.next('suback');
    const online = JSON.stringify({ ...status, state: 'online', lag: { 'a/alerts': 0 } });
    await broker.source.publish('tidegate/status', online, { retain: true, qos: 0 });
    expect(String((await client.next('publish')).payload)).toBe(online);
    await broker.stop();
    await client.gone();
    const last = JSON.parse(String((await client.next('publish')).payload));
    expect(last).toEqual({ ...status, state: 'offline', lag: {} });
  });

  test('what is retained before it opens, and while it was closed, is there for those who come', async () => {
    const broker = await openTestBroker();
    await broker.stop();
    await broker.source.publish('tidegate/alerts/a', 'firing', { retain: true, qos: 1 });
    await broker.source.publish('tidegate/commands/a', 'nobody', { retain: false, qos: 1 });
    const ending = new AbortController();
    let ended!: Promise<void>;
    await new Promise<void>((opened) => {
      ended = broker.source.run(async () => {}, ending.signal, opened);
    });
    const client = await connectRaw(broker.source.addresses[0]!.port);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
    const first = await client.next('publish');
    const second = await client.next('publish');
    expect([first.topic, second.topic].sort()).toEqual(['tidegate/alerts/a', 'tidegate/status']);
    ending.abort();
    await ended;
  });

  test('a listener that everybody can reach is warned about, with the remedy', async () => {
    const broker = await openTestBroker({
      options: { listeners: [{ port: 0 }, { port: 0, host: '0.0.0.0' }] },
    });
    const warnings = broker.said.filter(({ level }) => level === 'warn');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]!.message).toContain('127.0.0.1');
    expect(broker.source.addresses).toEqual([
      { host: '127.0.0.1', port: expect.any(Number), transport: 'tcp', tls: false },
      { host: '0.0.0.0', port: expect.any(Number), transport: 'tcp', tls: false },
    ]);
    expect(broker.source.addresses.every(({ port }) => port > 0)).toBe(true);
  });

  test('connected clients are counted', async () => {
    const broker = await openTestBroker();
    const first = await connectRaw(broker.port, 4, { id: 'first' });
    await connectRaw(broker.port, 5, { id: 'second' });
    await eventually(() => expect(broker.source.clients).toBe(2));
    first.end();
    await eventually(() => expect(broker.source.clients).toBe(1));
    const { values } = await broker.metrics.brokerClients.get();
    expect(values[0]!.value).toBe(1);
  });
});
