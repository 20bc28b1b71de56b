import type { IConnackPacket } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { Incoming } from '../../src/broker/incoming.ts';
import { eventually } from '../services/child.ts';
import { connectKept, payloads, publish, subscribe, unsubscribe } from './delivery-clients.ts';
import {
  type ConnectOptions,
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

async function connack(
  port: number,
  version: 3 | 4 | 5,
  options: ConnectOptions,
): Promise<[RawClient, IConnackPacket]> {
  const client = await openRawClient(port, version);
  client.send(connectPacket(version, options));
  return [client, await client.next('connack')];
}

function will(payload: string, willDelayInterval = 0) {
  const properties = { willDelayInterval };
  return { topic: 'state/a', payload: Buffer.from(payload), qos: 1, retain: false, properties };
}

describe('the answer to CONNECT', () => {
  test('says what the broker takes and has, and what it has chosen', async () => {
    const { port } = await openTestBroker({ options: { limits: { packetBytes: '64KiB' } } });
    const properties = { sessionExpiryInterval: 0xffff_ffff, requestResponseInformation: true };
    const [, { properties: told }] = await connack(port, 5, { id: '', properties });
    expect(told).toMatchObject({
      ...{ receiveMaximum: 5000, maximumPacketSize: 65_536, topicAliasMaximum: 16 },
      ...{ wildcardSubscriptionAvailable: true, subscriptionIdentifiersAvailable: true },
      ...{ sharedSubscriptionAvailable: true, sessionExpiryInterval: 90 * 86_400 },
    });
    const { assignedClientIdentifier, responseInformation } = told!;
    expect(responseInformation).toBe(`$response/${assignedClientIdentifier}`);
    const [, other] = await connack(port, 5, {
      id: 'own',
      properties: { sessionExpiryInterval: 9 },
    });
    for (const name of [
      'assignedClientIdentifier',
      'responseInformation',
      'sessionExpiryInterval',
    ]) {
      expect(other.properties).not.toHaveProperty(name);
    }
  });

  test('says whether the session was there before [MQTT-3.2.2-2]', async () => {
    const { port } = await openTestBroker();
    const present = async (
      version: 3 | 4 | 5,
      clean: boolean,
      expiry: number,
    ): Promise<boolean> => {
      const properties = version === 5 ? { sessionExpiryInterval: expiry } : {};
      const [client, { sessionPresent }] = await connack(port, version, { clean, properties });
      client.end();
      return sessionPresent;
    };
    // Without subscriptions, too.
    expect(await present(4, false, 0)).toBe(false);
    expect(await present(4, false, 0)).toBe(true);
    expect(await present(5, false, 60)).toBe(true);
    expect(await present(5, true, 60)).toBe(false);
    expect(await present(5, false, 0)).toBe(true);
    expect(await present(5, false, 60)).toBe(false);
    expect(await present(4, true, 0)).toBe(false);
    expect(await present(4, false, 0)).toBe(false);
  });

  test.for([4, 5] as const)(
    'of many with one identifier the last stays (level %i)',
    async (version) => {
      const broker = await openTestBroker();
      const clients = await Promise.all(
        Array.from({ length: 8 }, async () => await openRawClient(broker.port, version)),
      );
      for (const client of clients)
        client.send(connectPacket(version, { id: 'twin', clean: false }));
      await eventually(() => {
        expect(clients.filter(({ closed }) => !closed)).toHaveLength(1);
        expect(broker.source.clients).toBe(1);
      });
      const last = clients.find(({ closed }) => !closed)!;
      await subscribe(last, 'a', 1);
      await publish(last, 'a', 'x');
      expect(await payloads(last)).toEqual(['x']);
    },
  );
});

describe('a session', () => {
  test('ends when its time is over, and not before', async () => {
    const { port } = await openTestBroker({ clock: createFastClock(20) });
    const properties = { sessionExpiryInterval: 20 };
    const first = await connectKept(port, 'a', properties);
    await subscribe(first, 'a', 1);
    first.end();
    const [second, { sessionPresent }] = await connack(port, 5, {
      id: 'a',
      clean: false,
      properties,
    });
    expect(sessionPresent).toBe(true);
    second.end();
    await createFastClock(20).sleep(22_000);
    const [, third] = await connack(port, 5, { id: 'a', clean: false, properties });
    expect(third.sessionPresent).toBe(false);
  });

  test('is kept as long as the DISCONNECT says', async () => {
    const { port } = await openTestBroker();
    const first = await connectKept(port, 'a');
    first.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
    await first.gone();
    const [, { sessionPresent }] = await connack(port, 5, { id: 'a', clean: false });
    expect(sessionPresent).toBe(false);
  });

  test('that was away longest goes when there are too many, and what it misses is counted', async () => {
    const broker = await openTestBroker({
      bounds: { sessionsPerConnection: 1 },
      options: { limits: { connections: 3 } },
    });
    for (const id of ['a', 'b']) {
      const client = await connectKept(broker.port, id);
      await subscribe(client, 'x', 1);
      client.end();
      await eventually(() => expect(broker.source.clients).toBe(0));
    }
    const writer = await connectRaw(broker.port, 4, { id: 'writer' });
    await publish(writer, 'x', 'one');
    const [late] = await connack(broker.port, 5, { id: 'late', clean: false });
    expect(await broker.count('brokerDropped', 'session_evicted')).toBe(1);
    late.end();
    await eventually(() => expect(broker.source.clients).toBe(1));
    const [, { sessionPresent }] = await connack(broker.port, 5, { id: 'b', clean: false });
    expect(sessionPresent).toBe(true);
  });

  test('says which subscriptions there were none of, and which are too many', async () => {
    const { port } = await openTestBroker({ bounds: { clientSubscriptions: 2, topicLevels: 4 } });
    const client = await connectRaw(port, 5);
    const asked = ['a', 'b', 'c', 'a'].map((topic) => ({ topic, qos: 1 as const }));
    expect(await subscribe(client, asked)).toEqual([1, 1, 0x97, 1]);
    expect(await subscribe(client, '1/2/3/4/5')).toEqual([0x8f]);
    expect(await unsubscribe(client, 'a', 'c')).toEqual([0, 0x11]);
    const older = await connectRaw(port, 4, { id: 'older' });
    expect(await subscribe(older, asked)).toEqual([1, 1, 0x80, 1]);
  });

  test('that is over takes with it what was asked in its name', async () => {
    const held = createHeldIngest();
    const { port, source } = await openTestBroker({ ingest: held.ingest });
    const hasty = await connectRaw(port, 4, { id: 'hasty' });
    hasty.send(publishPacket('a', 'x', 1, 1, { retain: true }), {
      ...{ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'left/behind', qos: 1 }] },
    });
    // The SUBSCRIBE is answered behind the message, which is not safe yet.
    await eventually(() => expect(held.messages).toHaveLength(1));
    hasty.end();
    await eventually(() => expect(source.clients).toBe(0));
    held.release();
    const watcher = await connectRaw(port, 4, { id: 'watcher' });
    await subscribe(watcher, '$SYS/broker/subscriptions/count');
    await eventually(async () => expect((await payloads(watcher)).at(-1)).toBe('1'));
  });
});

