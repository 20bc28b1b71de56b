import { generate } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { AcknowledgementView, readAcknowledgement } from '../../src/broker/decode/acknowledge.ts';
import { broken } from '../../src/broker/decode/clauses.ts';
import { disconnectProblem, pingProblem, readAuth } from '../../src/broker/decode/ending.ts';
import { bodyOf } from '../../src/broker/decode/header.ts';
import type { Refusal } from '../../src/broker/decode/refusal.ts';
import { readSubscribe, readUnsubscribe } from '../../src/broker/decode/subscribe.ts';
import { field, overlong, packet, properties, surrogate } from './packet-bytes.ts';

const none = properties();
const subscribe = (bytes: Buffer, level = 5) =>
  readSubscribe(bytes, bodyOf(bytes, 0), bytes.length, level);
const unsubscribe = (bytes: Buffer, level = 5) =>
  readUnsubscribe(bytes, bodyOf(bytes, 0), bytes.length, level);

describe('SUBSCRIBE', () => {
  test('is understood with all its options', () => {
    const subscriptions = [
      { topic: 'a/#', qos: 1, nl: true, rap: true, rh: 2 },
      { topic: '$share/group/+/b', qos: 2 },
      { topic: '+/+/', qos: 0 },
    ];
    const packet5 = { cmd: 'subscribe', messageId: 258, subscriptions } as const;
    const properties5 = { subscriptionIdentifier: 268_435_455, userProperties: { a: 'b' } };
    const bytes = generate(
      { ...packet5, properties: properties5 } as never,
      {
        protocolVersion: 5,
      } as never,
    );
    const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 };
    expect(subscribe(bytes)).toEqual({
      id: 258,
      subscriptionId: 268_435_455,
      userProperties: [['a', 'b']],
      requests: [
        { filter: 'a/#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { filter: '$share/group/+/b', qos: 2, ...plain },
        { filter: '+/+/', qos: 0, ...plain },
      ],
    });
    const older = generate({ ...packet5, subscriptions: [{ topic: 'a', qos: 2 }] } as never);
    expect(subscribe(older, 4)).toEqual({
      id: 258,
      requests: [{ filter: 'a', qos: 2, ...plain }],
    });
  });

  const to = (filter: string | Buffer, options = 0): Buffer =>
    packet(0x82, [0, 1], none, filter, options);

  test.for([
    [
      '[MQTT-2.3.1-1] [MQTT5-2.2.1-3] identifier 0',
      packet(0x82, [0, 0], none, 'a', 0),
      broken.packetId,
    ],
    [
      '[MQTT-3.8.3-3] [MQTT5-3.8.3-2] no filter',
      packet(0x82, [0, 1], none),
      broken.subscribeNothing,
    ],
    ['[MQTT-3.8.3-1] a filter that is not UTF-8', to(field(overlong)), broken.subscribeFilterUtf8],
    ['[MQTT-3.8.3-1] a surrogate in a filter', to(field(surrogate)), broken.subscribeFilterUtf8],
    ['[MQTT-4.7.3-2] U+0000 in a filter', to('a\0'), broken.topicNull],
    ['[MQTT-4.7.3-1] an empty filter', to(''), broken.filterEmpty],
    ['[MQTT-4.7.1-2] [MQTT5-4.7.1-1] # behind a word', to('a#'), broken.multiLevelWildcard],
    ['[MQTT-4.7.1-2] [MQTT5-4.7.1-1] # before a level', to('a/#/b'), broken.multiLevelWildcard],
    ['[MQTT-4.7.1-3] [MQTT5-4.7.1-2] + within a level', to('ab/+e'), broken.singleLevelWildcard],
    ['[MQTT-4.7.1-3] [MQTT5-4.7.1-2] + behind a word', to('a+/b'), broken.singleLevelWildcard],
    ['[MQTT5-3.8.3-5] reserved options', to('a', 0x40), broken.subscribeReserved],
    ['[MQTT5-3.8.3.1] QoS 3', to('a', 3), broken.subscribeQos],
    ['[MQTT5-3.8.3.1] retain handling 3', to('a', 0x30), broken.retainHandling],
    [
      '[MQTT5-3.8.3-4] no local of a shared subscription',
      to('$share/g/a', 4),
      broken.sharedNoLocal,
    ],
    ['[MQTT5-4.8.2-1] an empty share name', to('$share//a'), broken.shareName],
    ['[MQTT5-4.8.2-1] a wildcard in a share name', to('$share/g+/a'), broken.shareName],
    ['[MQTT5-4.8.2-2] a share name and no filter', to('$share/g'), broken.shareFilter],
    ['[MQTT5-4.8.2-2] a share name and an empty filter', to('$share/g/'), broken.shareFilter],
    [
      '[MQTT5-4.7.1-1] a wildcard that is wrong behind a share name',
      to('$share/g/a#'),
      broken.multiLevelWildcard,
    ],
    [
      '[MQTT5-3.8.2.1.2] subscription identifier 0',
      packet(0x82, [0, 1], properties(0x0b, 0), 'a', 0),
      broken.subscriptionIdZero,
    ],
    [
      '[MQTT5-2.2.2.2] two subscription identifiers',
      packet(0x82, [0, 1], properties([0x0b, 1, 0x0b, 2]), 'a', 0),
      broken.propertyTwice,
    ],
    [
      '[MQTT5-1.5.5-1] an overlong subscription identifier',
      packet(0x82, [0, 1], properties(0x0b, 0x81, 0), 'a', 0),
      broken.lengthEncoding,
    ],
    ['[MQTT-4.8.0-1] a filter without options', packet(0x82, [0, 1], none, 'a'), broken.tooShort],
    ['[MQTT-4.8.0-1] half a filter', packet(0x82, [0, 1], none, [0, 9, 0x61]), broken.tooShort],
    ['[MQTT-4.8.0-1] no identifier', packet(0x82, [0]), broken.tooShort],
  ] as const)('is refused: %s', ([, bytes, refusal]) => {
    expect(subscribe(bytes)).toBe(refusal);
  });

  test.for([
    ['a bit of MQTT 5', 4, broken.subscribeReserved],
    ['QoS 3', 3, broken.subscribeQos],
  ] as const)('[MQTT-3.8.3-4] is refused by MQTT 3.1.1: %s', ([, options, refusal]) => {
    expect(subscribe(packet(0x82, [0, 1], 'a', options), 4)).toBe(refusal);
  });

  test('$share/ is a name like any other to MQTT 3.1.1', () => {
    expect(subscribe(packet(0x82, [0, 1], '$share/g', 0), 4)).toMatchObject({ id: 1 });
  });
});

