/** What is kept in memory is bounded, and the bounds count what it really takes. */
import { Duplex } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { defaultBounds } from '../../src/broker/bounds.ts';
import { Connection } from '../../src/broker/connection.ts';
import { deliveryOf } from '../../src/broker/delivery.ts';
import { Durable } from '../../src/broker/durable.ts';
import { Message } from '../../src/broker/message.ts';
import { Retained } from '../../src/broker/retained.ts';
import { WaitingQueue } from '../../src/broker/waiting.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heldBytes(): Promise<number> {
  // Memory of buffers is given back a little later.
  for (let times = 0; times < 3; times++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** As one chunk of a socket has it: much larger than what is in it. */
function arrived(topic: string): { readonly topic: string; readonly payload: Uint8Array } {
  return { topic, payload: Buffer.alloc(64 * 2 ** 10, 'x').subarray(100, 2_100) };
}

test.each([
  ['before', 1],
  ['after', 0],
] as const)(
  'a retained message is in memory once, whether it is read from the log %s it is routed',
  async (_, logFirst) => {
    const messages = 10_000;
    const retained = new Retained(
      defaultBounds,
      () => 0,
      () => {
        throw new Error('there is room for it');
      },
    );
    const durable = new Durable({
      ...{ bounds: defaultBounds, queuedMessages: 10 },
      retainedAt: (topic, position) => retained.at(topic, position),
    });
    retained.onStored = (message) => durable.adoptRetained(message);
    const publish = (index: number): void => {
      const position = index + 1;
      const content = { ...arrived(`a/${index}`), qos: 1, retain: true, from: 'me' } as const;
      const route = () => retained.store(new Message(content, 0, position));
      const read = () => {
        const { topic, ...data } = content;
        const stamp = { recordedTime: 0, monotonic: position, boot: 'b', clock: 'synchronised' };
        durable.step({ ...stamp, type: 'message', subject: topic, position, data } as never);
      };
      for (const act of logFirst === 1 ? [read, route] : [route, read]) act();
    };
    publish(messages);
    const before = await heldBytes();
    for (let index = 0; index < messages; index++) publish(index);
    const each = ((await heldBytes()) - before) / messages;
    // 2,000 of payload, and what holds it; two copies would be more than 4,000.
    expect(each).toBeLessThan(3_200);
    expect(retained.bytes / retained.count).toBeGreaterThan(each / 2);
    const [first] = retained.matching('a/7');
    expect(Buffer.from(first!.payload).equals(Buffer.alloc(2_000, 'x'))).toBe(true);
  },
);

test('a payload that is kept is the same to the last byte, whatever is in it', () => {
  const payload = Buffer.from(Array.from({ length: 1024 }, (_, index) => index & 0xff));
  for (const size of [1, 255, 1024]) {
    const content = {
      topic: 'a',
      payload: payload.subarray(0, size),
      qos: 0,
      retain: true,
    } as const;
    const message = new Message(content, 0).keep();
    expect([...message.payload]).toEqual([...payload.subarray(0, size)]);
    expect([...message.record().payload]).toEqual([...payload.subarray(0, size)]);
    const { head } = message.frame({ version: 4, qos: 0, retain: true, subscriptionIds: [] }, 0);
    expect([...head.subarray(-size)]).toEqual([...payload.subarray(0, size)]);
  }
});

test('a message that waits counts as what it takes, not only as its payload', () => {
  const held = { bytes: 0 };
  const queue = new WaitingQueue(held);
  const content = { topic: 'a', payload: Buffer.of(1), qos: 1, retain: false } as const;
  const properties = { userProperties: [['name', 'x'.repeat(10_000)]] } as const;
  const share = { qos: 1, retain: false, subscriptionIds: [] } as const;
  queue.push(deliveryOf(new Message(content, 0), share));
  expect(held.bytes).toBeGreaterThan(200);
  queue.push(deliveryOf(new Message({ ...content, properties }, 0), share));
  expect(held.bytes).toBeGreaterThan(10_000);
  while (queue.shift() !== undefined);
  expect(held.bytes).toBe(0);
});

test('what many subscribers do not read is bounded together, and one that reads is none of them', async () => {
  const unsent = { bytes: 0 };
  const bounds = { ...defaultBounds, unsentBytesTotal: 2 ** 20 };
  const open = (isRead: boolean): Connection => {
    const socket = new Duplex({
      read() {},
      write(_bytes, _encoding, done) {
        if (isRead) done();
      },
    });
    return new Connection(socket as never, bounds, () => 0, unsent);
  };
  const stuck = Array.from({ length: 50 }, () => open(false));
  const reader = open(true);
  const frame = Buffer.alloc(4000);
  for (let round = 0; round < 100; round++) {
    for (const connection of [...stuck, reader]) {
      if (!connection.isSlow) connection.write(frame);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(reader.isSlow).toBe(false);
  }
  const bytes = stuck.reduce((sum, { writableLength }) => sum + writableLength, 0);
  expect(bytes).toBeLessThan(2 ** 20 + 50 * (32 * 2 ** 10 + 4000));
  expect(unsent.bytes).toBe(bytes);
  for (const { socket } of stuck) socket.destroy();
  await new Promise((resolve) => setImmediate(resolve));
  expect(unsent.bytes).toBe(0);
});
