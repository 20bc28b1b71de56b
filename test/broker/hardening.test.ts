import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../services/child.ts';
import {
  connectPacket,
  connectRaw,
  createFastClock,
  createHeldIngest,
  openRawClient,
  openTestBroker,
  publishPacket,
  type RawClient,
  stopAll,
} from './harness.ts';

afterEach(stopAll);

async function subscribe(client: RawClient, topic: string, qos: 0 | 1 | 2 = 0): Promise<unknown> {
  client.send({ cmd: 'subscribe', messageId: 77, subscriptions: [{ topic, qos }] });
  return (await client.next('suback')).granted;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('names of object properties', () => {
  const names = ['constructor', '__proto__', 'hasOwnProperty', 'toString'];

  test('client identifiers may have them', async () => {
    const { port } = await openTestBroker();
    for (const version of [4, 5] as const) {
      for (const id of names) {
        const client = await connectRaw(port, version, { id });
        client.send(publishPacket('a/b', 'x', 1));
        await client.next('puback');
        client.end();
      }
    }
  });

  test('topic filters may have them', async () => {
    const { port } = await openTestBroker();
    const clients = names.map(async (topic, index) => {
      const client = await connectRaw(port, index % 2 === 0 ? 4 : 5, { id: `c${index}` });
      const subscriptions = ['plain', topic].map((name) => ({ topic: name, qos: 1 as const }));
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
      await client.next('suback');
      client.send(publishPacket(topic, 'x', 1));
      expect((await client.next('publish')).topic).toBe(topic);
      client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [topic] });
      await client.next('unsuback');
    });
    await Promise.all(clients);
    await connectRaw(port);
  });
});

test('a subscription named like a property of objects is new the first time', async () => {
  const { port } = await openTestBroker();
  const client = await connectRaw(port, 5);
  client.send(publishPacket('constructor', 'kept', 1, 1, { retain: true }));
  await client.next('puback');
  // Retain handling 1: retained messages come with a new subscription only [MQTT-3.3.1-10].
  const subscriptions = [{ topic: 'constructor', qos: 0, rh: 1, nl: false, rap: false }] as const;
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [...subscriptions] });
  expect((await client.next('publish')).topic).toBe('constructor');
});