describe('UNSUBSCRIBE', () => {
  test('is understood', () => {
    const five = packet(0xa2, [0, 7], properties(0x26, 'a', 'b'), 'a/#', '$share/g/b');
    expect(unsubscribe(five)).toEqual({ id: 7, filters: ['a/#', '$share/g/b'] });
    expect(unsubscribe(packet(0xa2, [1, 0], 'a'), 4)).toEqual({ id: 256, filters: ['a'] });
  });

  test.for([
    ['[MQTT-2.3.1-1] identifier 0', packet(0xa2, [0, 0], none, 'a'), broken.packetId],
    ['[MQTT-3.10.3-2] no filter', packet(0xa2, [0, 1], none), broken.unsubscribeNothing],
    [
      '[MQTT-3.10.3-1] no UTF-8',
      packet(0xa2, [0, 1], none, field(overlong)),
      broken.unsubscribeFilterUtf8,
    ],
    [
      '[MQTT-4.7.1-3] a wildcard that is wrong',
      packet(0xa2, [0, 1], none, 'a+'),
      broken.singleLevelWildcard,
    ],
    [
      '[MQTT5-2.2.2.2] a subscription identifier',
      packet(0xa2, [0, 1], properties(0x0b, 1), 'a'),
      broken.propertyUnknown,
    ],
    ['[MQTT-4.8.0-1] half a filter', packet(0xa2, [0, 1], none, [0, 9, 0x61]), broken.tooShort],
  ] as const)('is refused: %s', ([, bytes, refusal]) => {
    expect(unsubscribe(bytes)).toBe(refusal);
  });
});

