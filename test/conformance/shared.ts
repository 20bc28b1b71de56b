import { expect } from 'vitest';
import { subscribeBytes } from './bytes.ts';
import { promise, type World } from './promise.ts';

async function member(world: World, id: string, qos: 0 | 1 | 2, properties = {}) {
  const client = await world.connectKept(id, properties);
  await client.subscribe({ topic: '$share/team/jobs/#', qos });
  return client;
}

export function shared(): void {
  promise(
    'MQTT5-4.8.2-1 MQTT5-4.8.2-2',
    'a shared filter without a proper name or a filter behind it closes the connection',
    async (world) => {
      for (const filter of [
        '$share/team',
        '$share//a',
        '$share/te+am/a',
        '$share/te#am/a',
        '$share/team/',
        '$share/+/a',
      ]) {
        const client = await world.connect();
        client.send(subscribeBytes(5, [filter]));
        await client.closed();
        const [end] = client.pending;
        expect(end).toMatchObject({ cmd: 'disconnect' });
        expect([0x81, 0x82, 0x8f]).toContain((end as { reasonCode?: number }).reasonCode);
      }
    },
  );

  promise(
    'MQTT5-3.8.3-4',
    'no local on a shared subscription is a protocol error',
    async (world) => {
      const client = await world.connect();
      client.send(subscribeBytes(5, ['$share/team/a'], { options: 4 }));
      await client.refused(0x82);
    },
  );

  promise(
    'MQTT5-4.8.2-1 MQTT5-4.8.2-3',
    'every message goes to one member of the group, at the QoS granted to that member',
    async (world) => {
      const members = [
        { qos: 0, client: await member(world, 'zero', 0) },
        { qos: 1, client: await member(world, 'one', 1) },
        { qos: 2, client: await member(world, 'two', 2) },
      ];
      const pub = await world.connect({ id: 'pub' });
      const count = 60;
      for (let at = 0; at < count; at++) await pub.publish(`jobs/${at}`, 'x', { qos: 2 });
      const topics: string[] = [];
      for (const { qos, client } of members) {
        const got = await world.deliveries(client);
        expect(got.length).toBeGreaterThan(0);
        for (const each of got) {
          expect(each.qos).toBe(qos);
          topics.push(each.topic);
        }
      }
      expect([topics.length, new Set(topics).size]).toEqual([count, count]);
    },
  );

  promise(
    'MQTT5-4.8.2-4 MQTT5-4.8.2-5',
    'a QoS 2 delivery that was begun is completed with the same member, or with nobody',
    async (world) => {
      for (const returns of [true, false]) {
        const first = await member(world, 'first', 2);
        const pub = await world.connect({ id: 'pub' });
        await pub.publish('jobs/1', 'begun', { qos: 2 });
        const { messageId } = await first.take('publish');
        const second = await member(world, 'second', 2);
        await first.vanish();
        expect(await world.deliveries(second)).toEqual([]);
        if (returns) {
          const again = await world.connectKept('first');
          const left = await again.take('publish');
          expect([left.messageId, left.dup, String(left.payload)]).toEqual([
            messageId,
            true,
            'begun',
          ]);
        } else {
          await world.connect({ id: 'first', clean: true });
          expect(await world.deliveries(second)).toEqual([]);
        }
        await world.connect({ id: 'first', clean: true });
        await world.connect({ id: 'second', clean: true });
      }
    },
  );

  promise(
    'MQTT5-4.8.2-6 MQTT5-4.4.0-2',
    'a message that a member refuses goes to no other member',
    async (world) => {
      const first = await member(world, 'first', 2);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('jobs/1', 'one', { qos: 1 });
      await pub.publish('jobs/2', 'two', { qos: 2 });
      const [one, two] = [await first.take('publish'), await first.take('publish')];
      const second = await member(world, 'second', 2);
      first.send({ cmd: 'puback', messageId: one.messageId, reasonCode: 0x97 });
      first.send({ cmd: 'pubrec', messageId: two.messageId, reasonCode: 0x97 }, { cmd: 'pingreq' });
      await first.take('pingresp');
      await first.vanish();
      expect(await world.deliveries(second)).toEqual([]);
    },
  );
}