describe('one client among others', () => {
  test('a subscriber that does not read loses messages; nobody waits for it', async () => {
    const bounds = { drainMaxMs: 60_000 };
    const broker = await openTestBroker({ ingest: async () => {}, bounds });
    const slow = await connectRaw(broker.port, 4, { id: 'slow' });
    await subscribe(slow, 'load/#');
    slow.socket.pause();
    const other = await connectRaw(broker.port, 4, { id: 'other' });
    await subscribe(other, 'load/#');
    const publisher = await connectRaw(broker.port, 4, { id: 'publisher' });
    const payload = Buffer.alloc(64 * 2 ** 10);
    // More than the buffers of the system take: only then is anything unsent.
    const count = 320;
    const start = performance.now();
    for (let index = 1; index <= count; index++) {
      publisher.send(publishPacket('load/a', payload, 1, index));
      await publisher.next('puback');
    }
    await eventually(() =>
      expect(other.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(count),
    );
    expect(performance.now() - start).toBeLessThan(15_000);
    expect(await broker.count('brokerDropped', 'slow')).toBeGreaterThan(50);
  });

  test('who floods pings without reading the answers is closed, and holds little', async () => {
    const broker = await openTestBroker({ bounds: { unsentBytes: 64 * 2 ** 10, drainMaxMs: 400 } });
    const client = await connectRaw(broker.port);
    client.socket.pause();
    const pings = Buffer.alloc(2 ** 20, Buffer.from([0xc0, 0]));
    const pour = (): void => {
      while (!client.closed && client.socket.write(pings));
    };
    client.socket.on('drain', pour);
    pour();
    await eventually(async () => expect(await broker.count('brokerRefused', 'slow')).toBe(1));
  });

  test('a client that has much waiting is not read from, and nothing of it is lost', async () => {
    const held = createHeldIngest();
    const { port } = await openTestBroker({ ingest: held.ingest });
    const client = await connectRaw(port);
    const count = 20_000;
    for (let index = 0; index < count; index += 1000) {
      const part = Array.from({ length: 1000 }, (_, offset) =>
        publishPacket('load/a', `${index + offset}`),
      );
      client.send(...part);
    }
    await eventually(() => expect(held.messages).toHaveLength(1000));
    const other = await connectRaw(port, 4, { id: 'other' });
    other.send(publishPacket('a/b', 'x', 1));
    await eventually(() => expect(held.messages).toHaveLength(1001));
    await eventually(() => {
      held.release();
      expect(held.messages).toHaveLength(count + 1);
    });
    const load = held.messages.filter(({ topic }) => topic === 'load/a');
    expect(load.map(({ payload }) => Number(String(payload)))).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );
  });

  test('what all clients have waiting together is bounded', async () => {
    const held = createHeldIngest();
    const bounds = { totalMessages: 100 };
    const { port } = await openTestBroker({ ingest: held.ingest, bounds });
    const clients = await Promise.all(
      ['a', 'b', 'c'].map(async (id) => await connectRaw(port, 4, { id })),
    );
    const total = 600;
    for (const client of clients) {
      for (let part = 0; part < 10; part++) {
        const packets = Array.from({ length: 20 }, () => publishPacket('load/a', 'x'));
        client.send(...packets);
        client.send({ cmd: 'pingreq' });
      }
    }
    await eventually(() => expect(held.messages.length).toBeGreaterThanOrEqual(100));
    const late = await connectRaw(port, 4, { id: 'late' });
    late.send(publishPacket('a/b', 'x'), { cmd: 'pingreq' });
    expect(held.messages.length).toBeLessThan(300);
    await eventually(() => {
      held.release();
      expect(held.messages).toHaveLength(total + 1);
    });
    await late.next('pingresp');
  });

  test('a client that is too fast is slowed down, and nothing of it is lost', async () => {
    const broker = await openTestBroker({ options: { limits: { messagesPerSecond: 200 } } });
    const client = await connectRaw(broker.port);
    const start = performance.now();
    const packets = Array.from({ length: 400 }, (_, index) => publishPacket('load/a', `${index}`));
    client.send(...packets);
    await eventually(() => expect(broker.messages).toHaveLength(400));
    const seconds = (performance.now() - start) / 1000;
    expect(seconds).toBeGreaterThan(0.9);
    expect(seconds).toBeLessThan(10);
    expect(broker.messages.map(({ payload }) => Number(String(payload)))).toEqual(
      packets.map((_, index) => index),
    );
  });

  test('messages sent right behind the CONNECT are taken, however many', async () => {
    const broker = await openTestBroker();
    const client = await openRawClient(broker.port);
    const packets = Array.from({ length: 500 }, (_, index) =>
      publishPacket('load/a', `${index}`, 1, index + 1),
    );
    client.send(connectPacket(4), ...packets);
    await client.next('connack');
    await eventually(() => {
      expect(client.received.filter(({ cmd }) => cmd === 'puback')).toHaveLength(500);
    });
  });
});

