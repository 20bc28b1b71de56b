import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../services/child.ts';
import { connectKept, payloads, publish, received, subscribe } from './delivery-clients.ts';
import { connectRaw, createFastClock, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);

describe('what is under way', () => {
  test('is never more than the client takes, and goes on when it acknowledges', async () => {
    const { port } = await openTestBroker();
    const reader = await connectRaw(port, 5, { id: 'reader', properties: { receiveMaximum: 2 } });
    await subscribe(reader, 'a/#', 2);
    const writer = await connectRaw(port, 5, { id: 'writer' });
    for (let index = 1; index <= 6; index++) await publish(writer, 'a/b', `${index}`);
    expect(await payloads(reader)).toEqual(['1', '2']);
    const [, second] = await received(reader);
    // Out of order is allowed.
    reader.send({ cmd: 'puback', messageId: second!.messageId! });
    expect(await payloads(reader)).toEqual(['1', '2', '3']);
    // Acknowledging twice gives no second place.
    reader.send({ cmd: 'puback', messageId: second!.messageId! });
    expect(await payloads(reader)).toHaveLength(3);
  });

  test('at QoS 2 takes its place until PUBCOMP, and PUBREC with an error ends it', async () => {
    const { port } = await openTestBroker();
    const reader = await connectRaw(port, 5, { id: 'reader', properties: { receiveMaximum: 1 } });
    await subscribe(reader, 'a/#', 2);
    const writer = await connectRaw(port, 4, { id: 'writer' });
    for (const [index, text] of ['one', 'two', 'three'].entries()) {
      writer.send(publishPacket('a/b', text, 2, index + 1));
      await writer.next('pubrec');
    }
    const one = await reader.next('publish');
    reader.send({ cmd: 'pubrec', messageId: one.messageId!, reasonCode: 0 });
    await reader.next('pubrel');
    expect(await payloads(reader)).toEqual(['one']);
    reader.send({ cmd: 'pubcomp', messageId: one.messageId!, reasonCode: 0 });
    const two = (await received(reader))[1]!;
    expect(String(two.payload)).toBe('two');
    reader.send({ cmd: 'pubrec', messageId: two.messageId!, reasonCode: 0x97 });
    expect(await payloads(reader)).toEqual(['one', 'two', 'three']);
    expect(reader.received.filter(({ cmd }) => cmd === 'pubrel')).toHaveLength(1);
  });

  test('acknowledgements of what was never sent do no harm', async () => {
    const { port } = await openTestBroker();
    const client = await connectRaw(port, 5, { id: 'client' });
    client.send({ cmd: 'puback', messageId: 9, reasonCode: 0 });
    client.send({ cmd: 'pubcomp', messageId: 9, reasonCode: 0 });
    client.send({ cmd: 'pubrec', messageId: 9, reasonCode: 0 });
    expect(await client.next('pubrel')).toMatchObject({ messageId: 9, reasonCode: 0x92 });
    client.send({ cmd: 'pubrel', messageId: 9, reasonCode: 0 });
    expect(await client.next('pubcomp')).toMatchObject({ messageId: 9, reasonCode: 0x92 });
    await subscribe(client, 'a', 1);
    client.send(publishPacket('a', 'x'));
    await client.next('publish');
  });

  test('an acknowledgement of the wrong kind ends the connection', async () => {
    const { port } = await openTestBroker();
    const client = await connectRaw(port, 5, { id: 'client' });
    await subscribe(client, 'a', 2);
    client.send(publishPacket('a', 'x', 2, 1));
    const { messageId } = await client.next('publish');
    client.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 });
    expect((await client.next('disconnect')).reasonCode).toBe(0x82);
    await client.gone();
  });

  test('is sent again when the client returns: in order, marked, with the same identifiers', async () => {
    const { port } = await openTestBroker();
    const before = await connectKept(port, 'reader', { receiveMaximum: 3 });
    await subscribe(before, 'a/#', 2);
    const writer = await connectRaw(port, 4, { id: 'writer' });
    for (let index = 1; index <= 5; index++) {
      writer.send(publishPacket('a/b', `${index}`, index % 2 === 0 ? 2 : 1, index));
    }
    await eventually(async () => expect(await payloads(before)).toEqual(['1', '2', '3']));
    const sent = await received(before);
    before.send({ cmd: 'pubrec', messageId: sent[1]!.messageId!, reasonCode: 0 });
    await before.next('pubrel');
    before.end();
    const after = await connectKept(port, 'reader', { receiveMaximum: 3 });
    const again = await received(after);
    expect(again.map(({ payload, dup }) => `${payload} ${dup}`)).toEqual([
      '1 true',
      '3 true',
      '4 false',
    ]);
    expect(again[0]!.messageId).toBe(sent[0]!.messageId);
    // Of the second only PUBREL is to be sent [MQTT-4.3.3-1].
    expect(await after.next('pubrel')).toMatchObject({ messageId: sent[1]!.messageId });
  });
});