describe('acknowledgements', () => {
  const view = new AcknowledgementView();
  const read = (bytes: Buffer, level = 5): Refusal | undefined =>
    readAcknowledgement(view, bytes, bytes[0]! >> 4, bodyOf(bytes, 0), bytes.length, level);

  test('are understood, with and without a reason', () => {
    expect(read(packet(0x40, [1, 2]), 4)).toBeUndefined();
    expect(view).toMatchObject({ type: 'puback', id: 258, reason: 0 });
    expect(read(packet(0x50, [0, 2, 0x97]))).toBeUndefined();
    expect(view).toMatchObject({ type: 'pubrec', id: 2, reason: 0x97 });
    expect(
      read(packet(0x70, [0, 3, 0x92], properties(0x1f, 'why', 0x26, 'a', 'b'))),
    ).toBeUndefined();
    expect(view).toMatchObject({ type: 'pubcomp', id: 3, reason: 0x92 });
    expect(read(packet(0x62, [0, 4]))).toBeUndefined();
    expect(view).toMatchObject({ type: 'pubrel', id: 4, reason: 0 });
  });

  test.for([
    ['[MQTT-2.3.1-1] identifier 0', packet(0x40, [0, 0]), broken.packetId],
    ['[MQTT-4.8.0-1] one byte', packet(0x40, [1]), broken.tooShort],
    ['[MQTT5-3.4.2-1] a reason PUBACK has not', packet(0x40, [0, 1, 0x92]), broken.pubackReason],
    ['[MQTT5-3.5.2-1] a reason PUBREC has not', packet(0x50, [0, 1, 1]), broken.pubrecReason],
    ['[MQTT5-3.6.2-1] a reason PUBREL has not', packet(0x62, [0, 1, 0x80]), broken.pubrelReason],
    ['[MQTT5-3.7.2-1] a reason PUBCOMP has not', packet(0x70, [0, 1, 0x10]), broken.pubcompReason],
    [
      '[MQTT5-2.2.2.2] two reason strings',
      packet(0x40, [0, 1, 0], properties([0x1f, 0, 0, 0x1f, 0, 0])),
      broken.propertyTwice,
    ],
    [
      '[MQTT5-1.5.4-1] a reason string that is not UTF-8',
      packet(0x40, [0, 1, 0], properties(0x1f, field(overlong))),
      broken.utf8,
    ],
    [
      '[MQTT5-4.13.1-1] more behind its properties',
      packet(0x40, [0, 1, 0], none, [9]),
      broken.tooLong,
    ],
    [
      '[MQTT5-2.2.2.2] a property of PUBLISH',
      packet(0x40, [0, 1, 0], properties(1, 1)),
      broken.propertyUnknown,
    ],
  ] as const)('are refused: %s', ([, bytes, refusal]) => {
    expect(read(bytes)).toBe(refusal);
  });

  test('[MQTT-4.8.0-1] longer than two bytes are refused of MQTT 3.1.1', () => {
    for (const first of [0x40, 0x50, 0x62, 0x70]) {
      expect(read(packet(first, [0, 1, 0]), 4)).toBe(broken.tooLong);
    }
  });
});

describe('DISCONNECT', () => {
  const problem = (bytes: Buffer, level = 5, expires = false) =>
    disconnectProblem(bytes, bodyOf(bytes, 0), bytes.length, level, expires);

  test('is understood', () => {
    const expiry = packet(0xe0, 4, properties(0x11, 0, 0, 0, 9));
    for (const bytes of [packet(0xe0), packet(0xe0, 0), packet(0xe0, 4, none), expiry]) {
      expect(problem(bytes)).toBeUndefined();
    }
    expect(problem(packet(0xe0), 4)).toBeUndefined();
    expect(problem(packet(0xe0, 0, properties(0x11, 0, 0, 0, 0)), 5, true)).toBeUndefined();
  });

  test.for([
    ['[MQTT5-3.14.2-1] a reason of the server', packet(0xe0, 0x8b), broken.disconnectReason],
    [
      '[MQTT5-2.2.2.2] a server reference',
      packet(0xe0, 0, properties(0x1c, 'x')),
      broken.propertyUnknown,
    ],
    ['[MQTT5-4.13.1-1] more behind its properties', packet(0xe0, 0, none, [1]), broken.tooLong],
  ] as const)('is refused: %s', ([, bytes, refusal]) => {
    expect(problem(bytes)).toBe(refusal);
  });

  test('[MQTT5-3.14.2.2.2] cannot make a session last that was to end', () => {
    expect(problem(packet(0xe0, 0, properties(0x11, 0, 0, 0, 1)), 5, true)).toBe(
      broken.disconnectExpiry,
    );
  });

  test('[MQTT-4.8.0-1] has nothing in it in MQTT 3.1.1', () => {
    expect(problem(packet(0xe0, 0), 4)).toBe(broken.tooLong);
  });
});

describe('AUTH', () => {
  const read = (bytes: Buffer) => readAuth(bytes, bodyOf(bytes, 0), bytes.length);

  test('is understood', () => {
    const bytes = packet(0xf0, 0x18, properties(0x15, 'SCRAM-SHA-256', 0x16, 'data'));
    expect(read(bytes)).toEqual({
      ...{ reason: 0x18, method: 'SCRAM-SHA-256', data: Buffer.from('data') },
    });
  });

  test.for([
    ['[MQTT5-3.15.2-1] success, which is the server’s to say', packet(0xf0), broken.authReason],
    ['[MQTT5-3.15.2-1] another reason', packet(0xf0, 0x87, none), broken.authReason],
    ['[MQTT5-3.15.2.2.2] no method', packet(0xf0, 0x18, none), broken.authMethodMissing],
    ['[MQTT5-3.15.2.2.2] no properties', packet(0xf0, 0x18), broken.authMethodMissing],
    [
      '[MQTT5-4.13.1-1] more behind it',
      packet(0xf0, 0x19, properties(0x15, 'x'), [0]),
      broken.tooLong,
    ],
  ] as const)('is refused: %s', ([, bytes, refusal]) => {
    expect(read(bytes)).toBe(refusal);
  });
});

test('[MQTT-4.8.0-1] a PINGREQ has nothing in it', () => {
  expect(pingProblem(2, 2)).toBeUndefined();
  expect(pingProblem(2, 3)).toBe(broken.tooLong);
});
