import { expect } from 'vitest';
import { field, packet, subscribeBytes, u16, unsubscribeBytes } from './bytes.ts';
import { promise, type World } from './promise.ts';

const noProperties = (version: number): number[] => (version === 5 ? [0] : []);

async function refuses(world: World, bytes: Uint8Array, reason: number): Promise<void> {
  const client = await world.connect();
  client.send(bytes);
  await client.refused(reason);
}

export function subscribe(): void {
  promise(
    'MQTT-3.8.1-1 MQTT5-3.8.1-1 MQTT-3.10.1-1 MQTT5-3.10.1-1',
    'other flags in SUBSCRIBE or UNSUBSCRIBE close the connection',
    async (world) => {
      for (const flags of [0, 1, 3, 6, 10, 15]) {
        await refuses(world, subscribeBytes(world.version, ['a'], { first: 0x80 | flags }), 0x81);
        await refuses(world, unsubscribeBytes(world.version, ['a'], { first: 0xa0 | flags }), 0x81);
      }
    },
  );

  promise(
    'MQTT-3.8.3-3 MQTT5-3.8.3-2 MQTT-3.10.3-2 MQTT5-3.10.3-2',
    'SUBSCRIBE or UNSUBSCRIBE without a filter closes the connection',
    async (world) => {
      await refuses(world, packet(0x82, u16(1), noProperties(world.version)), 0x82);
      await refuses(world, packet(0xa2, u16(1), noProperties(world.version)), 0x82);
    },
  );

  promise(
    'MQTT-3.8.3-4 MQTT5-3.8.3-5',
    'reserved bits of the subscription options, or QoS 3, close the connection',
    async (world) => {
      const wrong = world.version === 5 ? [0x40, 0x80] : [0x04, 0x08, 0x10, 0x40, 0x80, 0x03];
      for (const options of wrong) {
        await refuses(world, subscribeBytes(world.version, ['a'], { options }), 0x81);
      }
    },
  );

  promise(
    'MQTT5-3.8.3-5',
    'retain handling 3 is a protocol error',
    async (world) => await refuses(world, subscribeBytes(5, ['a'], { options: 0x30 }), 0x82),
  );

  promise(
    'MQTT-3.8.4-1 MQTT-3.8.4-2 MQTT-3.8.4-4 MQTT-3.8.4-5 MQTT-3.9.3-1 MQTT-3.9.3-2 MQTT-2.3.1-7 MQTT5-3.8.4-1 MQTT5-3.8.4-2 MQTT5-3.8.4-5 MQTT5-3.8.4-6 MQTT5-3.8.4-7 MQTT5-3.9.3-1 MQTT5-3.9.3-2 MQTT5-2.2.1-6',
    'SUBSCRIBE gets one SUBACK, with its identifier and the granted QoS of each filter in order',
    async (world) => {
      const client = await world.connect();
      const filters = ['a', 'b/#', '+', 'c', '#'];
      const parts = filters.map((filter, at) => Buffer.concat([field(filter), Buffer.of(at % 3)]));
      client.send(packet(0x82, u16(0xabcd), noProperties(world.version), ...parts));
      const suback = await client.next('suback');
      expect([suback.messageId, suback.granted]).toEqual([0xabcd, [0, 1, 2, 0, 1]]);
    },
  );

  promise(
    'MQTT-3.8.4-6 MQTT5-3.8.4-8',
    'a message is delivered with the lower of its QoS and the granted QoS',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      for (const granted of [0, 1, 2] as const) {
        const sub = await world.connect({ id: 'sub' });
        await sub.subscribe('a', granted);
        for (const qos of [0, 1, 2] as const) {
          await pub.publish('a', 'x', { qos });
          expect((await sub.receive()).qos).toBe(Math.min(qos, granted));
        }
      }
    },
  );

  promise(
    'MQTT-3.8.4-3 MQTT5-3.8.4-3 MQTT5-3.8.4-4',
    'subscribing again replaces the subscription, sends what is retained again, and loses nothing',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'retained', { qos: 1, retain: true });
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('a', 2);
      await sub.receive();
      const count = 50;
      const publishing = (async () => {
        for (let at = 0; at < count; at++) await pub.publish('a', `${at}`, { qos: 1 });
      })();
      expect(await sub.subscribe('a', 1)).toEqual([1]);
      await publishing;
      const got = (await world.deliveries(sub)).map(({ payload }) => String(payload));
      expect(got.filter((each) => each === 'retained')).toHaveLength(1);
      const numbers = Array.from({ length: count }, (_, at) => `${at}`);
      expect(got.filter((each) => each !== 'retained')).toEqual(numbers);
      await pub.publish('a', 'two', { qos: 2 });
      expect(await world.deliveries(sub)).toMatchObject([{ qos: 1 }]);
    },
  );

  promise(
    'MQTT5-3.8.3-3',
    'with no local, a client gets what others publish and not what it publishes itself',
    async (world) => {
      const client = await world.connect({ id: 'self' });
      await client.subscribe({ topic: 'a', qos: 1, nl: true });
      const other = await world.connect({ id: 'other' });
      for (const qos of [0, 1, 2] as const) {
        await client.publish('a', 'own', { qos });
        await other.publish('a', 'other', { qos });
      }
      const got = (await world.deliveries(client)).map(({ payload }) => String(payload));
      expect(got).toEqual(['other', 'other', 'other']);
      await client.subscribe({ topic: 'a', qos: 1, nl: false });
      await client.publish('a', 'own', { qos: 0 });
      expect(await world.deliveries(client)).toHaveLength(1);
    },
  );

  promise(
    'MQTT-3.10.4-1 MQTT5-3.10.4-1',
    'UNSUBSCRIBE ends exactly the subscription with that filter',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe([{ topic: 'a/+' }, { topic: 'a/b' }, { topic: 'A/b' }]);
      await sub.unsubscribe('a/#', 'a/b', 'a/+/');
      const pub = await world.connect({ id: 'pub' });
      for (const topic of ['a/b', 'a/c', 'A/b']) await pub.publish(topic, 'x', { qos: 1 });
      const topics = (await world.deliveries(sub)).map(({ topic }) => topic);
      expect(topics).toEqual(['a/b', 'a/c', 'A/b']);
      await sub.unsubscribe('a/+');
      for (const topic of ['a/b', 'a/c', 'A/b']) await pub.publish(topic, 'x', { qos: 1 });
      expect((await world.deliveries(sub)).map(({ topic }) => topic)).toEqual(['A/b']);
    },
  );

  promise(
    'MQTT-3.10.4-2 MQTT-3.10.4-3 MQTT5-3.10.4-2 MQTT5-3.10.4-3',
    'after UNSUBSCRIBE nothing new comes, and what was begun is completed',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a', 2);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'one', { qos: 1 });
      await pub.publish('a', 'two', { qos: 2 });
      const [one, two] = [await sub.take('publish'), await sub.take('publish')];
      await sub.unsubscribe('a');
      await pub.publish('a', 'three', { qos: 2 });
      expect(await world.deliveries(sub)).toEqual([]);
      await sub.vanish();
      const again = await world.connectKept('sub');
      const left = [await again.take('publish'), await again.take('publish')];
      expect(left.map(({ messageId }) => messageId)).toEqual([one.messageId, two.messageId]);
      again.send({ cmd: 'puback', messageId: one.messageId });
      again.send({ cmd: 'pubrec', messageId: two.messageId });
      again.send({ cmd: 'pubcomp', messageId: (await again.take('pubrel')).messageId });
      expect(await world.deliveries(again)).toEqual([]);
    },
  );

  promise(
    'MQTT-3.10.4-4 MQTT-3.10.4-5 MQTT-3.10.4-6 MQTT-2.3.1-7 MQTT5-3.10.4-4 MQTT5-3.10.4-5 MQTT5-3.10.4-6 MQTT5-3.11.3-1 MQTT5-3.11.3-2 MQTT5-2.2.1-6',
    'UNSUBSCRIBE gets one UNSUBACK with its identifier, and with MQTT 5 a code for each filter',
    async (world) => {
      const client = await world.connect();
      await client.subscribe([{ topic: 'a' }, { topic: 'b' }]);
      client.send(unsubscribeBytes(world.version, ['a', 'none', 'b'], { id: 0x1234 }));
      const middle = world.version === 5 ? [0, 0, 0x11, 0] : [];
      expect((await client.next('unsuback')).bytes).toEqual(packet(0xb0, u16(0x1234), middle));
      client.send(unsubscribeBytes(world.version, ['none'], { id: 0x1235 }));
      expect((await client.next('unsuback')).messageId).toBe(0x1235);
    },
  );
}
