import { generate, parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { noRights, openRights } from '../../src/broker/access.ts';
import type { Connection } from '../../src/broker/connection.ts';
import { broken } from '../../src/broker/decode/clauses.ts';
import { bodyOf } from '../../src/broker/decode/header.ts';
import { PublishView, readPublish, withoutAlias } from '../../src/broker/decode/publish.ts';
import { Refusal } from '../../src/broker/decode/refusal.ts';
import { Publisher } from '../../src/broker/publisher.ts';
import { TopicTable } from '../../src/broker/topic-table.ts';
import { bytesOf, field, overlong, packet, properties, surrogate } from './packet-bytes.ts';

const view = new PublishView();
const rights = openRights(undefined);

function read(bytes: Buffer, level = 5): Refusal | undefined {
  return readPublish(view, bytes, bytes[0]!, bodyOf(bytes, 0), bytes.length, level);
}

/** What the guard makes of the packet: its topic, or the refusal. */
function topicOf(bytes: Buffer, publisher = new Publisher({} as Connection), level = 5) {
  const own = read(bytes, level) ?? publisher.topicOf(view, new TopicTable(), rights, 16);
  return own instanceof Refusal ? own : own.known.topic;
}

test('its parts are found where mqtt-packet puts them', () => {
  const bytes = generate(
    {
      ...{ cmd: 'publish', topic: 'a/ü', payload: Buffer.from('21.5'), qos: 1, messageId: 513 },
      ...{ retain: false, dup: true },
      properties: {
        messageExpiryInterval: 5,
        contentType: 'text/plain',
        userProperties: { a: 'b' },
      },
    },
    { protocolVersion: 5 } as never,
  );
  expect(topicOf(bytes)).toBe('a/ü');
  expect(view).toMatchObject({ id: 513, qos: 1, dup: true, retain: false, alias: 0 });
  expect(bytes.toString('utf8', view.payloadAt, view.end)).toBe('21.5');
  expect(view.properties.message()).toEqual({
    ...{ messageExpiryInterval: 5, contentType: 'text/plain', userProperties: [['a', 'b']] },
  });
});

describe('a PUBLISH is refused', () => {
  const five = (...of: Parameters<typeof properties>) =>
    packet(0x30, 'a/b', properties(...of), [0x78]);

  test.for([
    ['[MQTT-3.3.2-2] with # in its topic', packet(0x30, 'a/#', [0]), broken.topicWildcard],
    ['[MQTT-3.3.2-2] with + in its topic', packet(0x30, '+', [0]), broken.topicWildcard],
    [
      '[MQTT-3.3.2-1] with half a character',
      packet(0x30, field([0x61, 0xc3]), [0]),
      broken.topicUtf8,
    ],
    ['[MQTT-3.3.2-1] with a surrogate', packet(0x30, field(surrogate), [0]), broken.topicUtf8],
    ['[MQTT-3.3.2-1] with an overlong form', packet(0x30, field(overlong), [0]), broken.topicUtf8],
    ['[MQTT-4.7.3-2] with U+0000 in its topic', packet(0x30, 'a\0b', [0]), broken.topicNull],
    ['[MQTT5-3.3.2.1] with neither topic nor alias', packet(0x30, '', [0]), broken.topicMissing],
    [
      '[MQTT-2.3.1-1] [MQTT5-2.2.1-3] with identifier 0',
      packet(0x32, 'a', [0, 0, 0]),
      broken.packetId,
    ],
    ['[MQTT-4.8.0-1] with a topic longer than it', packet(0x30, [0, 9, 0x61]), broken.tooShort],
    ['[MQTT-4.8.0-1] with no room for a topic', packet(0x30, [0]), broken.tooShort],
    ['[MQTT-4.8.0-1] with no room for an identifier', packet(0x32, 'a', [0]), broken.tooShort],
    ['[MQTT5-2.2.2.1] without properties', packet(0x30, 'a'), broken.propertyLength],
    ['[MQTT5-3.3.4-6] with a subscription identifier', five(0x0b, 1), broken.publishSubscriptionId],
    ['[MQTT5-3.3.2-8] with alias 0', five(0x23, 0, 0), broken.aliasZero],
    ['[MQTT5-3.3.2-9] with an alias beyond the maximum', five(0x23, 0, 17), broken.aliasTooLarge],
    [
      '[MQTT5-3.3.2-7] with an alias that stands for nothing yet',
      packet(0x30, '', properties(0x23, 0, 1)),
      broken.aliasUnknown,
    ],
    [
      '[MQTT5-3.3.2-14] with a wildcard to respond to',
      five(0x08, 'a/+'),
      broken.responseTopicWildcard,
    ],
    [
      '[MQTT5-3.3.2-13] with no UTF-8 to respond to',
      five(0x08, field(overlong)),
      broken.responseTopicUtf8,
    ],
    ['[MQTT5-4.7.3-1] with an empty topic to respond to', five(0x08, ''), broken.filterEmpty],
    [
      '[MQTT5-3.3.2-19] with a content type that is not UTF-8',
      five(0x03, field(surrogate)),
      broken.contentTypeUtf8,
    ],
    ['[MQTT5-3.3.2.3.2] with payload format 2', five(0x01, 2), broken.payloadFormat],
    [
      '[MQTT5-2.2.2.2] with an expiry twice',
      five([2, 0, 0, 0, 1, 2, 0, 0, 0, 1]),
      broken.propertyTwice,
    ],
    ['[MQTT5-2.2.2.2] with a property of CONNECT', five(0x11, 0, 0, 0, 1), broken.propertyUnknown],
  ] as const)('%s', ([, bytes, refusal]) => {
    expect(topicOf(bytes)).toBe(refusal);
  });

  test('[MQTT-4.7.3-1] with no topic, by MQTT 3.1.1', () => {
    expect(read(packet(0x30, '', [0x78]), 4)).toBe(broken.topicMissing);
  });

  test('wherever it is cut before its payload, without reading beyond it', () => {
    const head = bytesOf('a/b', [0, 1], properties(0x23, 0, 2, 0x26, 'name', 'value'));
    for (let size = 0; size < head.length; size++) {
      const bytes = packet(0x32, head.subarray(0, size));
      const longer = Buffer.concat([bytes, head.subarray(size), Buffer.alloc(100, 0x61)]);
      const problem = readPublish(view, longer, 0x32, bodyOf(longer, 0), bytes.length, 5);
      expect(problem, `cut at ${size}`).toBeInstanceOf(Refusal);
    }
  });
});

describe('topic aliases', () => {
  const withAlias = (topic: string, alias: number) =>
    packet(0x30, topic, properties(0x23, 0, alias), [0x78]);

  test('[MQTT5-3.3.2-12] stand for the topic they came with last, on their connection only', () => {
    const publisher = new Publisher({} as Connection);
    expect(topicOf(withAlias('a/b', 1), publisher)).toBe('a/b');
    expect(topicOf(withAlias('c', 2), publisher)).toBe('c');
    expect(topicOf(withAlias('', 1), publisher)).toBe('a/b');
    expect(topicOf(withAlias('d', 1), publisher)).toBe('d');
    expect(topicOf(withAlias('', 1), publisher)).toBe('d');
    expect(topicOf(withAlias('', 2), publisher)).toBe('c');
    expect(topicOf(withAlias('', 1))).toBe(broken.aliasUnknown);
  });

  test('go on as topics, and nothing else of the packet changes', () => {
    const more = properties(0x26, 'n', 'v', 0x23, 0, 1, 0x03, 'text/plain');
    const bytes = packet(0x3d, '', [1, 2], more, Buffer.alloc(200, 0x79));
    expect(read(bytes)).toBeUndefined();
    const whole = withoutAlias(view, Buffer.from('a/b'));
    const reader = parser({ protocolVersion: 5 } as never);
    const seen: unknown[] = [];
    reader.on('packet', (found) => seen.push(found));
    reader.parse(whole);
    expect(seen).toEqual([
      expect.objectContaining({
        ...{ topic: 'a/b', qos: 2, dup: true, retain: true, messageId: 258 },
        payload: Buffer.alloc(200, 0x79),
        properties: { userProperties: { n: 'v' }, contentType: 'text/plain' },
      }),
    ]);
  });
});

describe('what is remembered of topics', () => {
  test('is bounded, and right however many there are', () => {
    const table = new TopicTable();
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 12_000; index++) {
        const topic = Buffer.from(`load/${index}`);
        expect(table.find(topic, 0, topic.length)).toMatchObject({ topic: `load/${index}` });
      }
    }
    expect(table.size).toBeLessThanOrEqual(10_000);
    const long = Buffer.alloc(60_000, 0x61);
    const { size } = table;
    expect(table.find(long, 0, long.length)).toMatchObject({ isKept: true });
    expect(table.size).toBe(size);
  });

  test('keeps no memory but its own, whatever came in between', () => {
    const table = new TopicTable();
    const held = Array.from({ length: 100 }, (_, index) => {
      const topic = Buffer.from(`load/${index}`);
      const known = table.find(topic, 0, topic.length);
      if (known instanceof Refusal) throw new Error('a topic was refused');
      return known.bytes.buffer.byteLength - topic.length;
    });
    expect(Math.max(...held)).toBe(0);
  });

  test('of one client is what it may publish, for ten topics in turn', () => {
    const publisher = new Publisher({} as Connection);
    const table = new TopicTable();
    for (let index = 0; index < 100; index++) {
      const topic = index % 10 === 3 ? `$SYS/${index % 10}` : `a/${index % 10}`;
      read(packet(0x30, topic, [0]));
      const own = publisher.topicOf(view, table, rights, 16);
      expect(own).toMatchObject({ known: { topic }, allowed: index % 10 !== 3 });
    }
    read(packet(0x30, 'a', [0]));
    const none = new Publisher({} as Connection).topicOf(view, table, noRights, 16);
    expect(none).toMatchObject({ allowed: false });
  });
});

