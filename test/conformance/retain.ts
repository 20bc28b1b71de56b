import { expect } from 'vitest';
import { promise, type World } from './promise.ts';
import type { Filter } from './raw-client.ts';

/** What a new subscriber is sent. */
async function retainedFor(world: World, filter: Filter | string) {
  const client = await world.connect({ id: 'fresh' });
  await client.subscribe(filter, 2);
  const got = await world.deliveries(client);
  await client.disconnect();
  return got.map(({ topic, payload, qos, retain }) => [topic, String(payload), qos, retain]);
}

export function retain(): void {
  promise(
    'MQTT-3.3.1-5 MQTT-3.3.1-6 MQTT-3.3.1-7 MQTT-3.3.1-8 MQTT5-3.3.1-5 MQTT5-3.3.1-9',
    'the last retained message of each topic, with its QoS, goes to new subscribers',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('r/a', 'old', { qos: 2, retain: true });
      await pub.publish('r/a', 'new', { qos: 1, retain: true });
      await pub.publish('r/b', 'first', { qos: 1, retain: true });
      await pub.publish('r/b', 'zero', { qos: 0, retain: true });
      await pub.publish('r/c', 'two', { qos: 2, retain: true });
      await pub.publish('s/a', 'other', { qos: 1, retain: true });
      expect((await retainedFor(world, { topic: 'r/#', qos: 2 })).sort()).toEqual([
        ['r/a', 'new', 1, true],
        ['r/b', 'zero', 0, true],
        ['r/c', 'two', 2, true],
      ]);
      expect(await retainedFor(world, 'r/a')).toEqual([['r/a', 'new', 1, true]]);
      expect(await retainedFor(world, { topic: 'r/c', qos: 1 })).toEqual([['r/c', 'two', 1, true]]);
    },
  );

  promise(
    'MQTT-3.3.1-9 MQTT5-3.3.1-12',
    'a subscription that stands gets retained messages with retain clear',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('a', 1);
      const pub = await world.connect({ id: 'pub' });
      for (const qos of [0, 1, 2] as const) await pub.publish('a', 'x', { qos, retain: true });
      for (let times = 0; times < 3; times++)
        expect(await sub.receive()).toMatchObject({ retain: false });
    },
  );

  promise(
    'MQTT-3.3.1-10 MQTT-3.3.1-11 MQTT5-3.3.1-6 MQTT5-3.3.1-7',
    'an empty retained message is delivered, removes what was retained, and is not retained',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe([{ topic: 'a' }, { topic: 'b' }]);
      const pub = await world.connect({ id: 'pub' });
      for (const qos of [0, 1, 2] as const) {
        await pub.publish('a', 'stays', { qos: 1, retain: true });
        expect(await sub.receive()).toMatchObject({ topic: 'a' });
        await pub.publish('a', '', { qos, retain: true });
        expect((await sub.receive()).payload).toHaveLength(0);
        expect(await retainedFor(world, 'a')).toEqual([]);
        await pub.publish('b', '', { qos, retain: true });
        expect(await sub.receive()).toMatchObject({ topic: 'b' });
        expect(await retainedFor(world, 'b')).toEqual([]);
      }
    },
  );

  promise(
    'MQTT-3.3.1-12 MQTT5-3.3.1-8',
    'a message without retain changes nothing that is retained',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'stays', { qos: 1, retain: true });
      await pub.publish('a', 'passes', { qos: 1 });
      await pub.publish('a', '', { qos: 1 });
      await pub.publish('b', 'passes', { qos: 1 });
      expect(await retainedFor(world, '+')).toEqual([['a', 'stays', 1, true]]);
    },
  );

  promise(
    'MQTT5-3.3.1-9 MQTT5-3.3.1-10 MQTT5-3.3.1-11',
    'retain handling says when retained messages are sent',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'stays', { qos: 1, retain: true });
      const sub = await world.connect({ id: 'sub' });
      const sent = async (rh: 0 | 1 | 2, topic = 'a') => {
        await sub.subscribe({ topic, rh });
        return (await world.deliveries(sub)).length;
      };
      expect([await sent(2), await sent(1), await sent(0), await sent(0)]).toEqual([0, 0, 1, 1]);
      await sub.unsubscribe('a');
      expect([await sent(1), await sent(1)]).toEqual([1, 0]);
      expect(await sent(1, '+')).toBe(1);
    },
  );

  promise(
    'MQTT5-3.3.1-12 MQTT5-3.3.1-13',
    'retain as published says whether retain is passed on',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      for (const rap of [false, true]) {
        const sub = await world.connect({ id: 'sub' });
        await sub.subscribe({ topic: 'a', qos: 1, rap, rh: 2 });
        await pub.publish('a', 'x', { qos: 1, retain: true });
        await pub.publish('a', 'x', { qos: 1, retain: false });
        expect((await sub.receive()).retain).toBe(rap);
        expect((await sub.receive()).retain).toBe(false);
      }
    },
  );

  promise(
    'MQTT5-3.3.2-5 MQTT5-3.3.2-6',
    'a retained message expires, and until then says how long it still has',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      const properties = { messageExpiryInterval: 100 };
      await pub.publish('a', 'x', { qos: 1, retain: true, properties });
      world.clock.advance(40_000);
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('a');
      const left = (await sub.receive()).properties!.messageExpiryInterval!;
      expect(left).toBeGreaterThan(50);
      expect(left).toBeLessThanOrEqual(60);
      world.clock.advance(61_000);
      expect(await retainedFor(world, 'a')).toEqual([]);
    },
  );
}
