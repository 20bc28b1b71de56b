import { expect } from 'vitest';
import { packet, publishBytes, u16 } from './bytes.ts';
import { promise, type World } from './promise.ts';

async function pair(world: World) {
  const sub = await world.connect({ id: 'sub' });
  await sub.subscribe('a', 2);
  return { sub, pub: await world.connect({ id: 'pub' }) };
}

export function qos(): void {
  promise(
    'MQTT-4.3.2-1 MQTT-2.3.1-4 MQTT5-4.3.2-1 MQTT5-4.3.2-2 MQTT5-4.3.2-3 MQTT5-2.2.1-4',
    'QoS 1 goes out with a free identifier and DUP clear, and is held until PUBACK',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a', 1);
      const pub = await world.connect({ id: 'pub' });
      for (const payload of ['one', 'two', 'three']) await pub.publish('a', payload, { qos: 1 });
      const got = [await sub.take('publish'), await sub.take('publish'), await sub.take('publish')];
      expect(new Set(got.map(({ messageId }) => messageId)).size).toBe(3);
      for (const { messageId, dup } of got) expect([messageId! > 0, dup]).toEqual([true, false]);
      sub.send({ cmd: 'puback', messageId: got[1]!.messageId });
      sub.send({ cmd: 'pingreq' });
      await sub.take('pingresp');
      await sub.vanish();
      const again = await world.connectKept('sub');
      const left = await world.deliveries(again);
      expect(left.map(({ payload }) => String(payload))).toEqual(['one', 'three']);
    },
  );

  promise(
    'MQTT-4.3.2-2 MQTT5-4.3.2-4 MQTT5-4.3.2-5',
    'after PUBACK an identifier is a new message, whatever DUP says',
    async (world) => {
      const { sub, pub } = await pair(world);
      await pub.publish('a', 'one', { qos: 1, id: 4 });
      await pub.publish('a', 'two', { qos: 1, id: 4, dup: true });
      const got = await world.deliveries(sub);
      expect(got.map(({ payload }) => String(payload))).toEqual(['one', 'two']);
    },
  );

  promise(
    'MQTT-4.3.3-1 MQTT5-4.3.3-1 MQTT5-4.3.3-2 MQTT5-4.3.3-3 MQTT5-4.3.3-4 MQTT5-4.3.3-5 MQTT5-4.3.3-6',
    'QoS 2 goes out PUBLISH, PUBREC, PUBREL, PUBCOMP, and never back to PUBLISH',
    async (world) => {
      const sub = await world.connectKept('sub');
      await sub.subscribe('a', 2);
      const pub = await world.connect({ id: 'pub' });
      await pub.publish('a', 'one', { qos: 2 });
      await pub.publish('a', 'two', { qos: 2 });
      const [one, two] = [await sub.take('publish'), await sub.take('publish')];
      expect([one.dup, two.dup, one.messageId === two.messageId]).toEqual([false, false, false]);
      sub.send({ cmd: 'pubrec', messageId: one.messageId });
      expect((await sub.take('pubrel')).messageId).toBe(one.messageId);
      await sub.vanish();
      const again = await world.connectKept('sub');
      expect((await again.take('pubrel')).messageId).toBe(one.messageId);
      const left = await again.take('publish');
      expect([String(left.payload), left.dup, left.messageId]).toEqual([
        'two',
        true,
        two.messageId,
      ]);
      again.send({ cmd: 'pubcomp', messageId: one.messageId });
      again.send({ cmd: 'pubrec', messageId: two.messageId });
      expect((await again.take('pubrel')).messageId).toBe(two.messageId);
      again.send({ cmd: 'pubcomp', messageId: two.messageId }, { cmd: 'pingreq' });
      await again.take('pingresp');
      await again.vanish();
      const last = await world.connectKept('sub');
      expect(await world.deliveries(last)).toEqual([]);
      expect(last.pending).toEqual([]);
    },
  );

  promise(
    'MQTT-4.3.3-2 MQTT5-4.3.3-8 MQTT5-4.3.3-10 MQTT5-4.3.3-11 MQTT5-4.3.3-12 MQTT5-2.2.1-5',
    'a QoS 2 message sent twice is answered twice and delivered once, until its PUBREL',
    async (world) => {
      const { sub, pub } = await pair(world);
      const send = (dup: boolean, payload = 'one') =>
        pub.send(publishBytes(world.version, { flags: dup ? 12 : 4, id: 6, payload }));
      send(false);
      expect((await pub.next('pubrec')).messageId).toBe(6);
      send(true);
      expect((await pub.next('pubrec')).messageId).toBe(6);
      pub.send(packet(0x62, u16(6)));
      expect((await pub.next('pubcomp')).messageId).toBe(6);
      send(false, 'two');
      await pub.next('pubrec');
      pub.send(packet(0x62, u16(6)));
      await pub.next('pubcomp');
      const got = await world.deliveries(sub);
      expect(got.map(({ payload }) => String(payload))).toEqual(['one', 'two']);
      expect(world.messages.filter(({ topic }) => topic === 'a')).toHaveLength(2);
    },
  );

  promise(
    'MQTT-4.3.3-2 MQTT5-4.3.3-10',
    'a QoS 2 message sent again in the next connection of its session is delivered once',
    async (world) => {
      const { sub } = await pair(world);
      const first = await world.connectKept('pub');
      first.send(publishBytes(world.version, { flags: 4, id: 6 }));
      await first.next('pubrec');
      await first.vanish();
      const again = await world.connectKept('pub');
      again.send(publishBytes(world.version, { flags: 12, id: 6 }));
      await again.next('pubrec');
      again.send(packet(0x62, u16(6)));
      await again.next('pubcomp');
      expect(await world.deliveries(sub)).toHaveLength(1);
    },
  );

  promise(
    'MQTT5-4.3.3-11 MQTT5-3.7.2-1',
    'PUBREL for an identifier that is not known gets PUBCOMP with 0x92',
    async (world) => {
      const client = await world.connect();
      client.send(packet(0x62, u16(77)));
      expect(await client.next('pubcomp')).toMatchObject({ messageId: 77, reasonCode: 0x92 });
    },
  );

  promise(
    'MQTT5-3.6.2-1',
    'PUBREC for an identifier that is not known gets PUBREL with 0x92',
    async (world) => {
      const client = await world.connect();
      client.send(packet(0x50, u16(77)));
      expect(await client.next('pubrel')).toMatchObject({ messageId: 77, reasonCode: 0x92 });
    },
  );

  promise(
    'MQTT5-3.4.2-1 MQTT5-3.5.2-1 MQTT5-3.6.2-1 MQTT5-3.7.2-1',
    'acknowledgements have reason codes from their tables, with a subscriber and without',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      for (const subscribed of [false, true]) {
        if (subscribed) await (await world.connect({ id: 'sub' })).subscribe('a', 0);
        pub.send(publishBytes(5, { flags: 2, id: 1 }), publishBytes(5, { flags: 4, id: 2 }));
        const expected = subscribed ? [0] : [0, 0x10];
        expect(expected).toContain((await pub.take('puback')).reasonCode ?? 0);
        expect(expected).toContain((await pub.take('pubrec')).reasonCode ?? 0);
        pub.send(packet(0x62, u16(2)));
        expect((await pub.take('pubcomp')).reasonCode ?? 0).toBe(0);
      }
    },
  );

  promise('MQTT5-3.6.2-1', 'PUBREL goes out with success', async (world) => {
    const { sub, pub } = await pair(world);
    await pub.publish('a', 'x', { qos: 2 });
    const { messageId } = await sub.take('publish');
    sub.send({ cmd: 'pubrec', messageId });
    expect((await sub.take('pubrel')).reasonCode ?? 0).toBe(0);
  });

  promise(
    'MQTT-4.6.0-4 MQTT5-4.6.0-4',
    'PUBREL packets are in the order of their PUBREC packets',
    async (world) => {
      const { sub, pub } = await pair(world);
      for (let times = 0; times < 5; times++) await pub.publish('a', 'x', { qos: 2 });
      const ids: number[] = [];
      while (ids.length < 5) ids.push((await sub.take('publish')).messageId!);
      const shuffled = [ids[3]!, ids[0]!, ids[4]!, ids[2]!, ids[1]!];
      sub.send(...shuffled.map((messageId) => ({ cmd: 'pubrec', messageId })));
      for (const id of shuffled) expect((await sub.next('pubrel')).messageId).toBe(id);
    },
  );

  promise(
    'MQTT-2.3.1-6 MQTT5-2.2.1-5',
    'an acknowledgement for nothing that was sent does no harm',
    async (world) => {
      const client = await world.connect();
      client.send(
        { cmd: 'puback', messageId: 9 },
        { cmd: 'pubcomp', messageId: 9 },
        { cmd: 'pingreq' },
      );
      await client.take('pingresp');
    },
  );
}