describe('what a client cannot take', () => {
  test.for([0, 4])(
    'is not sent when it is larger than its maximum packet size, and is counted (%i aliases)',
    async (topicAliasMaximum) => {
      const broker = await openTestBroker();
      const properties = { maximumPacketSize: 60, topicAliasMaximum };
      const reader = await connectRaw(broker.port, 5, { id: 'reader', properties });
      await subscribe(reader, 'a/#', 1);
      const writer = await connectRaw(broker.port, 4, { id: 'writer' });
      const topic = `a/${'t'.repeat(20)}`;
      for (const size of [200, 5, 29, 30, 31, 32, 33]) {
        await publish(writer, topic, 'x'.repeat(size));
      }
      const sizes = (await received(reader)).map(({ payload }) => payload.length);
      // 2 of the header, 2 + 22 of the topic, 2 of the identifier, 1 for no properties, …
      expect(sizes).toEqual([5, 29, 30, 31]);
      expect(await broker.count('brokerDropped', 'too_large_for_subscriber')).toBe(3);
    },
  );

  test('waits no longer than its publisher said, and what is left of that is told', async () => {
    const broker = await openTestBroker({ clock: createFastClock(20) });
    const reader = await connectKept(broker.port, 'reader');
    await subscribe(reader, 'a/#', 1);
    reader.send({ cmd: 'disconnect', reasonCode: 0 });
    await reader.gone();
    const writer = await connectRaw(broker.port, 5, { id: 'writer' });
    await publish(writer, 'a/b', 'short', { properties: { messageExpiryInterval: 2 } });
    await publish(writer, 'a/b', 'long', { properties: { messageExpiryInterval: 1000 } });
    await createFastClock(20).sleep(3000);
    const back = await connectKept(broker.port, 'reader');
    const [message, ...more] = await received(back);
    expect([String(message!.payload), more]).toEqual(['long', []]);
    const left = message!.properties!.messageExpiryInterval!;
    expect(left).toBeGreaterThan(900);
    expect(left).toBeLessThanOrEqual(997);
    expect(await broker.count('brokerDropped', 'expired')).toBe(1);
  });

  test('is bounded while it does not read: the oldest goes, and others are not held up', async () => {
    const bounds = { slowBytes: 64 * 2 ** 10, drainMaxMs: 60_000, inflightMessages: 500 };
    const broker = await openTestBroker({
      ...{ bounds, ingest: async () => {} },
      options: { limits: { queuedMessages: 10 } },
    });
    const slow = await connectRaw(broker.port, 4, { id: 'slow' });
    await subscribe(slow, 'load', 1);
    slow.socket.pause();
    const writer = await connectRaw(broker.port, 4, { id: 'writer' });
    const payload = 'x'.repeat(64 * 2 ** 10);
    const count = 200;
    for (let index = 0; index < count; index++)
      await publish(writer, 'load', `${index} ${payload}`);
    const dropped = await broker.count('brokerDropped', 'queue_full');
    expect(dropped).toBeGreaterThan(50);
    slow.socket.resume();
    const seen: number[] = [];
    await eventually(() => {
      for (const packet of slow.received.splice(0)) {
        if (packet.cmd !== 'publish') continue;
        seen.push(Number.parseInt(String(packet.payload), 10));
        slow.send({ cmd: 'puback', messageId: packet.messageId! });
      }
      expect(seen).toHaveLength(count - dropped);
    });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(count - 1);
  });
});