describe('a will', () => {
  test('is sent when the client goes without a word or asks for it, and not when it says goodbye', async () => {
    const broker = await openTestBroker();
    const reader = await connectRaw(broker.port, 5, { id: 'reader' });
    await subscribe(reader, 'state/#', 1);
    const lost = await connectRaw(broker.port, 5, { id: 'lost', will: will('lost') });
    const asks = await connectRaw(broker.port, 5, { id: 'asks', will: will('asked') });
    const leaves = await connectRaw(broker.port, 5, { id: 'leaves', will: will('left') });
    leaves.send({ cmd: 'disconnect', reasonCode: 0 });
    await leaves.gone();
    asks.send({ cmd: 'disconnect', reasonCode: 4 });
    await asks.gone();
    await eventually(async () => expect(await payloads(reader)).toEqual(['asked']));
    lost.end();
    await eventually(async () => expect(await payloads(reader)).toEqual(['asked', 'lost']));
    expect(broker.messages.map(({ payload }) => String(payload))).toEqual(['asked', 'lost']);
  });

  test('waits for its delay, is taken back by a return, and sent when the session ends', async () => {
    const { port } = await openTestBroker({ clock: createFastClock(20) });
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await subscribe(reader, 'state/#', 1);
    const open = async (id: string, willText: string, clean = false) =>
      await connectRaw(port, 5, {
        ...{ id, clean, will: will(willText, 20) },
        properties: { sessionExpiryInterval: 100 },
      });
    (await open('returns', 'never')).end();
    await open('returns', 'never');
    (await open('cleans', 'ended')).end();
    await connectRaw(port, 5, { id: 'cleans' });
    await eventually(async () => expect(await payloads(reader)).toEqual(['ended']));
    (await open('stays', 'late')).end();
    await createFastClock(20).sleep(5000);
    expect(await payloads(reader)).toEqual(['ended']);
    await eventually(async () => expect(await payloads(reader)).toEqual(['ended', 'late']));
  });

  test('of a session that is taken over is sent unless it has a delay', async () => {
    const { port } = await openTestBroker();
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await subscribe(reader, 'state/#', 1);
    await connectKeptWith(port, 'at-once', 0);
    await connectKeptWith(port, 'at-once', 0);
    await connectKeptWith(port, 'delayed', 60);
    await connectKeptWith(port, 'delayed', 60);
    await eventually(async () => expect(await payloads(reader)).toEqual(['at-once']));
  });
});

async function connectKeptWith(port: number, id: string, delay: number): Promise<RawClient> {
  const properties = { sessionExpiryInterval: 100 };
  return await connectRaw(port, 5, { id, clean: false, properties, will: will(id, delay) });
}

test('packet identifiers that are open take one bit each', () => {
  const incoming = new Incoming();
  for (let id = 1; id <= 65_535; id++) expect(incoming.arrive(id, false)).toBe(true);
  expect(incoming.count).toBe(65_535);
  expect(incoming.arrive(40_000, false)).toBe(false);
  for (let id = 1; id <= 65_535; id++) expect(incoming.release(id)).toBe(true);
  expect([incoming.count, incoming.release(1)]).toEqual([0, false]);
  expect(incoming.arrive(40_000, false)).toBe(true);
});