describe('QoS 2', () => {
  test('what a client leaves open takes no memory for payloads', async () => {
    const { port } = await openTestBroker({ ingest: async () => {} });
    const client = await connectRaw(port);
    const memory = (): number => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const before = memory();
    const payload = Buffer.alloc(16 * 2 ** 10);
    for (let index = 0; index < 4000; index += 100) {
      const part = Array.from({ length: 100 }, (_, offset) =>
        publishPacket('load/a', payload, 2, index + offset + 1),
      );
      client.send(...part);
      await eventually(() =>
        expect(client.received.filter(({ cmd }) => cmd === 'pubrec')).toHaveLength(index + 100),
      );
    }
    // 64 MB have come, and are held if anything holds them.
    await eventually(() => expect(memory() - before).toBeLessThan(16e6), 4000);
  });

  test.for([4, 5] as const)('a repeat on a new connection is known (level %i)', async (version) => {
    const broker = await openTestBroker();
    const session =
      version === 5
        ? { clean: false, properties: { sessionExpiryInterval: 60 } }
        : { clean: false };
    const first = await connectRaw(broker.port, version, session);
    first.send(publishPacket('a/b', 'one', 2, 1));
    await first.next('pubrec');
    first.end();
    await eventually(() => expect(broker.source.clients).toBe(0));

    const second = await openRawClient(broker.port, version);
    second.send(connectPacket(version, session));
    expect((await second.next('connack')).sessionPresent).toBe(true);
    second.send(publishPacket('a/b', 'one', 2, 1, { dup: true }));
    await second.next('pubrec');
    second.send({ cmd: 'pubrel', messageId: 1 });
    await second.next('pubcomp');
    expect(broker.messages).toHaveLength(1);
  });

  test('a QoS 2 message that comes again without DUP, as MQTT.js sends it, is the same message', async () => {
    const broker = await openTestBroker();
    for (const _ of [1, 2, 3]) {
      const client = await connectRaw(broker.port, 4, { clean: false });
      client.send(publishPacket('a/b', 'one', 2, 1));
      await client.next('pubrec');
      client.end();
      await eventually(() => expect(broker.source.clients).toBe(0));
    }
    expect(broker.messages.map(({ payload }) => String(payload))).toEqual(['one']);
  });

  test('a device that has lost its memory and begins at 1 again is heard', async () => {
    const broker = await openTestBroker();
    const first = await connectRaw(broker.port, 4, { clean: false });
    first.send(publishPacket('a/b', 'one', 2, 1));
    await first.next('pubrec');
    first.end();
    await eventually(() => expect(broker.source.clients).toBe(0));
    const rebooted = await connectRaw(broker.port, 4, { clean: false });
    rebooted.send(publishPacket('a/b', 'two', 2, 1));
    await rebooted.next('pubrec');
    rebooted.end();
    await eventually(() => expect(broker.source.clients).toBe(0));
    const afresh = await connectRaw(broker.port, 4, { clean: true });
    afresh.send(publishPacket('a/b', 'three', 2, 1, { dup: true }));
    await afresh.next('pubrec');
    expect(broker.messages.map(({ payload }) => String(payload))).toEqual(['one', 'two', 'three']);
  });
});