describe('MQTT 5 on the way out', () => {
  test('topics are replaced by aliases, no more than the client allows', async () => {
    const { port } = await openTestBroker();
    const reader = await connectRaw(port, 5, {
      id: 'reader',
      properties: { topicAliasMaximum: 2 },
    });
    await subscribe(reader, '#', 1);
    const writer = await connectRaw(port, 4, { id: 'writer' });
    const topics = ['room/1', 'room/2', 'room/1', 'room/3', 'room/2', 'room/1'];
    for (const topic of topics) await publish(writer, topic, topic);
    const sent = (await received(reader)).map(({ topic, properties }) => [
      topic,
      properties!.topicAlias,
    ]);
    // The one not used for longest gives up its place.
    expect(sent).toEqual([
      ...[
        ['room/1', 1],
        ['room/2', 2],
        ['', 1],
      ],
      ...[
        ['room/3', 2],
        ['room/2', 1],
        ['room/1', 2],
      ],
    ]);
  });

  test('overlapping subscriptions bring one copy, at the highest QoS, with all identifiers', async () => {
    const { port } = await openTestBroker();
    const reader = await connectRaw(port, 5, { id: 'reader' });
    await subscribe(reader, 'a/#', 0, 7);
    await subscribe(reader, 'a/b', 2, 300_000);
    await subscribe(reader, '+/b', 1);
    const writer = await connectRaw(port, 4, { id: 'writer' });
    await publish(writer, 'a/b', 'x');
    const [message, ...more] = await received(reader);
    expect([message!.qos, more]).toEqual([1, []]);
    expect([message!.properties!.subscriptionIdentifier].flat().sort()).toEqual([300_000, 7]);
  });

  test('properties go through unchanged, user properties in order', async () => {
    const broker = await openTestBroker();
    const reader = await connectRaw(broker.port, 5, { id: 'reader' });
    const older = await connectRaw(broker.port, 4, { id: 'older' });
    await subscribe(reader, '#', 2);
    await subscribe(older, '#', 2);
    const writer = await connectRaw(broker.port, 5, { id: 'writer' });
    const properties = {
      ...{ payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'answers/ü' },
      correlationData: Buffer.from([0, 255, 1]),
      userProperties: { 2: 'b', 1: ['a', 'z'] },
    };
    for (const [qos, retain] of [
      [0, false],
      [2, false],
      [1, true],
    ] as const) {
      writer.send(publishPacket('a/b', 'x', qos, 1, { retain, properties }));
      const got = await reader.next('publish');
      expect(got.properties).toMatchObject(properties);
      expect((await older.next('publish')).properties).toBeUndefined();
    }
  });

  test('no local: a client does not get what it published; retain as published: the flag stays', async () => {
    const { port } = await openTestBroker();
    const client = await connectRaw(port, 5, { id: 'client' });
    await subscribe(client, [
      { topic: 'own', nl: true },
      { topic: 'flag', rap: true },
      { topic: 'plain' },
    ]);
    const other = await connectRaw(port, 4, { id: 'other' });
    await publish(client, 'own', 'mine');
    await publish(other, 'own', 'theirs');
    for (const topic of ['flag', 'plain']) await publish(other, topic, topic, { retain: true });
    const got = (await received(client)).map(({ payload, retain }) => `${payload} ${retain}`);
    expect(got).toEqual(['theirs false', 'flag true', 'plain false']);
  });

  test('large payloads arrive whole, whatever stands before and behind them', async () => {
    const { port } = await openTestBroker();
    const readers = [
      await connectRaw(port, 5, { id: 'r5' }),
      await connectRaw(port, 4, { id: 'r4' }),
    ];
    for (const reader of readers) await subscribe(reader, '#', 1);
    const writer = await connectRaw(port, 4, { id: 'writer' });
    const sizes = [10, 20_000, 5, 100_000, 15_000, 16_384, 0, 60_000];
    writer.send(
      ...sizes.map((size, index) => publishPacket('a', Buffer.alloc(size, index), 1, index + 1)),
    );
    for (const reader of readers) {
      for (const [index, size] of sizes.entries()) {
        const { payload } = await reader.next('publish');
        expect(Buffer.from(payload as Buffer).equals(Buffer.alloc(size, index))).toBe(true);
      }
    }
  });
});
