import { generate } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../services/child.ts';
import {
  connectPacket,
  connectRaw,
  createHeldIngest,
  openRawClient,
  openTestBroker,
  publishPacket,
  stopAll,
} from './harness.ts';
import { connectBytes as bytesOfConnect, field, packet, properties } from './packet-bytes.ts';

afterEach(stopAll);

const connectBytes = (id: string): Buffer => generate(connectPacket(4, { id }));

describe('before the CONNECT', () => {
  test.for([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'not_mqtt'],
    ['a TLS greeting', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]), 'not_mqtt'],
    ['a PUBLISH', generate(publishPacket('a/b', 'x')), 'not_mqtt'],
    ['a length of five bytes', Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 1]), 'malformed'],
    ['a length of 256 MB', Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), 'too_large'],
    ['more than 4 KiB', connectBytes('x'.repeat(4096)), 'too_large'],
    ['another protocol', Buffer.from([0x10, 6, 0, 4, 0x41, 0x4d, 0x51, 0x50]), 'not_mqtt'],
  ] as const)('%s is refused at once', async ([, bytes, reason]) => {
    const broker = await openTestBroker();
    const client = await openRawClient(broker.port);
    client.send(bytes);
    await client.gone();
    expect(client.received).toEqual([]);
    expect(await broker.count('brokerRefused', reason)).toBe(1);
  });

  test('a CONNECT that comes a byte at a time is understood', async () => {
    const { port } = await openTestBroker();
    const client = await openRawClient(port);
    for (const byte of connectBytes('slow')) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.next('connack')).returnCode).toBe(0);
  });

  test.for([
    ['[MQTT-3.1.3-8] no identifier and a session', { id: '', flags: 0 }, 4, 2],
    ['[MQTT5-3.1.2-12] a will of QoS 3', { level: 5, flags: 0x1e }, 5, 0x81],
    [
      '[MQTT5-3.1.2.11.3] Receive Maximum 0',
      { level: 5, properties: properties(0x21, 0, 0) },
      5,
      0x82,
    ],
    ['[MQTT5-4.12.0-1] a method unknown', { level: 5, properties: properties(0x15, 'X') }, 5, 0x8c],
  ] as const)('%s is answered with the code for it', async ([, given, version, code]) => {
    const { port } = await openTestBroker();
    const client = await openRawClient(port, version);
    client.send(bytesOfConnect(given));
    const { returnCode, reasonCode } = await client.next('connack');
    expect(version === 5 ? reasonCode : returnCode).toBe(code);
    await client.gone();
  });

  test('a CONNECT with an unknown level of the protocol is told so', async () => {
    const { port } = await openTestBroker();
    const client = await openRawClient(port);
    const bytes = Buffer.from(connectBytes('x'));
    bytes[8] = 6;
    client.send(bytes);
    expect((await client.next('connack')).returnCode).toBe(1);
    await client.gone();
  });

  test('who does not finish its CONNECT in time is closed', async () => {
    const broker = await openTestBroker({ bounds: { connectMaxMs: 200 } });
    const mute = await openRawClient(broker.port);
    const half = await openRawClient(broker.port);
    half.send(connectBytes('half').subarray(0, 7));
    const dripping = await openRawClient(broker.port);
    const bytes = connectBytes('dripping'.repeat(20));
    for (let index = 0; !dripping.closed && index < bytes.length; index++) {
      dripping.send(bytes.subarray(index, index + 1));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await Promise.all([mute.gone(), half.gone(), dripping.gone()]);
    expect(await broker.count('brokerRefused', 'timeout')).toBe(3);
  });

  test('connections are bounded, and silent ones make room for those that speak', async () => {
    const broker = await openTestBroker({ options: { limits: { connections: 3 } } });
    const honest = await connectRaw(broker.port, 4, { id: 'honest' });
    await openRawClient(broker.port);
    await openRawClient(broker.port);
    const early = await openRawClient(broker.port);
    await early.gone();
    expect(await broker.count('brokerRefused', 'connections')).toBe(1);
    const late = await eventually(
      async () => await connectRaw(broker.port, 4, { id: 'late' }),
      10_000,
    );
    for (const client of [honest, late]) {
      client.send(publishPacket('a/b', 'x', 1));
      await client.next('puback');
    }
  });
});

