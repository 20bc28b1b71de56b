import { expect } from 'vitest';
import { publishBytes } from './bytes.ts';
import { promise } from './promise.ts';

export function session(): void {
  promise(
    'MQTT-3.1.2-4 MQTT-3.1.2-5 MQTT-3.2.2-2 MQTT-3.2.2-3 MQTT-4.1.0-1 MQTT-4.5.0-1 MQTT5-3.1.2-5 MQTT5-3.1.2-6 MQTT5-3.1.2-23 MQTT5-3.2.2-3 MQTT5-4.5.0-1',
    'a kept session goes on: its subscriptions stand, and messages with a QoS wait',
    async (world) => {
      const first = await world.connectKept();
      expect(first.connack.sessionPresent).toBe(false);
      await first.subscribe([
        { topic: 'a/+', qos: 1 },
        { topic: 'b', qos: 2 },
      ]);
      await first.vanish();
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a/1', 'one', { qos: 1 });
      await pub.publish('b', 'two', { qos: 2 });
      const again = await world.connectKept();
      expect(again.connack.sessionPresent).toBe(true);
      const got = [await again.receive(), await again.receive()];
      expect(got.map(({ topic, qos, payload }) => [topic, qos, String(payload)])).toEqual([
        ['a/1', 1, 'one'],
        ['b', 2, 'two'],
      ]);
      await pub.publish('a/2', 'live', { qos: 1 });
      expect(await again.receive()).toMatchObject({ topic: 'a/2', dup: false });
    },
  );

  promise(
    'MQTT-3.1.2-6 MQTT-3.1.4-3 MQTT-3.2.2-1 MQTT5-3.1.2-4 MQTT5-3.1.4-4 MQTT5-3.2.2-2',
    'a clean start discards what was kept and says so',
    async (world) => {
      const kept = await world.connectKept();
      await kept.subscribe('a', 1);
      await kept.vanish();
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'waits', { qos: 1 });
      const clean = await world.connect({ id: 'kept', clean: true });
      expect(clean.connack.sessionPresent).toBe(false);
      await pub.publish('a', 'live', { qos: 1 });
      expect(await world.deliveries(clean)).toEqual([]);
      await clean.vanish();
      const after = await world.connectKept();
      expect(after.connack.sessionPresent).toBe(false);
    },
  );

  promise(
    'MQTT-3.1.2-6 MQTT5-4.1.0-2',
    'a session that does not outlive its connection is gone with it',
    async (world) => {
      const client = await world.connect({ id: 'brief' });
      await client.subscribe('a', 1);
      await client.vanish();
      const again = await world.connect({ id: 'brief', clean: false });
      expect(again.connack.sessionPresent).toBe(false);
      await (await world.connect({ id: 'pub' })).publish('a', 'x', { qos: 1 });
      expect(await world.deliveries(again)).toEqual([]);
    },
  );

  promise(
    'MQTT-3.1.2-7',
    'retained messages outlive the session of who published them',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'stays', { qos: 1, retain: true });
      await pub.disconnect();
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('a');
      expect(String((await sub.receive()).payload)).toBe('stays');
    },
  );

  promise(
    'MQTT-4.1.0-2 MQTT5-4.1.0-1',
    'a session lasts as long as its connection, however short its expiry interval',
    async (world) => {
      const properties = { sessionExpiryInterval: 1 };
      const client = await world.connect(world.version === 5 ? { id: 'long', properties } : {});
      await client.subscribe('a', 1);
      world.clock.advance(24 * 3_600_000);
      await (await world.connect({ id: 'pub' })).publish('a', 'x', { qos: 1 });
      expect(await client.receive()).toMatchObject({ topic: 'a', qos: 1 });
      if (world.version !== 5) return;
      await client.vanish();
      const again = await world.connect({ id: 'long', clean: false, properties });
      expect(again.connack.sessionPresent).toBe(true);
    },
  );

  promise(
    'MQTT5-4.1.0-2 MQTT5-3.1.2-23',
    'a kept session ends when its expiry interval is over and not before',
    async (world) => {
      const connectAgain = async () =>
        await world.connect({
          id: 'kept',
          clean: false,
          properties: { sessionExpiryInterval: 100 },
        });
      await (await connectAgain()).vanish();
      await world.clientsAre(0);
      world.clock.advance(90_000);
      const within = await connectAgain();
      expect(within.connack.sessionPresent).toBe(true);
      await within.vanish();
      await world.clientsAre(0);
      world.clock.advance(110_000);
      expect((await connectAgain()).connack.sessionPresent).toBe(false);
    },
  );

  promise('MQTT5-4.1.0-2', 'DISCONNECT may set another expiry interval', async (world) => {
    const kept = await world.connectKept();
    await kept.disconnect({ reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
    expect((await world.connectKept()).connack.sessionPresent).toBe(false);
  });

  promise(
    'MQTT-3.1.3-2 MQTT5-3.1.3-2',
    'sessions are told apart by the client identifier, to the letter',
    async (world) => {
      for (const id of ['one', 'One', 'two']) {
        const client = await world.connectKept(id);
        expect(client.connack.sessionPresent).toBe(false);
        await client.subscribe(id, 1);
        await client.vanish();
      }
      await (await world.connect({ id: 'pub' })).publish('One', 'x', { qos: 1 });
      const one = await world.connectKept('one');
      expect(one.connack.sessionPresent).toBe(true);
      expect(await world.deliveries(one)).toEqual([]);
      expect(await (await world.connectKept('One')).receive()).toMatchObject({ topic: 'One' });
    },
  );

  promise(
    'MQTT-3.1.4-2 MQTT5-3.1.4-3',
    'a session goes on in the connection that takes it over',
    async (world) => {
      const earlier = await world.connectKept();
      await earlier.subscribe('a', 1);
      const later = await world.connectKept();
      await earlier.refused(0x8e);
      expect(later.connack.sessionPresent).toBe(true);
      await (await world.connect({ id: 'pub' })).publish('a', 'x', { qos: 1 });
      expect(await later.receive()).toMatchObject({ topic: 'a' });
    },
  );

  promise(
    'MQTT-4.1.0-1 MQTT-3.1.2-4 MQTT-3.1.2-7 MQTT-4.3.3-2 MQTT5-3.1.2-23 MQTT5-4.3.3-10',
    'sessions, what waits in them, QoS 2 identifiers and retained messages survive a restart',
    async (world) => {
      const kept = await world.connectKept();
      await kept.subscribe('a', 2);
      await kept.vanish();
      const pub = await world.connectKept('pub');
      await pub.publish('a', 'one', { qos: 1 });
      await pub.publish('r', 'stays', { qos: 1, retain: true });
      pub.send(publishBytes(world.version, { flags: 4, id: 6, payload: 'two' }));
      await pub.next('pubrec');
      await pub.vanish();
      await world.restart();
      const again = await world.connectKept('pub');
      expect(again.connack.sessionPresent).toBe(true);
      again.send(publishBytes(world.version, { flags: 12, id: 6, payload: 'two' }));
      await again.next('pubrec');
      again.send({ cmd: 'pubrel', messageId: 6 });
      await again.next('pubcomp');
      const back = await world.connectKept();
      expect(back.connack.sessionPresent).toBe(true);
      const got = await world.deliveries(back);
      expect(got.map(({ payload, qos }) => [String(payload), qos])).toEqual([
        ['one', 1],
        ['two', 2],
      ]);
      await back.subscribe('r', 1);
      expect(await back.take('publish')).toMatchObject({ topic: 'r', retain: true });
    },
  );
}
