import { generate } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { broken } from '../../src/broker/decode/clauses.ts';
import { openingOf } from '../../src/broker/opening.ts';
import type { ConnectRequest } from '../../src/broker/packets.ts';
import { connectBytes, field, overlong, properties, surrogate } from './packet-bytes.ts';

function accepted(bytes: Buffer): ConnectRequest {
  const { request, refusal } = openingOf(bytes, 0, bytes.length);
  expect(refusal).toBeUndefined();
  return request!;
}

test('a CONNECT with all there can be in it is understood', () => {
  const bytes = generate({
    ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'gh-1', clean: false },
    ...{ keepalive: 30, username: 'user', password: Buffer.from([1, 0, 255]) },
    properties: {
      ...{ sessionExpiryInterval: 60, receiveMaximum: 7, maximumPacketSize: 900 },
      ...{ topicAliasMaximum: 5, requestResponseInformation: true },
      ...{ requestProblemInformation: false, userProperties: { a: ['1', '2'] } },
      ...{ authenticationMethod: 'SCRAM', authenticationData: Buffer.from('x') },
    },
    will: {
      ...{ topic: 'a/will', payload: Buffer.from('gone'), qos: 1, retain: true },
      properties: {
        ...{ willDelayInterval: 9, payloadFormatIndicator: true, messageExpiryInterval: 8 },
        ...{ contentType: 'text/plain', responseTopic: 'a/r', correlationData: Buffer.from('c') },
      },
    },
  } as never);
  expect(accepted(bytes)).toEqual({
    ...{ level: 5, bridge: false, clientId: 'gh-1', cleanStart: false, keepAliveSeconds: 30 },
    ...{ username: 'user', sessionExpiryInterval: 60 },
    ...{ receiveMaximum: 7, maximumPacketSize: 900, topicAliasMaximum: 5 },
    ...{ requestResponseInformation: true, requestProblemInformation: false },
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
    ...{ authenticationMethod: 'SCRAM', authenticationData: Buffer.from('x') },
    will: {
      ...{ topic: 'a/will', payload: Buffer.from('gone'), qos: 1, retain: true, delaySeconds: 9 },
      properties: {
        ...{ payloadFormatIndicator: 1, messageExpiryInterval: 8, contentType: 'text/plain' },
        ...{ responseTopic: 'a/r', correlationData: Buffer.from('c') },
      },
    },
  });
});

test('the payload of a will, which may wait for long, is in memory of its own', () => {
  const { will } = accepted(connectBytes({ level: 4, flags: 0x06, rest: ['a/will', 'gone'] }));
  expect(Buffer.from(will!.payload).toString()).toBe('gone');
  expect(will!.payload.buffer.byteLength).toBe(4);
});

test('older clients have a session for ever, or none; a bridge says so', () => {
  const kept = accepted(connectBytes({ level: 0x84, flags: 0 }));
  expect(kept).toMatchObject({ level: 4, bridge: true, sessionExpiryInterval: 0xffff_ffff });
  const clean = accepted(connectBytes({ level: 3 }));
  expect(clean).toMatchObject({ level: 3, bridge: false, sessionExpiryInterval: 0 });
  expect(clean).toMatchObject({ receiveMaximum: 65_535, topicAliasMaximum: 0 });
});