test('[MQTT5-3.3.4-7] what a client may have under way is counted until it is acknowledged', () => {
  const written: Uint8Array[] = [];
  const traffic = { packetsOut: 0 };
  const connection = { traffic, write: (bytes: Uint8Array) => written.push(bytes) };
  const publisher = new Publisher(connection as unknown as Connection);
  publisher.inFlight = 2;
  publisher.opened(7);
  publisher.opened(7);
  expect(publisher.unacknowledged).toBe(3);
  expect(publisher.exceeds(0x32, 3)).toBe(true);
  expect(publisher.exceeds(0x34, 3)).toBe(true);
  expect(publisher.exceeds(0x3c, 3)).toBe(false);
  expect(publisher.exceeds(0x30, 3)).toBe(false);
  publisher.acknowledgeAll([0, 0x0102, 3, 0], 1, 3);
  publisher.released(7);
  expect(publisher.unacknowledged).toBe(0);
  expect(publisher.exceeds(0x32, 3)).toBe(false);
  expect(Buffer.concat(written)).toEqual(Buffer.from([0x40, 2, 1, 2, 0x40, 2, 0, 3]));
});

test('a topic has no more levels than the broker takes, however long it may be', () => {
  const publisher = new Publisher({} as Connection);
  const levels = (count: number) => topicOf(packet(0x30, '/'.repeat(count - 1), 0, 1), publisher);
  expect(levels(128)).toBe('/'.repeat(127));
  expect(levels(129)).toBe(broken.topicLevels);
  expect(levels(60_000)).toBe(broken.topicLevels);
  const long = 'x'.repeat(60_000);
  expect(topicOf(packet(0x30, long, 0, 1), publisher)).toBe(long);
});
