import { connect } from 'node:net';
import { generate } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { eventually } from '../services/child.ts';
import { connectPacket, keepsWorking, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);

const connectBytes = (id: string): Buffer => generate(connectPacket(4, { id }));

describe('an honest client works on', () => {
  const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

  test(`beside 200 connections that send garbage (seed ${seed})`, async () => {
    const broker = await openTestBroker();
    const honest = await keepsWorking(broker.port, 4000);
    const random = seededRandom(seed);
    const byte = (): number => Math.floor(random.next() * 256);
    const attacks = Array.from({ length: 200 }, async (_, index) => {
      const socket = connect(broker.port, '127.0.0.1');
      socket.on('error', () => {});
      if (index % 2 === 0) socket.write(connectBytes(`g${index}`));
      socket.write(Buffer.from(Array.from({ length: 1 + byte() * 8 }, byte)));
      await new Promise((resolve) => setTimeout(resolve, byte()));
      socket.destroy();
    });
    await Promise.all(attacks);
    await honest.check();
  });

  test(`beside packets that are almost right (seed ${seed})`, async () => {
    const broker = await openTestBroker();
    const honest = await keepsWorking(broker.port, 4000);
    const random = seededRandom(seed);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    for (let round = 0; round < 400; round++) {
      const version = below(2) === 0 ? 4 : 5;
      const bytes = Buffer.concat(almostRight(version, `r${round}`));
      for (let damage = below(4); damage > 0; damage--) bytes[below(bytes.length)] = below(256);
      const socket = connect(broker.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.end(bytes.subarray(0, below(8) === 0 ? below(bytes.length) : bytes.length));
      if (round % 40 === 39) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await eventually(() => expect(broker.source.clients).toBe(1));
    await honest.check();
    expect(broker.said.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

/** A conversation with every kind of packet in it. */
function almostRight(version: 4 | 5, id: string): Buffer[] {
  const properties =
    version === 5
      ? { properties: { messageExpiryInterval: 9, userProperties: { a: 'b' }, contentType: 'c' } }
      : {};
  const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 1, retain: true };
  const packets = [
    connectPacket(version, { id, will, clean: false, keepalive: 30 }),
    publishPacket('a/b', 'x', 1, 1, properties),
    publishPacket('a/b', 'x', 2, 2, { ...properties, retain: true }),
    { cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'a/#', qos: 2 }] },
    { cmd: 'pubrel', messageId: 2 },
    { cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['a/#', 'b'] },
    { cmd: 'pingreq' },
    { cmd: 'puback', messageId: 1 },
    { cmd: 'pubrec', messageId: 9 },
    { cmd: 'pubcomp', messageId: 9 },
    { cmd: 'disconnect' },
  ] as const;
  return packets.map((packet) => generate(packet as never, { protocolVersion: version }));
}
