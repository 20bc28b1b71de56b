import { expect } from 'vitest';
import { packet, publishBytes, u16 } from './bytes.ts';
import { promise } from './promise.ts';

export function errors(): void {
  promise(
    'MQTT-2.2.2-1 MQTT-2.2.2-2 MQTT-3.6.1-1 MQTT5-2.1.3-1 MQTT5-3.6.1-1',
    'flags that are not those of the table close the connection',
    async (world) => {
      const wrong = [
        ...[0x41, 0x42, 0x48].map((first) => packet(first, u16(1))),
        ...[0x51, 0x52].map((first) => packet(first, u16(1))),
        ...[0x60, 0x61, 0x63, 0x66, 0x6a].map((first) => packet(first, u16(1))),
        ...[0x71, 0x72].map((first) => packet(first, u16(1))),
        ...[0xc1, 0xc8].map((first) => packet(first)),
      ];
      for (const bytes of wrong) {
        const client = await world.connect();
        client.send(bytes);
        await client.refused(0x81);
      }
    },
  );

  promise(
    'MQTT-3.14.1-1 MQTT5-3.14.1-1',
    'DISCONNECT with reserved bits set is an error, and the will is published',
    async (world) => {
      const watcher = await world.connect({ id: 'watcher' });
      await watcher.subscribe('gone');
      const client = await world.connect({
        will: { topic: 'gone', payload: 'x', qos: 0, retain: false },
      });
      client.send(Buffer.of(0xe1, 0));
      await client.refused(0x81);
      expect(await watcher.receive()).toMatchObject({ topic: 'gone' });
    },
  );

  promise(
    'MQTT-4.8.0-1 MQTT5-4.13.1-1 MQTT5-4.13.2-1 MQTT5-3.14.4-1 MQTT5-3.14.4-2 MQTT5-3.14.2-1 MQTT5-3.14.2-2',
    'a packet that is not for a server, or is none, closes the connection; MQTT 5 is told why in a last packet',
    async (world) => {
      const wrong = [
        Buffer.of(0x00, 0),
        ...[0x20, 0x90, 0xb0].map((first) => packet(first, u16(1), [0])),
        Buffer.of(0xd0, 0),
        Buffer.of(0xc0, 0xff, 0xff, 0xff, 0xff, 0x7f),
        packet(0x40, [0]),
        packet(0x40),
        packet(0x30, [0, 9], Buffer.from('short')),
        Buffer.of(0xc0, 1, 0),
      ];
      for (const bytes of wrong) {
        const client = await world.connect();
        client.send(bytes, publishBytes(world.version, { topic: 'late' }), Buffer.of(0xc0, 0));
        await client.closed();
        if (world.version === 4) expect(client.pending).toEqual([]);
        else {
          expect(client.pending.map(({ cmd }) => cmd)).toEqual(['disconnect']);
          const { reasonCode, properties } = client.pending[0] as {
            reasonCode?: number;
            properties?: object;
          };
          expect([0x81, 0x82]).toContain(reasonCode);
          expect(properties ?? {}).not.toHaveProperty('sessionExpiryInterval');
        }
      }
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT-3.14.4-1 MQTT-3.14.4-2 MQTT5-3.14.4-1 MQTT5-3.14.4-2',
    'what comes after DISCONNECT is not processed, and the connection is closed',
    async (world) => {
      const client = await world.connect();
      client.send(
        { cmd: 'disconnect' },
        publishBytes(world.version, { topic: 'late' }),
        Buffer.of(0xc0, 0),
      );
      await client.closed();
      expect(client.pending).toEqual([]);
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT5-3.14.2-1',
    'DISCONNECT with a reason code that is not in its table ends the connection as an error',
    async (world) => {
      const watcher = await world.connect({ id: 'watcher' });
      await watcher.subscribe('gone');
      const client = await world.connect({
        will: { topic: 'gone', payload: 'x', qos: 0, retain: false },
      });
      client.send(packet(0xe0, [0x03]));
      await client.closed();
      expect(await watcher.receive()).toMatchObject({ topic: 'gone' });
    },
  );

  promise(
    'MQTT5-3.14.4-3 MQTT5-3.14.2-1',
    'an expiry interval that DISCONNECT cannot set is a protocol error',
    async (world) => {
      const client = await world.connect();
      client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
      await client.refused(0x82);
    },
  );

  promise('MQTT-3.12.4-1 MQTT5-3.12.4-1', 'PINGREQ gets PINGRESP', async (world) => {
    const client = await world.connect();
    client.send(Buffer.of(0xc0, 0));
    expect((await client.next('pingresp')).bytes).toEqual(Buffer.of(0xd0, 0));
  });

  promise(
    'MQTT-4.8.0-2 MQTT5-4.13.1-1',
    'a message that cannot be kept closes the connection and is not acknowledged',
    async (world) => {
      const client = await world.connect();
      client.send(publishBytes(world.version, { flags: 2, id: 1 }));
      await client.closed();
      expect(client.pending.filter(({ cmd }) => cmd === 'puback')).toEqual([]);
    },
    { isBroken: true },
  );
}