describe('after the CONNECT', () => {
  const utf8 = (text: string): number[] => [...Buffer.from(text)];
  const publish = (topic: number[]): Buffer => packet(0x32, field(topic), [0, 1], 0, 0x78);

  test.for([
    ['a second CONNECT', connectBytes('again'), 'protocol', 0x82],
    ['U+0000 in a topic', publish([0x61, 0, 0x62]), 'malformed', 0x81],
    ['half a character in a topic', publish([0x61, 0xc3]), 'malformed', 0x81],
    ['a surrogate in a topic', publish([0xed, 0xa0, 0x80]), 'malformed', 0x81],
    ['a wildcard in a topic', publish(utf8('a/#')), 'topic', 0x90],
    ['a topic longer than its packet', Buffer.from([0x30, 4, 0, 9, 0x61, 0x62]), 'malformed', 0x81],
    ['QoS 3', Buffer.from([0x36, 5, 0, 1, 0x61, 0, 1]), 'malformed', 0x81],
    ['packet identifier 0', Buffer.from([0x32, 5, 0, 1, 0x61, 0, 0]), 'malformed', 0x81],
    ['flags that are reserved', Buffer.from([0xc1, 0]), 'malformed', 0x81],
    ['a packet only a server sends', Buffer.from([0x90, 3, 0, 1, 0]), 'protocol', 0x82],
    ['type 0', Buffer.from([0x00, 0]), 'malformed', 0x81],
    ['a SUBSCRIBE without a filter', Buffer.from([0x82, 3, 0, 1, 0]), 'protocol', 0x82],
    [
      'U+0000 in a filter',
      Buffer.from([0x82, 9, 0, 1, 0, 0, 3, 0x61, 0, 0x62, 0]),
      'malformed',
      0x81,
    ],
  ] as const)('%s is refused, with the reason', async ([, bytes, reason, code]) => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port, 5);
    client.send(bytes);
    expect((await client.next('disconnect')).reasonCode).toBe(code);
    await client.gone();
    expect(await broker.count('brokerRefused', reason)).toBe(1);
    expect(broker.messages).toEqual([]);
  });

  test('what was refused is counted by the statement it breaks, and said with it', async () => {
    const broker = await openTestBroker();
    for (const [version, clause] of [
      [4, 'MQTT-3.3.2-2'],
      [5, 'MQTT5-3.3.2-2'],
    ] as const) {
      const client = await connectRaw(broker.port, version);
      client.send(packet(0x30, 'a/#', 0));
      await client.gone();
      expect(await broker.metrics.registry.metrics()).toContain(
        `tidegate_broker_refused_total{reason="topic",clause="${clause}"} 1`,
      );
      expect(broker.said.find(({ fields }) => fields.clause === clause)).toMatchObject({
        ...{ level: 'debug', fields: { reason: 'topic', client: 'device' } },
      });
    }
  });

  test('[MQTT-3.14.4-1] what comes behind a DISCONNECT counts for nothing, and no will is sent', async () => {
    const broker = await openTestBroker();
    const will = { topic: 'state/a', payload: Buffer.from('gone'), qos: 1, retain: false };
    const client = await connectRaw(broker.port, 5, { will });
    client.send(packet(0xe0), packet(0x00), packet(0x30, 'a/b', 0));
    await client.gone();
    await eventually(() => expect(broker.source.clients).toBe(0));
    expect(broker.messages).toEqual([]);
    expect(await broker.count('brokerRefused', 'malformed')).toBe(0);
  });

  test('[MQTT5-3.3.4-7] more unacknowledged messages than allowed are refused', async () => {
    const held = createHeldIngest();
    const broker = await openTestBroker({ ingest: held.ingest, bounds: { receiveMaximum: 10 } });
    const [allowed, greedy] = [
      await connectRaw(broker.port, 5, { id: 'allowed' }),
      await connectRaw(broker.port, 5, { id: 'greedy' }),
    ];
    for (let id = 1; id <= 11; id++) {
      const bytes = packet(0x32, 'a/b', [0, id], 0);
      if (id < 11) allowed.send(bytes);
      greedy.send(bytes);
    }
    expect((await greedy.next('disconnect')).reasonCode).toBe(0x93);
    await eventually(() => expect(held.messages).toHaveLength(20));
    held.release();
    for (let id = 1; id <= 10; id++) await allowed.next('puback');
    allowed.send(packet(0x32, 'a/b', [0, 11], 0));
    await eventually(() => {
      held.release();
      expect(allowed.received.filter(({ cmd }) => cmd === 'puback')).toHaveLength(11);
    });
  });

  test('topic aliases are announced, and resolved on every way a message can take', async () => {
    const broker = await openTestBroker();
    const client = await openRawClient(broker.port, 5);
    client.send(connectPacket(5));
    const { properties: announced } = await client.next('connack');
    expect(announced).toMatchObject({ topicAliasMaximum: 16 });
    const alias = properties(0x23, 0, 16);
    client.send(
      packet(0x32, 'a/b', [0, 1], alias, [0x31]),
      packet(0x32, '', [0, 2], alias, [0x32]),
      packet(0x33, '', [0, 3], alias, [0x33]),
      packet(0x34, '', [0, 4], alias, [0x34]),
    );
    await client.next('pubrec');
    expect(broker.messages.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual([
      ...['a/b 1', 'a/b 2', 'a/b 3', 'a/b 4'],
    ]);
  });

  test('topics that are not ASCII arrive as they are', async () => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port, 5);
    client.send(publishPacket('Gewächshaus/温度', 'x', 1));
    await client.next('puback');
    expect(broker.messages[0]!.topic).toBe('Gewächshaus/温度');
  });

  test('a packet larger than allowed is refused before it has come', async () => {
    const broker = await openTestBroker({ options: { limits: { packetBytes: '1KiB' } } });
    for (const version of [4, 5] as const) {
      const client = await connectRaw(broker.port, version);
      const fits = generate(publishPacket('a/b', Buffer.alloc(1000), 1), {
        protocolVersion: version,
      });
      client.send(fits);
      await client.next('puback');
      client.send(generate(publishPacket('a/b', Buffer.alloc(2000), 1)).subarray(0, 10));
      if (version === 5) expect((await client.next('disconnect')).reasonCode).toBe(0x95);
      await client.gone();
    }
    expect(broker.messages).toHaveLength(2);
    expect(await broker.count('brokerRefused', 'too_large')).toBe(2);
  });

  test('MQTT 5 clients are told how large a packet may be, and how many may be under way', async () => {
    const { port } = await openTestBroker({ options: { limits: { packetBytes: '1KiB' } } });
    const client = await openRawClient(port, 5);
    client.send(connectPacket(5));
    const { properties } = await client.next('connack');
    expect(properties).toMatchObject({ maximumPacketSize: 1024, receiveMaximum: 5000 });
  });

  test('a packet that does not come to its end in time is refused', async () => {
    const broker = await openTestBroker({ bounds: { packetMaxMs: 200, connectMaxMs: 400 } });
    const client = await connectRaw(broker.port);
    client.send(generate(publishPacket('a/b', Buffer.alloc(1000))).subarray(0, 500));
    await client.gone();
    expect(await broker.count('brokerRefused', 'timeout')).toBe(1);
  });

  test('packets that do not come to their end share a bounded memory', async () => {
    const broker = await openTestBroker({ bounds: { unfinishedBytes: 100_000 } });
    const begun = generate(publishPacket('a/b', Buffer.alloc(90_000))).subarray(0, 60_000);
    const first = await connectRaw(broker.port, 4, { id: 'first' });
    first.send(begun);
    await eventually(async () => {
      const second = await connectRaw(broker.port, 4, { id: 'second' });
      second.send(begun);
      await second.gone(1000);
    });
    expect(await broker.count('brokerRefused', 'unfinished')).toBeGreaterThan(0);
    first.end();
    await eventually(() => expect(broker.source.clients).toBe(0));
    const third = await connectRaw(broker.port, 4, { id: 'third' });
    third.send(begun, Buffer.alloc(90_000 + 9 - begun.length), { cmd: 'pingreq' });
    await third.next('pingresp');
  });

  test('packets cut at every place arrive whole', async () => {
    const broker = await openTestBroker();
    const client = await connectRaw(broker.port);
    const large = 'y'.repeat(40_000);
    const bytes = Buffer.concat(
      ['a', 'bb', large, '', 'ccc'].map((text, index) =>
        generate(publishPacket(`cut/${index}`, text, 1, index + 1)),
      ),
    );
    for (const step of [1, 7, 4096]) {
      const part = step === 1 ? bytes.subarray(0, 40) : bytes;
      for (let at = 0; at < part.length; at += step) {
        client.socket.write(part.subarray(at, at + step));
        if (step < 4096 && at % 700 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      if (step === 1) client.socket.write(bytes.subarray(40));
      for (let index = 0; index < 5; index++) await client.next('puback');
    }
    const sizes = broker.messages.map(({ payload }) => payload.length);
    expect(sizes).toEqual([1, 2, 40_000, 0, 3, 1, 2, 40_000, 0, 3, 1, 2, 40_000, 0, 3]);
  });
});
