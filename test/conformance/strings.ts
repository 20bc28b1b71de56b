import { expect } from 'vitest';
import {
  connectBytes,
  field,
  packet,
  properties,
  publishBytes,
  subscribeBytes,
  u16,
  unsubscribeBytes,
  userProperty,
} from './bytes.ts';
import { promise, type World } from './promise.ts';

/** A lone surrogate, an overlong form, a byte that never occurs, an end that is missing, beyond U+10FFFF. */
const illFormed = [
  [0x61, 0xed, 0xa0, 0x80],
  [0xc0, 0xaf],
  [0xff],
  [0x61, 0xe2, 0x82],
  [0xf4, 0x90, 0x80, 0x80],
].map((bytes) => Uint8Array.from(bytes));

/** What the broker does with a client that sends this after CONNACK. */
async function refuses(world: World, bytes: Uint8Array, reason = 0x81): Promise<void> {
  const client = await world.connect();
  client.send(bytes);
  await client.refused(reason);
}

/** A CONNECT with this is not answered with success. */
async function turnsAway(world: World, bytes: Uint8Array): Promise<void> {
  const client = await world.open();
  client.send(bytes);
  await client.closed();
  for (const { cmd, returnCode, reasonCode } of client.pending as {
    cmd: string;
    returnCode?: number;
    reasonCode?: number;
  }[]) {
    expect([cmd, world.version]).toEqual(['connack', 5]);
    expect(reasonCode ?? returnCode).toBeGreaterThanOrEqual(0x80);
  }
}

export function strings(): void {
  promise(
    'MQTT-1.5.3-1 MQTT5-1.5.4-1 MQTT-3.3.2-1 MQTT5-3.3.2-1',
    'a topic that is not well-formed UTF-8 closes the connection',
    async (world) => {
      for (const topic of illFormed) await refuses(world, publishBytes(world.version, { topic }));
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-3.8.3-1 MQTT5-3.8.3-1 MQTT-3.10.3-1 MQTT5-3.10.3-1',
    'a filter that is not well-formed UTF-8 closes the connection',
    async (world) => {
      for (const filter of illFormed) {
        await refuses(world, subscribeBytes(world.version, [filter]));
        await refuses(world, unsubscribeBytes(world.version, [filter]));
      }
    },
  );

  promise(
    'MQTT-3.1.3-4 MQTT5-3.1.3-4',
    'a client identifier that is not well-formed UTF-8 is turned away',
    async (world) => {
      for (const id of illFormed) {
        await turnsAway(world, connectBytes(world.version, { payload: [field(id)] }));
      }
    },
  );

  promise(
    'MQTT-3.1.3-10 MQTT5-3.1.3-11 MQTT-3.1.3-11 MQTT5-3.1.3-12',
    'a will topic or a user name that is not well-formed UTF-8 is turned away',
    async (world) => {
      const willProperties = world.version === 5 ? [0] : [];
      for (const bad of illFormed) {
        const will = [field('c'), willProperties, field(bad), field('gone')];
        await turnsAway(world, connectBytes(world.version, { flags: 6, payload: will }));
        const named = { flags: 0x82, payload: [field('c'), field(bad)] };
        await turnsAway(world, connectBytes(world.version, named));
      }
    },
  );

  promise(
    'MQTT-1.5.3-2 MQTT5-1.5.4-2 MQTT-4.7.3-2 MQTT5-4.7.3-2',
    'U+0000 in a topic, a filter or a client identifier closes the connection',
    async (world) => {
      const { version } = world;
      await refuses(world, publishBytes(version, { topic: 'a\0b' }));
      await refuses(world, subscribeBytes(version, ['a\0b']));
      await refuses(world, unsubscribeBytes(version, ['a\0b']));
      await turnsAway(world, connectBytes(version, { payload: [field('a\0b')] }));
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-1.5.3-3 MQTT5-1.5.4-3',
    'U+FEFF is a character like any other, wherever it is',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe([{ topic: '\ufeffa' }, { topic: 'b\ufeff/c' }]);
      const pub = await world.connect({ id: 'pub' });
      for (const topic of ['a', '\ufeffa', 'b/c', 'b\ufeff/c'])
        await pub.publish(topic, 'x', { qos: 1 });
      const got = await world.deliveries(sub);
      expect(got.map(({ topic }) => topic)).toEqual(['\ufeffa', 'b\ufeff/c']);
      expect(got[0]!.bytes.includes(Buffer.from([0xef, 0xbb, 0xbf, 0x61]))).toBe(true);
    },
  );

  promise(
    'MQTT5-1.5.5-1',
    'a variable byte integer longer than it needs to be is malformed',
    async (world) => {
      await refuses(world, Buffer.of(0xc0, 0x80, 0x00));
      await refuses(world, packet(0x30, field('a'), [0x80, 0x00], Buffer.from('x')));
      const longId = [0x0b, 0x81, 0x00];
      await refuses(world, packet(0x82, u16(1), properties(longId), field('a'), [0]));
    },
  );

  promise(
    'MQTT5-1.5.7-1',
    'both strings of a user property are UTF-8, or the packet is malformed',
    async (world) => {
      for (const bad of illFormed) {
        for (const pair of [userProperty(bad, 'x'), userProperty('x', bad)]) {
          await refuses(world, publishBytes(5, { properties: [pair] }));
        }
      }
    },
  );

  promise(
    'MQTT5-3.3.2-13 MQTT5-3.3.2-19',
    'a response topic or a content type that is not UTF-8 is malformed',
    async (world) => {
      for (const bad of illFormed) {
        await refuses(world, publishBytes(5, { properties: [[0x08], field(bad)] }));
        await refuses(world, publishBytes(5, { properties: [[0x03], field(bad)] }));
      }
    },
  );

  promise(
    'MQTT-4.7.3-3 MQTT5-4.7.3-3',
    'a topic of 65,535 bytes is published and subscribed to',
    async (world) => {
      const topic = `${'é'.repeat(32_767)}x`;
      const sub = await world.connect({ id: 'sub' });
      expect(await sub.subscribe(topic, 1)).toEqual([1]);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish(topic, 'far', { qos: 1 });
      expect(await sub.receive()).toMatchObject({ topic, qos: 1 });
    },
  );
}
