import { once } from 'node:events';
import { expect } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import { connectBytes, publishBytes, subscribeBytes } from './bytes.ts';
import { promise, type World } from './promise.ts';
import { connectPacket, RawClient } from './raw-client.ts';

const webSockets = { options: { listeners: [{ port: 0 }, { port: 0, transport: 'websocket' }] } };

async function dial(world: World, protocols = ['mqtt']) {
  const port = world.port(1);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, protocols);
  await once(socket, 'open');
  return { socket, client: new RawClient(createWebSocketStream(socket), world.version) };
}

export function transport(): void {
  promise(
    'MQTT-7.1.1-1 MQTT-7.0.0-2 MQTT5-4.2.0-1',
    'over TCP a packet arrives however it is split, and many packets in one piece',
    async (world) => {
      const { version } = world;
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('a', 1);
      const client = await world.open();
      const payload = Buffer.alloc(100_000, 'split');
      const bytes = Buffer.concat([
        connectBytes(version),
        publishBytes(version, { flags: 2, id: 1, payload }),
      ]);
      for (const end of [1, 2, 9, bytes.length - 1, bytes.length].map((each, at, all) => [
        all[at - 1] ?? 0,
        each,
      ])) {
        client.stream.write(bytes.subarray(...end));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await client.next('connack');
      await client.next('puback');
      expect((await sub.receive()).payload).toEqual(payload);
    },
  );

  promise(
    'MQTT-6.0.0-3 MQTT-6.0.0-4 MQTT5-6.0.0-3 MQTT5-6.0.0-4',
    'over WebSocket the subprotocol mqtt is chosen, and a client that does not offer it is turned away',
    async (world) => {
      const { socket } = await dial(world, ['other', 'mqtt']);
      expect(socket.protocol).toBe('mqtt');
      socket.terminate();
      const port = world.port(1);
      const without = new WebSocket(`ws://127.0.0.1:${port}/mqtt`);
      const ended = await Promise.race([
        once(without, 'error').then(() => 'refused'),
        once(without, 'close').then(() => 'closed'),
      ]);
      expect(['refused', 'closed']).toContain(ended);
    },
    webSockets,
  );

  promise(
    'MQTT-6.0.0-2 MQTT5-6.0.0-2',
    'WebSocket frames may hold parts of packets and several packets',
    async (world) => {
      const { version } = world;
      const { socket, client } = await dial(world);
      const one = publishBytes(version, { flags: 2, id: 1 });
      const two = publishBytes(version, { flags: 2, id: 2 });
      const all = Buffer.concat([
        Buffer.from(client.encode(connectPacket(version))),
        subscribeBytes(version, ['a']),
        one,
        two,
      ]);
      for (const byte of all.subarray(0, 30)) socket.send(Buffer.of(byte));
      socket.send(Buffer.alloc(0));
      socket.send(all.subarray(30));
      await client.take('connack');
      await client.take('suback');
      expect([
        (await client.take('puback')).messageId,
        (await client.take('puback')).messageId,
      ]).toEqual([1, 2]);
      for (let times = 0; times < 2; times++)
        expect(await client.take('publish')).toMatchObject({ topic: 'a' });
      socket.terminate();
    },
    webSockets,
  );

  promise(
    'MQTT-6.0.0-1 MQTT5-6.0.0-1',
    'a text frame closes the connection, and what the broker sends is binary',
    async (world) => {
      const { socket, client } = await dial(world);
      const kinds: boolean[] = [];
      socket.on('message', (_data, isBinary) => kinds.push(isBinary));
      client.send(connectPacket(world.version));
      await client.next('connack');
      expect(kinds).toEqual([true]);
      socket.send('text');
      await once(socket, 'close');
    },
    webSockets,
  );
}
