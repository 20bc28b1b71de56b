import { expect } from 'vitest';
import { field, packet, publishBytes, u16 } from './bytes.ts';
import { promise, type World } from './promise.ts';

async function subscriber(world: World, filter: string, qos: 0 | 1 | 2 = 2) {
  const sub = await world.connect({ id: 'sub' });
  await sub.subscribe(filter, qos);
  return sub;
}

export function publish(): void {
  promise(
    'MQTT-3.3.1-2 MQTT-3.3.1-3 MQTT5-3.3.1-2 MQTT5-3.3.1-3 MQTT-4.3.1-1 MQTT5-4.3.1-1 MQTT-2.3.1-5 MQTT5-2.2.1-2',
    'DUP of what comes in is not passed on, and QoS 0 goes out without DUP and without identifier',
    async (world) => {
      const sub = await subscriber(world, 'a');
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'one', { qos: 0 });
      await pub.publish('a', 'two', { qos: 1, dup: true });
      await pub.publish('a', 'three', { qos: 2, dup: true });
      const got = [await sub.receive(), await sub.receive(), await sub.receive()];
      expect(got.map(({ qos, dup }) => [qos, dup])).toEqual([
        [0, false],
        [1, false],
        [2, false],
      ]);
      expect(got[0]!.bytes).toEqual(
        packet(0x30, field('a'), world.version === 5 ? [0] : [], Buffer.from('one')),
      );
    },
  );

  promise(
    'MQTT-3.3.1-2 MQTT5-3.3.1-2',
    'a QoS 0 message with DUP closes the connection',
    async (world) => {
      const client = await world.connect();
      client.send(publishBytes(world.version, { flags: 8 }));
      await client.refused(0x81);
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-3.3.1-4 MQTT5-3.3.1-4',
    'a PUBLISH with QoS 3 closes the connection',
    async (world) => {
      const client = await world.connect();
      client.send(publishBytes(world.version, { flags: 6, id: 1 }));
      await client.refused(0x81);
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-3.3.2-2 MQTT5-3.3.2-2 MQTT-4.7.1-1 MQTT5-4.7.0-1',
    'a topic with a wildcard closes the connection',
    async (world) => {
      for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a+', '#a']) {
        const client = await world.connect();
        client.send(publishBytes(world.version, { topic }));
        await client.refused(0x81, 0x90);
      }
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-4.7.3-1 MQTT5-4.7.3-1',
    'a topic or a filter without a character closes the connection',
    async (world) => {
      const client = await world.connect();
      client.send(publishBytes(world.version, { topic: '' }));
      await client.refused(world.version === 5 ? 0x82 : 0x90);
      const other = await world.connect();
      other.send({ cmd: 'pingreq' });
      await other.next('pingresp');
      other.send(packet(0x82, u16(1), world.version === 5 ? [0] : [], field(''), [0]));
      await other.closed();
    },
  );

  promise(
    'MQTT-2.3.1-1 MQTT5-2.2.1-3',
    'a packet identifier of zero closes the connection',
    async (world) => {
      const { version } = world;
      for (const flags of [2, 4]) {
        const client = await world.connect();
        client.send(publishBytes(version, { flags, id: 0 }));
        await client.refused(0x81, 0x82);
      }
      const middle = version === 5 ? [0] : [];
      for (const bytes of [
        packet(0x82, u16(0), middle, field('a'), [0]),
        packet(0xa2, u16(0), middle, field('a')),
      ]) {
        const client = await world.connect();
        client.send(bytes);
        await client.refused(0x81, 0x82);
      }
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-2.3.1-2 MQTT-2.3.1-3 MQTT5-2.2.1-3',
    'an identifier is free again after its acknowledgement',
    async (world) => {
      const sub = await subscriber(world, 'a');
      const pub = await world.connect({ id: 'pub' });
      for (const qos of [1, 2, 1, 2] as const) await pub.publish('a', `${qos}`, { qos, id: 5 });
      for (const qos of ['1', '2', '1', '2'])
        expect(String((await sub.receive()).payload)).toBe(qos);
    },
  );

  promise(
    'MQTT-3.3.4-1 MQTT5-3.3.4-1 MQTT-2.3.1-6 MQTT5-2.2.1-5',
    'a message is answered as its QoS asks, with its identifier',
    async (world) => {
      const pub = await world.connect();
      await pub.publish('a', 'x', { qos: 0 });
      await pub.publish('a', 'x', { qos: 1, id: 65_535 });
      await pub.publish('a', 'x', { qos: 2, id: 65_534 });
      pub.send({ cmd: 'pingreq' });
      await pub.next('pingresp');
      expect(world.messages).toHaveLength(3);
    },
  );

  promise(
    'MQTT-3.3.2-3 MQTT5-3.3.2-3',
    'a subscriber gets what matches its filter and nothing else, under its own topic',
    async (world) => {
      const sub = await subscriber(world, 'a/+/c', 0);
      const pub = await world.connect({ id: 'pub' });
      for (const topic of ['a/b/c', 'a/b', 'a/b/c/d', 'a//c', 'A/b/c', '/a/b/c']) {
        await pub.publish(topic, topic, { qos: 1 });
      }
      const topics = (await world.deliveries(sub)).map(({ topic }) => topic);
      expect(topics).toEqual(['a/b/c', 'a//c']);
    },
  );

  promise(
    'MQTT-3.3.5-1 MQTT5-3.3.4-2 MQTT5-3.3.4-3 MQTT5-3.3.4-4',
    'overlapping subscriptions give one copy, at the highest QoS, with every identifier',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      const five = world.version === 5;
      await sub.subscribe({ topic: 'a/#', qos: 0 }, five ? { subscriptionIdentifier: 1 } : {});
      await sub.subscribe({ topic: 'a/+', qos: 2 }, five ? { subscriptionIdentifier: 200 } : {});
      await sub.subscribe({ topic: '+/b', qos: 1 });
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a/b', 'x', { qos: 2 });
      const got = await world.deliveries(sub);
      expect(got.map(({ qos }) => qos)).toEqual([2]);
      if (!five) return;
      const ids = got[0]!.properties!.subscriptionIdentifier as unknown as number[];
      expect([...ids].sort((a, b) => a - b)).toEqual([1, 200]);
    },
  );

  promise(
    'MQTT5-3.3.4-6',
    'a PUBLISH of a client with a subscription identifier is a protocol error',
    async (world) => {
      const client = await world.connect();
      client.send(publishBytes(5, { properties: [[0x0b, 1]] }));
      await client.refused(0x82);
    },
  );

  promise(
    'MQTT-4.6.0-2 MQTT5-4.6.0-2 MQTT-4.6.0-3 MQTT5-4.6.0-3',
    'acknowledgements are in the order of the messages',
    async (world) => {
      const pub = await world.connect();
      const { version } = world;
      const ids = [9, 3, 7, 1, 8];
      pub.send(...ids.map((id) => publishBytes(version, { flags: 2, id, topic: `t/${id}` })));
      for (const id of ids) expect((await pub.next('puback')).messageId).toBe(id);
      pub.send(...ids.map((id) => publishBytes(version, { flags: 4, id, topic: `t/${id}` })));
      for (const id of ids) expect((await pub.next('pubrec')).messageId).toBe(id);
      pub.send(...ids.map((id) => packet(0x62, u16(id))));
      for (const id of ids) expect((await pub.next('pubcomp')).messageId).toBe(id);
    },
  );

  promise(
    'MQTT-4.6.0-5 MQTT-4.6.0-6 MQTT5-4.6.0-5 MQTT5-4.6.0-6',
    'messages of one client, topic and QoS reach every subscriber in their order',
    async (world) => {
      const subs = [await world.connect({ id: 'one' }), await world.connect({ id: 'two' })];
      for (const sub of subs) await sub.subscribe('o/#', 1);
      const pub = await world.connect({ id: 'pub' });
      const count = 200;
      const numbers = Array.from({ length: count }, (_, at) => at + 1);
      const bytes = (id: number, qos: number) =>
        publishBytes(world.version, {
          flags: qos * 2,
          topic: `o/${qos}`,
          payload: `${id}`,
          ...(qos ? { id } : {}),
        });
      for (const id of numbers) pub.send(bytes(id, 0), bytes(id, 1));
      for (const id of numbers) expect((await pub.next('puback')).messageId).toBe(id);
      for (const sub of subs) {
        const got: Record<number, number[]> = { 0: [], 1: [] };
        for (let at = 0; at < 2 * count; at++) {
          const { qos, payload } = await sub.receive();
          got[qos]!.push(Number(payload));
        }
        expect(got).toEqual({ 0: numbers, 1: numbers });
      }
    },
  );
}
