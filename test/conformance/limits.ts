import { expect } from 'vitest';
import { publishBytes, subscribeBytes } from './bytes.ts';
import { promise } from './promise.ts';
import { connectPacket } from './raw-client.ts';

export function limits(): void {
  promise(
    'MQTT5-3.1.2-24 MQTT5-3.1.2-25',
    'what is too large for a client is dropped for it alone, as if delivered',
    async (world) => {
      const small = await world.connectKept('small', { maximumPacketSize: 100, receiveMaximum: 1 });
      const large = await world.connect({ id: 'large' });
      for (const client of [small, large]) await client.subscribe('a', 2);
      const pub = await world.connect({ id: 'pub' });
      for (const qos of [0, 1, 2] as const) {
        await pub.publish('a', 'x'.repeat(200), { qos });
        expect((await large.receive()).payload).toHaveLength(200);
      }
      await pub.publish('a', 'y'.repeat(100 - 9), { qos: 1 });
      await pub.publish('a', 'z'.repeat(100 - 8), { qos: 1 });
      await pub.publish('a', 'last', { qos: 1 });
      const sizes: [number, string][] = [];
      while (sizes.at(-1)?.[1] !== 'l') {
        const { bytes, payload } = await small.receive();
        sizes.push([bytes.length, String(payload)[0]!]);
      }
      for (const [size] of sizes) expect(size).toBeLessThanOrEqual(100);
      expect(sizes.map(([, first]) => first)).not.toContain('x');
    },
  );

  promise(
    'MQTT5-3.2.2-19 MQTT5-3.2.2-20',
    'a refused CONNECT is answered within the maximum packet size of the client',
    async (world) => {
      const client = await world.open();
      const properties = { authenticationMethod: 'none-such', maximumPacketSize: 12 };
      client.send(connectPacket(5, { properties }));
      await client.closed();
      for (const { bytes } of client.pending) expect(bytes.length).toBeLessThanOrEqual(12);
    },
  );

  promise(
    'MQTT5-3.4.2-2 MQTT5-3.4.2-3 MQTT5-3.5.2-2 MQTT5-3.5.2-3 MQTT5-3.6.2-2 MQTT5-3.6.2-3 MQTT5-3.7.2-2 MQTT5-3.7.2-3 MQTT5-3.9.2-1 MQTT5-3.9.2-2 MQTT5-3.11.2-1 MQTT5-3.11.2-2 MQTT5-3.14.2-3 MQTT5-3.14.2-4 MQTT5-3.1.2-24',
    'answers of every kind, good and bad, stay within a small maximum packet size',
    async (world) => {
      const maximumPacketSize = 16;
      const client = await world.connect({ properties: { maximumPacketSize } });
      client.send(publishBytes(5, { flags: 2, id: 1 }), publishBytes(5, { flags: 4, id: 2 }));
      client.send({ cmd: 'pubrel', messageId: 2 }, { cmd: 'pubrel', messageId: 3 });
      client.send({ cmd: 'pubrec', messageId: 4 });
      await client.subscribe([{ topic: 'q' }, { topic: '$share/x/b' }]);
      await client.unsubscribe('q', 'none');
      client.send(subscribeBytes(5, ['a#']));
      await client.closed();
      const kinds = client.pending.map(({ cmd }) => cmd).sort();
      expect(kinds).toEqual(['disconnect', 'puback', 'pubcomp', 'pubcomp', 'pubrec', 'pubrel']);
      for (const { bytes } of client.pending)
        expect(bytes.length).toBeLessThanOrEqual(maximumPacketSize);
    },
  );

  promise(
    'MQTT5-3.1.2-24 MQTT5-3.9.2-1',
    'a client is closed rather than sent a CONNACK or SUBACK that is larger than it takes',
    async (world) => {
      const client = await world.connect({ properties: { maximumPacketSize: 16 } });
      expect(client.connack.bytes.length).toBeLessThanOrEqual(16);
      const filters = Array.from({ length: 20 }, (_, index) => `a/${index}`);
      client.send(subscribeBytes(5, filters));
      await client.refused(0x95);
      const tiny = await world.open();
      tiny.send(connectPacket(5, { properties: { maximumPacketSize: 12 } }));
      await tiny.closed();
      for (const { bytes } of tiny.pending) expect(bytes.length).toBeLessThanOrEqual(12);
    },
  );

  promise(
    'MQTT5-3.1.2-29',
    'without problem information, reason strings and user properties are in CONNACK and DISCONNECT at most',
    async (world) => {
      const client = await world.connect({ properties: { requestProblemInformation: false } });
      client.send({ cmd: 'pubrel', messageId: 3 }, { cmd: 'pubrec', messageId: 4 });
      client.send(publishBytes(5, { flags: 2, id: 1 }));
      client.send(subscribeBytes(5, ['a', '$share/x/b']), {
        cmd: 'unsubscribe',
        messageId: 9,
        unsubscriptions: ['q'],
      });
      await client.take('unsuback');
      client.send({ cmd: 'pingreq' });
      await client.take('pingresp');
      expect(client.pending.length).toBeGreaterThan(2);
      for (const { properties } of client.pending as { properties?: object }[]) {
        expect(properties ?? {}).not.toHaveProperty('reasonString');
        expect(properties ?? {}).not.toHaveProperty('userProperties');
      }
    },
  );

  promise(
    'MQTT5-3.2.2-15',
    'a packet larger than the broker takes ends the connection with 0x95',
    async (world) => {
      const client = await world.connect();
      expect(client.connack.properties?.maximumPacketSize).toBe(1024);
      client.send(publishBytes(5, { payload: 'x'.repeat(1025) }));
      await client.refused(0x95);
      expect(world.messages).toEqual([]);
    },
    { options: { limits: { packetBytes: 1024 } } },
  );
}