describe('sessions and retained messages', () => {
  test('what waits for a subscriber that is away is bounded, and what it misses is counted', async () => {
    const broker = await openTestBroker({ options: { limits: { queuedMessages: 5 } } });
    const subscriber = await connectRaw(broker.port, 4, { id: 'away', clean: false });
    await subscribe(subscriber, 'load/#', 1);
    subscriber.send({ cmd: 'disconnect' });
    await subscriber.gone();
    const publisher = await connectRaw(broker.port, 4, { id: 'publisher' });
    for (let index = 1; index <= 8; index++) {
      publisher.send(publishPacket('load/a', `${index}`, 1, index));
      await publisher.next('puback');
    }
    const back = await connectRaw(broker.port, 4, { id: 'away', clean: false });
    for (let index = 4; index <= 8; index++) {
      expect(String((await back.next('publish')).payload)).toBe(`${index}`);
    }
    expect(await broker.count('brokerDropped', 'queue_full')).toBe(3);
    publisher.send(publishPacket('load/a', 'live', 1, 9));
    expect(String((await back.next('publish')).payload)).toBe('live');
  });

  test('what was not acknowledged comes again, marked as a repeat', async () => {
    const { port } = await openTestBroker();
    const subscriber = await connectRaw(port, 4, { id: 'away', clean: false });
    await subscribe(subscriber, 'load/#', 1);
    const publisher = await connectRaw(port, 4, { id: 'publisher' });
    publisher.send(publishPacket('load/a', 'one', 1, 1));
    const first = await subscriber.next('publish');
    subscriber.end();
    const back = await connectRaw(port, 4, { id: 'away', clean: false });
    const second = await back.next('publish');
    expect([first.dup, second.dup]).toEqual([false, true]);
    expect(second.messageId).toBe(first.messageId);
    back.send({ cmd: 'puback', messageId: second.messageId! });
    back.send({ cmd: 'pingreq' });
    await back.next('pingresp');
    back.end();
    const last = await connectRaw(port, 4, { id: 'away', clean: false });
    last.send({ cmd: 'pingreq' });
    await last.next('pingresp');
    expect(last.received.map(({ cmd }) => cmd)).not.toContain('publish');
  });

  test('a subscription is never served at a higher QoS than it was granted', async () => {
    const { port } = await openTestBroker();
    const publisher = await connectRaw(port, 4, { id: 'publisher' });
    publisher.send(publishPacket('a/b', 'kept', 1, 1, { retain: true }));
    await publisher.next('puback');
    const none = await connectRaw(port, 4, { id: 'none' });
    await subscribe(none, 'a/+', 0);
    expect((await none.next('publish')).qos).toBe(0);
    const once = await connectRaw(port, 4, { id: 'once' });
    await subscribe(once, '#', 1);
    publisher.send(publishPacket('a/c', 'live', 2, 2));
    await publisher.next('pubrec');
    await eventually(() => {
      const live = once.received.find(
        (packet) => packet.cmd === 'publish' && packet.topic === 'a/c',
      );
      expect(live).toMatchObject({ qos: 1 });
    });
  });

  test('retained messages are found under topics that end in an empty level', async () => {
    const { port } = await openTestBroker();
    const client = await connectRaw(port);
    client.send(publishPacket('a/b/', 'x', 1, 1, { retain: true }));
    await client.next('puback');
    await subscribe(client, 'a/b/+');
    expect(await client.next('publish')).toMatchObject({ topic: 'a/b/', retain: true });
  });

  test('subscriptions of one client are bounded', async () => {
    const broker = await openTestBroker({ bounds: { clientSubscriptions: 3 } });
    const client = await connectRaw(broker.port);
    for (const [index, granted] of [0, 0, 0, 0x80].entries()) {
      expect(await subscribe(client, `a/${index}`)).toEqual([granted]);
    }
    expect(await subscribe(client, 'a/0')).toEqual([0]);
    expect(await broker.count('brokerRefused', 'subscribe_denied')).toBe(1);
  });

  test('a client that connects twice is disconnected the first time', async () => {
    const { port } = await openTestBroker();
    const first = await connectRaw(port, 5, { id: 'twin' });
    const second = await connectRaw(port, 5, { id: 'twin' });
    expect((await first.next('disconnect')).reasonCode).toBe(0x8e);
    await first.gone();
    second.send(publishPacket('a/b', 'x', 1));
    await second.next('puback');
  });
});

describe('time', () => {
  test('a client that is silent for 1.5 times its keep-alive is closed, and its will published', async () => {
    const broker = await openTestBroker({ clock: createFastClock(10) });
    const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 1, retain: false };
    const silent = await connectRaw(broker.port, 5, { id: 'silent', keepalive: 5, will });
    const alive = await connectRaw(broker.port, 5, { id: 'alive', keepalive: 5 });
    const start = performance.now();
    while (!silent.closed) {
      alive.send({ cmd: 'pingreq' });
      await alive.next('pingresp');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(performance.now() - start).toBeGreaterThan(600);
    expect((await silent.next('disconnect')).reasonCode).toBe(0x8d);
    await eventually(() => expect(broker.messages.map(({ topic }) => topic)).toEqual(['state/a']));
    expect(alive.closed).toBe(false);
  });

  test('a client whose messages wait is not held to be silent', async () => {
    const held = createHeldIngest();
    const bounds = { clientMessages: 10 };
    const broker = await openTestBroker({
      ...{ clock: createFastClock(10), bounds, ingest: held.ingest },
    });
    const client = await connectRaw(broker.port, 4, { keepalive: 2 });
    const packets = Array.from({ length: 20 }, (_, index) =>
      publishPacket('a/b', `${index}`, 1, index + 1),
    );
    client.send(...packets, { cmd: 'pingreq' });
    await eventually(() => expect(held.messages).toHaveLength(10));
    await createFastClock(10).sleep(10_000);
    expect(client.closed).toBe(false);
    held.release();
    await client.next('pingresp');
  });
});
