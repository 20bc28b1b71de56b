import { expect } from 'vitest';
import {
  properties as block,
  field,
  packet,
  publishBytes,
  u16,
  u32,
  userProperty,
} from './bytes.ts';
import { promise } from './promise.ts';

export function properties(): void {
  promise(
    'MQTT5-3.3.2-4 MQTT5-3.3.2-15 MQTT5-3.3.2-16 MQTT5-3.3.2-17 MQTT5-3.3.2-18 MQTT5-3.3.2-20',
    'properties of a message reach live, waiting and later subscribers as they are, in their order',
    async (world) => {
      const pairs = [
        userProperty('b', '1'),
        userProperty('a', '2'),
        userProperty('b', ''),
        userProperty('', 'ü'),
      ];
      const sent = [
        ...[[0x01, 1], [0x03], field('application/json'), [0x08], field('answers/1')],
        ...[[0x09], field(Uint8Array.of(0, 255, 1)), ...pairs],
      ];
      for (const flags of [0, 2, 4, 3, 5]) {
        const live = await world.connect({ id: 'live' });
        await live.subscribe('p', 2);
        const away = await world.connectKept('away');
        await away.subscribe('p', 2);
        await away.vanish();
        const pub = await world.connect({ id: 'pub' });
        pub.send(
          publishBytes(5, { flags, topic: 'p', properties: sent, ...(flags > 1 ? { id: 3 } : {}) }),
        );
        if (flags & 4) {
          await pub.take('pubrec');
          pub.send(packet(0x62, u16(3)));
        }
        const late = await world.connect({ id: 'late' });
        const got = [await live.receive()];
        if (flags > 1) got.push(await (await world.connectKept('away')).receive());
        if (flags & 1) {
          await late.subscribe('p', 2);
          got.push(await late.receive());
        }
        for (const { bytes, properties } of got) {
          expect(bytes.includes(Buffer.concat(pairs))).toBe(true);
          expect(properties).toMatchObject({
            ...{ payloadFormatIndicator: true, contentType: 'application/json' },
            ...{ responseTopic: 'answers/1', correlationData: Buffer.of(0, 255, 1) },
          });
        }
        await (await world.connect({ id: 'away', clean: true })).disconnect();
      }
    },
  );

  promise('MQTT5-3.3.2-4', 'what has no properties goes on without any', async (world) => {
    const sub = await world.connect({ id: 'sub' });
    await sub.subscribe('p');
    await (await world.connect({ id: 'pub' })).publish('p', 'x');
    expect((await sub.receive()).bytes).toEqual(
      packet(0x30, field('p'), block(), Buffer.from('x')),
    );
  });

  promise(
    'MQTT5-3.3.2-5 MQTT5-3.3.2-6',
    'a waiting message expires, and what is left of its interval goes with it',
    async (world) => {
      const away = await world.connectKept('away');
      await away.subscribe('p/#', 1);
      await away.vanish();
      const pub = await world.connect({ id: 'pub' });
      const expiring = (seconds: number) => ({
        qos: 1 as const,
        properties: { messageExpiryInterval: seconds },
      });
      await pub.publish('p/short', 'x', expiring(10));
      await pub.publish('p/long', 'x', expiring(1000));
      await pub.publish('p/ever', 'x', { qos: 1 });
      world.clock.advance(100_000);
      const got = await world.deliveries(await world.connectKept('away'));
      expect(got.map(({ topic }) => topic)).toEqual(['p/long', 'p/ever']);
      const left = got[0]!.properties!.messageExpiryInterval!;
      expect(left).toBeGreaterThan(880);
      expect(left).toBeLessThanOrEqual(900);
      expect(got[1]!.properties?.messageExpiryInterval).toBeUndefined();
    },
  );

  promise(
    'MQTT5-3.3.2-14',
    'a response topic with a wildcard ends the connection',
    async (world) => {
      for (const topic of ['a/#', '+', 'a/+/b']) {
        const client = await world.connect();
        client.send(publishBytes(5, { properties: [[0x08], field(topic)] }));
        await client.refused(0x82);
      }
    },
  );

  promise(
    'MQTT5-3.3.2-8 MQTT5-3.3.2-9 MQTT5-3.2.2-17',
    'a topic alias of 0 or above the maximum of the broker ends the connection',
    async (world) => {
      const { connack } = await world.connect();
      const maximum = connack.properties?.topicAliasMaximum ?? 0;
      for (const alias of [0, maximum + 1]) {
        const client = await world.connect();
        client.send(publishBytes(5, { properties: [[0x23], u16(alias)] }));
        await client.refused(0x94);
      }
    },
  );

  promise(
    'MQTT5-3.3.2-12',
    'every topic alias up to the maximum of the broker stands for its topic',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('t/#');
      const pub = await world.connect({ id: 'pub' });
      const maximum = pub.connack.properties!.topicAliasMaximum!;
      expect(maximum).toBeGreaterThan(0);
      const aliases = [...new Set([1, 2, maximum - 1, maximum])].filter((alias) => alias > 0);
      const alias = (number: number) => [[0x23], u16(number)];
      for (const each of aliases) {
        pub.send(publishBytes(5, { topic: `t/${each}`, properties: alias(each) }));
      }
      for (const each of aliases) {
        pub.send(publishBytes(5, { topic: '', properties: alias(each), flags: 2, id: each }));
        await pub.take('puback');
      }
      pub.send(publishBytes(5, { topic: 't/new', properties: alias(1), flags: 4, id: 9 }));
      pub.send(publishBytes(5, { topic: '', properties: alias(1), flags: 3, id: 10 }));
      await pub.take('puback');
      const got = (await world.deliveries(sub)).map(({ topic }) => topic);
      const once = aliases.map((each) => `t/${each}`);
      expect(got).toEqual([...once, ...once, 't/new', 't/new']);
      const retained = await world.connect({ id: 'retained' });
      await retained.subscribe('t/#');
      expect(await retained.receive()).toMatchObject({ topic: 't/new', retain: true });
    },
  );

  promise('MQTT5-3.3.2-7', 'topic aliases end with their connection', async (world) => {
    const first = await world.connectKept('pub');
    first.send(publishBytes(5, { topic: 't', properties: [[0x23], u16(1)], flags: 2, id: 1 }));
    await first.take('puback');
    await first.vanish();
    const again = await world.connectKept('pub');
    again.send(publishBytes(5, { topic: '', properties: [[0x23], u16(1)] }));
    await again.closed();
    expect(world.messages).toHaveLength(1);
  });

  promise(
    'MQTT5-3.1.2-26 MQTT5-3.1.2-27 MQTT5-3.3.2-11',
    'a client is sent topic aliases up to its maximum only, and each stands for one topic',
    async (world) => {
      for (const topicAliasMaximum of [0, 2, undefined]) {
        const properties = topicAliasMaximum === undefined ? {} : { topicAliasMaximum };
        const sub = await world.connect({ id: 'sub', properties });
        await sub.subscribe('t/#');
        const pub = await world.connect({ id: 'pub' });
        const topics = [1, 2, 3, 1, 2, 3, 1].map((each) => `t/${each}`);
        for (const topic of topics) await pub.publish(topic, topic, { qos: 1 });
        const known = new Map<number, string>();
        for (const topic of topics) {
          const got = await sub.take('publish');
          const alias = got.properties?.topicAlias ?? 0;
          expect(alias).toBeLessThanOrEqual(topicAliasMaximum ?? 0);
          if (got.topic !== '') known.set(alias, got.topic);
          expect(known.get(alias)).toBe(topic);
          expect(String(got.payload)).toBe(topic);
        }
      }
    },
  );

  promise(
    'MQTT5-3.3.4-3 MQTT5-3.8.4-3',
    'a subscription has the identifier of its last SUBSCRIBE',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      const pub = await world.connect({ id: 'pub' });
      for (const id of [1, 128, 268_435_455, undefined]) {
        await sub.subscribe({ topic: 'a' }, id === undefined ? {} : { subscriptionIdentifier: id });
        await pub.publish('a');
        const found = (await sub.receive()).properties?.subscriptionIdentifier;
        expect([found ?? []].flat()).toEqual(id === undefined ? [] : [id]);
      }
    },
  );

  promise(
    'MQTT5-4.13.1-1',
    'a property that is not known, repeated, out of range or out of place ends the connection',
    async (world) => {
      const wrong: [readonly (Uint8Array | readonly number[])[], number][] = [
        [[[0x7f, 1]], 0x81],
        [
          [
            [0x01, 0],
            [0x01, 0],
          ],
          0x82,
        ],
        [[[0x01, 2]], 0x82],
        [[[0x02], u32(1), [0x02], u32(1)], 0x82],
        [[[0x11], u32(1)], 0x82],
        [[[0x03, 0]], 0x81],
      ];
      for (const [parts, reason] of wrong) {
        const client = await world.connect();
        client.send(publishBytes(5, { properties: parts, payload: '' }));
        await client.closed();
        expect(client.pending).toMatchObject([{ cmd: 'disconnect' }]);
        expect([0x81, 0x82, reason]).toContain(
          (client.pending[0] as { reasonCode?: number }).reasonCode,
        );
      }
      expect(world.messages).toEqual([]);
    },
  );
}