describe('a CONNECT is refused', () => {
  const will = (...rest: (string | Buffer)[]) => ({ flags: 0x06, rest });
  const five = (of: Buffer) => connectBytes({ level: 5, properties: of });

  test.for([
    ['[MQTT-3.1.2-1] with another name', connectBytes({ name: 'AMQP' }), broken.protocolName],
    ['[MQTT-3.1.2-1] with no name', connectBytes({ name: '' }), broken.protocolName],
    ['[MQTT-3.1.2-2] with level 6', connectBytes({ level: 6 }), broken.protocolLevel],
    [
      '[MQTT-3.1.2-2] with the old name at another level',
      connectBytes({ name: 'MQIsdp', level: 4 }),
      broken.protocolLevel,
    ],
    ['[MQTT-3.1.2-3] with the reserved flag', connectBytes({ flags: 3 }), broken.connectReserved],
    [
      '[MQTT-3.1.2-13] [MQTT5-3.1.2-11] with the QoS of a will that is not there',
      connectBytes({ flags: 0x0a }),
      broken.willQosWithout,
    ],
    [
      '[MQTT-3.1.2-15] [MQTT5-3.1.2-13] with the retain flag of a will that is not there',
      connectBytes({ flags: 0x22 }),
      broken.willRetainWithout,
    ],
    [
      '[MQTT-3.1.2-14] [MQTT5-3.1.2-12] with a will of QoS 3',
      connectBytes({ flags: 0x1e, rest: ['a', 'b'] }),
      broken.willQos,
    ],
    [
      '[MQTT-3.1.2-22] with a password and no user name',
      connectBytes({ flags: 0x42, rest: ['secret'] }),
      broken.passwordAlone,
    ],
    [
      '[MQTT-3.1.3-4] with a client identifier that is not UTF-8',
      connectBytes({ id: field(surrogate) }),
      broken.clientIdUtf8,
    ],
    [
      '[MQTT-1.5.3-2] [MQTT5-1.5.4-2] with U+0000 in the client identifier',
      connectBytes({ id: 'a\0' }),
      broken.nullCharacter,
    ],
    [
      '[MQTT-3.1.3-8] with no client identifier and a session to be kept',
      connectBytes({ id: '', flags: 0 }),
      broken.clientIdEmpty,
    ],
    [
      '[MQTT-3.1.3-10] [MQTT5-3.1.3-11] with the topic of a will that is not UTF-8',
      connectBytes(will(field(overlong), 'x')),
      broken.willTopicUtf8,
    ],
    [
      '[MQTT-4.7.1-1] [MQTT5-4.7.0-1] with a wildcard in the topic of a will',
      connectBytes(will('a/#', 'x')),
      broken.willTopicWildcard,
    ],
    ['[MQTT-4.7.3-1] with a will of no topic', connectBytes(will('', 'x')), broken.filterEmpty],
    ['[MQTT-3.1.3-1] with a will and no payload', connectBytes(will('a')), broken.connectPayload],
    [
      '[MQTT-3.1.3-11] [MQTT5-3.1.3-12] with a user name that is not UTF-8',
      connectBytes({ flags: 0x82, rest: [field(surrogate)] }),
      broken.usernameUtf8,
    ],
    [
      '[MQTT-3.1.3-1] without the user name it announces',
      connectBytes({ flags: 0x82 }),
      broken.connectPayload,
    ],
    [
      '[MQTT-3.1.3-1] without the password it announces',
      connectBytes({ flags: 0xc2, rest: ['user'] }),
      broken.connectPayload,
    ],
    ['[MQTT-4.8.0-1] with more behind it', connectBytes({ rest: ['more'] }), broken.tooLong],
    [
      '[MQTT5-3.1.2.11.3] with Receive Maximum 0',
      five(properties(0x21, 0, 0)),
      broken.receiveMaximumZero,
    ],
    [
      '[MQTT5-3.1.2.11.4] with Maximum Packet Size 0',
      five(properties(0x27, 0, 0, 0, 0)),
      broken.maximumPacketSizeZero,
    ],
    [
      '[MQTT5-3.1.2.11.6] with Request Response Information 2',
      five(properties(0x19, 2)),
      broken.requestResponse,
    ],
    [
      '[MQTT5-3.1.2.11.7] with Request Problem Information 2',
      five(properties(0x17, 2)),
      broken.requestProblem,
    ],
    [
      '[MQTT5-3.1.2.11.10] with authentication data and no method',
      five(properties(0x16, 'x')),
      broken.dataWithoutMethod,
    ],
    [
      '[MQTT5-2.2.2.2] with a property twice',
      five(properties([0x21, 0, 1, 0x21, 0, 1])),
      broken.propertyTwice,
    ],
    [
      '[MQTT5-2.2.2.2] with a property of PUBLISH',
      five(properties(0x23, 0, 1)),
      broken.propertyUnknown,
    ],
    [
      '[MQTT5-2.2.2.2] with a property nobody knows',
      five(properties(0x7f, 0)),
      broken.propertyUnknown,
    ],
    ['[MQTT5-2.2.2.1] with a property cut short', five(properties(0x21, 0)), broken.propertyLength],
    [
      '[MQTT5-2.2.2.1] with properties longer than the packet',
      five(Buffer.from([0x7f, 0x21, 0, 1])),
      broken.propertyLength,
    ],
    [
      '[MQTT5-1.5.5-1] with an overlong length of properties',
      five(Buffer.from([0x80, 0])),
      broken.lengthEncoding,
    ],
    [
      '[MQTT5-1.5.7-1] with a user property that is not UTF-8',
      five(properties(0x26, 'a', field(surrogate))),
      broken.userProperty,
    ],
    [
      '[MQTT5-1.5.4-1] with an authentication method that is not UTF-8',
      five(properties(0x15, field(overlong))),
      broken.utf8,
    ],
  ] as const)('%s', ([, bytes, refusal]) => {
    expect(openingOf(bytes, 0, bytes.length).refusal).toBe(refusal);
  });

  test('[MQTT5-1.5.5-1] with an overlong length, by MQTT 5 only', () => {
    const stretched = (bytes: Buffer): Buffer =>
      Buffer.concat([Buffer.of(0x10, bytes[1]! | 0x80, 0), bytes.subarray(2)]);
    const five5 = stretched(connectBytes({ level: 5 }));
    expect(openingOf(five5, 0, five5.length).refusal).toBe(broken.lengthEncoding);
    accepted(stretched(connectBytes()));
  });

  test('[MQTT-3.1.2-2] [MQTT-3.1.3-8] with the return code that MQTT 3.1.1 names', () => {
    const level = connectBytes({ level: 6 });
    expect(openingOf(level, 0, level.length).answer).toEqual(Uint8Array.of(0x20, 2, 0, 1));
    const id = connectBytes({ id: '', flags: 0 });
    expect(openingOf(id, 0, id.length).answer).toEqual(Uint8Array.of(0x20, 2, 0, 2));
  });

  test('wherever it is cut, without reading beyond it', () => {
    const bytes = connectBytes({
      ...{ level: 5, flags: 0xc6, properties: properties([0x21, 0, 9], 0x26, 'a', 'b') },
      rest: [properties(0x18, 0, 0, 0, 1), 'will/topic', 'payload', 'user', 'password'],
    });
    accepted(bytes);
    for (let end = 4; end < bytes.length; end++) {
      expect(openingOf(bytes, 0, end).request, `cut at ${end}`).toBeUndefined();
    }
  });
});

test('[MQTT5-3.1.3-6] MQTT 5 clients need no identifier, nor do clean ones of 3.1.1', () => {
  expect(accepted(connectBytes({ level: 5, flags: 0, id: '' })).clientId).toBe('');
  expect(accepted(connectBytes({ id: '' })).clientId).toBe('');
});

test('MQTT 5 clients may send a password alone', () => {
  const bytes = connectBytes({ level: 5, flags: 0x42, rest: ['secret'] });
  // It is not held on to.
  expect(JSON.stringify(accepted(bytes))).not.toContain('secret');
});
