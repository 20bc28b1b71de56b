import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../services/child.ts';
import {
  connectRaw,
  createHeldIngest,
  openTestBroker,
  publishPacket,
  type RawClient,
  stopAll,
} from './harness.ts';
import { packet, properties } from './packet-bytes.ts';

afterEach(stopAll);

const idsOf = (client: RawClient, cmd: 'puback' | 'pubrec' = 'puback'): unknown[] =>
  client.received.filter((found) => found.cmd === cmd).map(({ messageId }) => messageId);

async function subscribe(client: RawClient, topic: string, qos: 0 | 1 | 2 = 0): Promise<void> {
  client.send({ cmd: 'subscribe', messageId: 77, subscriptions: [{ topic, qos }] });
  await client.next('suback');
}

test('nothing is acknowledged before it is safe, and then everything at once and in order', async () => {
  const held = createHeldIngest();
  const { port } = await openTestBroker({ ingest: held.ingest });
  const client = await connectRaw(port);
  const ids = Array.from({ length: 50 }, (_, index) => 50 - index);
  client.send(...ids.map((id) => publishPacket('load/a', `${id}`, 1, id)), { cmd: 'pingreq' });
  await client.next('pingresp');
  await eventually(() => expect(held.messages).toHaveLength(50));
  expect(idsOf(client)).toEqual([]);
  held.release();
  await eventually(() => expect(idsOf(client)).toEqual(ids));
});

test('what can never be safe is not acknowledged: its client is closed, others are not', async () => {
  const held = createHeldIngest();
  const { port } = await openTestBroker({ ingest: held.ingest });
  const client = await connectRaw(port, 4, { id: 'unlucky' });
  const other = await connectRaw(port, 4, { id: 'other' });
  client.send(publishPacket('load/a', 'x', 1, 1));
  await eventually(() => expect(held.messages).toHaveLength(1));
  held.refuse();
  await client.gone();
  expect(idsOf(client)).toEqual([]);
  other.send(publishPacket('load/a', 'x', 1, 2));
  await eventually(() => expect(held.messages).toHaveLength(2));
  held.release();
  await other.next('puback');
});

describe('[MQTT-4.6.0-2] acknowledgements are in the order of their messages', () => {
  test.for([4, 5] as const)('also of those that may not be published (level %i)', async (level) => {
    const { port } = await openTestBroker();
    const client = await connectRaw(port, level);
    const topics = ['a/b', 'tidegate/x', 'a/b', '$SYS/x', '$other', 'a/c'];
    client.send(...topics.map((topic, index) => publishPacket(topic, 'x', 1, index + 1)));
    await eventually(() => expect(idsOf(client)).toEqual([1, 2, 3, 4, 5, 6]));
    const reasons = client.received.flatMap((found) =>
      found.cmd === 'puback' ? [found.reasonCode ?? 0] : [],
    );
    if (level === 5) expect(reasons).toEqual([0, 0x87, 0, 0x87, 0, 0]);
  });

  test('also of those that a subscriber wants, and those that are retained', async () => {
    const { port } = await openTestBroker();
    const subscriber = await connectRaw(port, 4, { id: 'subscriber' });
    await subscribe(subscriber, 'wanted/#');
    const client = await connectRaw(port);
    const ids = Array.from({ length: 60 }, (_, index) => index + 1);
    client.send(
      ...ids.map((id) =>
        publishPacket(id % 3 === 0 ? 'wanted/a' : 'other/a', `${id}`, 1, id, {
          retain: id % 5 === 0,
        }),
      ),
    );
    await eventually(() => expect(idsOf(client)).toEqual(ids));
  });
});

describe('subscribers', () => {
  test.for([0, 1] as const)(
    'get at QoS %i what they want, in order, once it is safe',
    async (qos) => {
      const held = createHeldIngest();
      const { port } = await openTestBroker({ ingest: held.ingest });
      const subscriber = await connectRaw(port, 4, { id: 'subscriber' });
      await subscribe(subscriber, 'wanted/#', 1);
      const client = await connectRaw(port);
      const payloads = Array.from({ length: 20 }, (_, index) => `${index}`);
      client.send(
        ...payloads.map((text, index) => publishPacket('wanted/a', text, qos, index + 1)),
      );
      await eventually(() => expect(held.messages).toHaveLength(20));
      expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
      held.release();
      await eventually(() => {
        const seen = subscriber.received.flatMap((found) =>
          found.cmd === 'publish' ? [String(found.payload)] : [],
        );
        expect(seen).toEqual(payloads);
      });
    },
  );

  test('who comes later gets what comes later, and who has gone is not missed', async () => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port);
    const publish = async (text: string): Promise<void> => {
      client.send(publishPacket('a/b', text, 1, 1));
      await client.next('puback');
    };
    await publish('before');
    const subscriber = await connectRaw(broker.port, 4, { id: 'subscriber' });
    await subscribe(subscriber, 'a/+');
    await publish('between');
    expect(String((await subscriber.next('publish')).payload)).toBe('between');
    subscriber.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/+'] });
    await subscriber.next('unsuback');
    await publish('after');
    await subscribe(subscriber, 'a/b');
    await publish('again');
    expect(String((await subscriber.next('publish')).payload)).toBe('again');
    expect(broker.messages.map(({ payload }) => String(payload))).toEqual([
      ...['before', 'between', 'after', 'again'],
    ]);
  });

  test('get topics the gateway does not record', async () => {
    const broker = await openTestBroker();
    const subscriber = await connectRaw(broker.port, 4, { id: 'subscriber' });
    await subscribe(subscriber, '$other/a');
    const client = await connectRaw(broker.port);
    client.send(publishPacket('$other/a', 'x', 1, 1));
    await client.next('puback');
    expect(String((await subscriber.next('publish')).payload)).toBe('x');
    expect(broker.messages).toEqual([]);
  });

  test('get the properties of MQTT 5, and the gateway the user properties', async () => {
    const broker = await openTestBroker();
    const subscriber = await connectRaw(broker.port, 5, { id: 'subscriber' });
    await subscribe(subscriber, 'a/#');
    const client = await connectRaw(broker.port, 5);
    const given = properties(
      [3],
      'text/plain',
      [8],
      'a/r',
      [9],
      'cd',
      [0x26],
      'n',
      '1',
      [0x26],
      'n',
      '2',
    );
    client.send(packet(0x32, 'a/b', [0, 1], given, [0x78]));
    expect(await subscriber.next('publish')).toMatchObject({
      topic: 'a/b',
      properties: {
        ...{ contentType: 'text/plain', responseTopic: 'a/r', correlationData: Buffer.from('cd') },
        userProperties: { n: ['1', '2'] },
      },
    });
    expect(broker.messages[0]!.properties).toEqual({ n: ['1', '2'] });
  });
});

test('a message whose client has gone is kept and routed all the same', async () => {
  const held = createHeldIngest();
  const broker = await openTestBroker({ ingest: held.ingest });
  const subscriber = await connectRaw(broker.port, 4, { id: 'subscriber' });
  await subscribe(subscriber, 'a/b');
  const client = await connectRaw(broker.port, 4, { id: 'brief' });
  client.send(publishPacket('a/b', 'x', 1, 1));
  await eventually(() => expect(held.messages).toHaveLength(1));
  client.end();
  await eventually(() => expect(broker.source.clients).toBe(1));
  held.release();
  expect(String((await subscriber.next('publish')).payload)).toBe('x');
});
