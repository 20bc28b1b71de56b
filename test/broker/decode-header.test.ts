import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { broken } from '../../src/broker/decode/clauses.ts';
import {
  bodyOf,
  headerProblem,
  isOverlong,
  packetSizeAt,
  sizeWithin,
} from '../../src/broker/decode/header.ts';
import { PublishView, readPublish } from '../../src/broker/decode/publish.ts';
import { Refusal } from '../../src/broker/decode/refusal.ts';

test('packets follow one another exactly where mqtt-packet parts them', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });
  const view = new PublishView();
  fc.assert(
    fc.property(payloads, (all) => {
      const packets = all.map((payload, index) =>
        generate({
          ...{ cmd: 'publish', topic: 'a/b', payload: Buffer.from(payload), qos: 1 },
          ...{ messageId: index + 1, retain: false, dup: false },
        }),
      );
      const bytes = Buffer.concat(packets);
      const sizes: number[] = [];
      for (let at = 0; at < bytes.length; at += sizes.at(-1)!) {
        sizes.push(packetSizeAt(bytes, at, bytes.length));
        const end = at + sizes.at(-1)!;
        const problem = readPublish(view, bytes, bytes[at]!, bodyOf(bytes, at), end, 4);
        expect(problem).toBeUndefined();
        expect(view.id).toBe(sizes.length);
        expect([...bytes.subarray(view.payloadAt, view.end)]).toEqual([...all[sizes.length - 1]!]);
      }
      expect(sizes).toEqual(packets.map(({ length }) => length));
    }),
  );
});

test('[MQTT-2.2.3] a length is known from its last byte on, and has four at most', () => {
  const size = (...bytes: number[]): number =>
    packetSizeAt(Uint8Array.from(bytes), 0, bytes.length);
  expect(size(0x30)).toBe(0);
  expect(size(0x30, 0x00)).toBe(2);
  expect(size(0x30, 0x7f)).toBe(129);
  expect(size(0x30, 0x80)).toBe(0);
  expect(size(0x30, 0x80, 0x01)).toBe(131);
  expect(size(0x30, 0xff, 0xff, 0xff, 0x7f)).toBe(268_435_460);
  expect(size(0x30, 0xff, 0xff, 0xff, 0x80)).toBe(-1);
});

test('[MQTT5-1.5.5-1] a length in more bytes than it needs is overlong', () => {
  const long = (...bytes: number[]): boolean => isOverlong(Uint8Array.from(bytes), 0, bytes.length);
  expect([long(0), long(0x7f), long(0x80, 1), long(0xff, 0xff, 0xff, 0x7f)]).toEqual(
    Array(4).fill(false),
  );
  expect([long(0x80, 0), long(0xff, 0), long(0x81, 0x80, 0)]).toEqual(Array(3).fill(true));
});

describe('the first byte', () => {
  test.for([4, 5] as const)('of MQTT level %i is sound where a client may send it', (level) => {
    const sound = Array.from({ length: 256 }, (_, first) => first).filter(
      (first) => headerProblem(first, level) === undefined,
    );
    const publish = Array.from({ length: 16 }, (_, flags) => 0x30 + flags).filter(
      (first) => (first & 6) !== 6 && first !== 0x38 && first !== 0x39,
    );
    const others = [0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0];
    if (level === 5) others.push(0xf0);
    expect(sound).toEqual([...others, ...publish].sort((a, b) => a - b));
  });

  test.for([
    ['[MQTT-2.2.2-2] [MQTT5-2.1.3-1] reserved flags', 0xc1, broken.flags],
    ['[MQTT-3.6.1-1] [MQTT5-3.6.1-1] flags of PUBREL', 0x60, broken.pubrelFlags],
    ['[MQTT-3.8.1-1] [MQTT5-3.8.1-1] flags of SUBSCRIBE', 0x80, broken.subscribeFlags],
    ['[MQTT-3.10.1-1] [MQTT5-3.10.1-1] flags of UNSUBSCRIBE', 0xa0, broken.unsubscribeFlags],
    ['[MQTT-3.14.1-1] [MQTT5-3.14.1-1] flags of DISCONNECT', 0xe1, broken.disconnectFlags],
    ['[MQTT5-3.15.1-1] flags of AUTH', 0xf1, broken.authFlags],
    ['[MQTT-3.3.1-4] [MQTT5-3.3.1-4] QoS 3', 0x36, broken.qos],
    ['[MQTT-3.3.1-2] [MQTT5-3.3.1-2] DUP at QoS 0', 0x38, broken.dup],
    ['[MQTT-2.2.1] [MQTT5-2.1.2] type 0', 0x00, broken.packetType],
    ['[MQTT-2.2.1] [MQTT5-2.1.2] CONNACK from a client', 0x20, broken.direction],
    ['[MQTT-2.2.1] [MQTT5-2.1.2] SUBACK from a client', 0x90, broken.direction],
    ['[MQTT-2.2.1] [MQTT5-2.1.2] UNSUBACK from a client', 0xb0, broken.direction],
    ['[MQTT-2.2.1] [MQTT5-2.1.2] PINGRESP from a client', 0xd0, broken.direction],
  ] as const)('%s is refused', ([, first, refusal]) => {
    expect(headerProblem(first, 5)).toBe(refusal);
  });

  test('[MQTT-2.2.1] type 15 is there in MQTT 5 only', () => {
    expect(headerProblem(0xf0, 4)).toBe(broken.packetType);
    expect(headerProblem(0xf0, 5)).toBeUndefined();
  });

  test('[MQTT-3.1.0-1] [MQTT5-3.1.0-1] of a connection must be that of a CONNECT', () => {
    expect(sizeWithin(Uint8Array.of(0x30, 2), 0, 2, 0, 100)).toBe(broken.first);
    expect(sizeWithin(Uint8Array.of(0x10, 2), 0, 2, 0, 100)).toBe(4);
  });
});

test('[MQTT5-3.2.2-15] a packet larger than allowed is refused by its length alone', () => {
  expect(sizeWithin(Uint8Array.of(0x30, 0xff, 0x7f), 0, 3, 5, 1000)).toBe(broken.tooLarge);
  expect(sizeWithin(Uint8Array.of(0x30, 0xff, 7), 0, 3, 5, 1026)).toBe(1026);
});

test('every clause has a name that both specifications could have, and there are not many', () => {
  const all = Object.values(broken);
  const names = new Set(all.flatMap((refusal) => [refusal.clause(4), refusal.clause(5)]));
  for (const name of names) expect(name).toMatch(/^$|^MQTT5?-[1-4](\.\d+)+(-\d+)?$/);
  expect(all.every((refusal) => refusal instanceof Refusal)).toBe(true);
  expect(names.size).toBeLessThan(160);
});
