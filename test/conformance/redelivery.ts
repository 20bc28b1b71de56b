import { expect } from 'vitest';
import { promise } from './promise.ts';

export function redelivery(): void {
  promise(
    'MQTT-3.3.1-1 MQTT-4.4.0-1 MQTT-4.6.0-1 MQTT5-3.3.1-1 MQTT5-4.4.0-1 MQTT5-4.6.0-1',
    'what was not acknowledged is sent again on reconnection, with DUP, its identifier, and in order',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a/#', 2);
      const pub = await world.connect({ id: 'pub' });
      for (let at = 0; at < 10; at++) {
        await pub.publish(`a/${at}`, `${at}`, { qos: at % 2 ? 2 : 1 });
      }
      const first = [];
      while (first.length < 10) first.push(await sub.take('publish'));
      await sub.vanish();
      await pub.publish('a/new', 'new', { qos: 1 });
      const again = await world.connectKept('sub');
      const expected = first.map(({ topic, messageId }) => [topic, messageId, true]);
      for (const each of expected) {
        const { topic, messageId, dup } = await again.next('publish');
        expect([topic, messageId, dup]).toEqual(each);
      }
      expect(await again.next('publish')).toMatchObject({ topic: 'a/new', dup: false });
    },
  );

  promise('MQTT5-4.4.0-1', 'nothing is sent again while the connection lasts', async (world) => {
    const sub = await world.connect({ id: 'sub' });
    await sub.subscribe('a', 2);
    const pub = await world.connect({ id: 'pub' });
    await pub.publish('a', 'one', { qos: 1 });
    await pub.publish('a', 'two', { qos: 2 });
    world.clock.advance(3_600_000);
    expect(await world.deliveries(sub)).toHaveLength(2);
  });

  promise(
    'MQTT5-4.4.0-2',
    'PUBACK or PUBREC with 0x80 or more ends the delivery for good',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a', 2);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'one', { qos: 1 });
      await pub.publish('a', 'two', { qos: 2 });
      const [one, two] = [await sub.take('publish'), await sub.take('publish')];
      sub.send({ cmd: 'puback', messageId: one.messageId, reasonCode: 0x97 });
      sub.send({ cmd: 'pubrec', messageId: two.messageId, reasonCode: 0x80 }, { cmd: 'pingreq' });
      await sub.take('pingresp');
      await sub.vanish();
      const again = await world.connectKept('sub');
      expect(await world.deliveries(again)).toEqual([]);
      expect(again.pending).toEqual([]);
    },
  );

  promise(
    'MQTT5-4.3.3-7 MQTT5-4.3.3-13',
    'a message that was sent does not expire, and its handshake goes on',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a', 2);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'x', { qos: 2, properties: { messageExpiryInterval: 10 } });
      await pub.publish('a', 'y', { qos: 2, properties: { messageExpiryInterval: 10 } });
      const [one, two] = [await sub.take('publish'), await sub.take('publish')];
      sub.send({ cmd: 'pubrec', messageId: one.messageId });
      await sub.take('pubrel');
      world.clock.advance(60_000);
      await sub.vanish();
      const again = await world.connectKept('sub');
      again.send({ cmd: 'pubcomp', messageId: (await again.take('pubrel')).messageId });
      const second = await again.take('publish');
      expect([second.messageId, second.dup]).toEqual([two.messageId, true]);
      again.send({ cmd: 'pubrec', messageId: second.messageId });
      expect((await again.take('pubrel')).messageId).toBe(two.messageId);
    },
  );
}
