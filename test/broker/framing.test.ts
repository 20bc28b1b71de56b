import fc from 'fast-check';
import { generate, parser } from 'mqtt-packet';
import { expect, test } from 'vitest';
import {
  filterProblem,
  headerProblem,
  packetSizeAt,
  protocolLevelOf,
  publishProblem,
} from '../../src/broker/framing.ts';

test('packets follow one another exactly where mqtt-packet parts them', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });
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
        expect(publishProblem(bytes, at, at + sizes.at(-1)!)).toBeUndefined();
      }
      expect(sizes).toEqual(packets.map(({ length }) => length));
    }),
  );
});

test('a length is known from its last byte on, and has four at most', () => {
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

test('of the first byte, only what a client may send is sound', () => {
  const sound = Array.from({ length: 256 }, (_, first) => first).filter(
    (first) => headerProblem(first) === undefined,
  );
  const publish = Array.from({ length: 16 }, (_, flags) => 0x30 + flags).filter(
    (first) => (first & 6) !== 6,
  );
  const others = [0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0];
  expect(sound).toEqual([...others, ...publish].sort((a, b) => a - b));
});

test('the level of the protocol is read from the CONNECT', () => {
  for (const protocolVersion of [3, 4, 5] as const) {
    const protocolId = protocolVersion === 3 ? 'MQIsdp' : 'MQTT';
    const bytes = generate({ cmd: 'connect', protocolId, protocolVersion, clientId: 'a' } as never);
    expect(protocolLevelOf(bytes, 0, bytes.length)).toBe(protocolVersion);
  }
  expect(protocolLevelOf(Uint8Array.of(0x10, 0), 0, 2)).toBe(-1);
  expect(protocolLevelOf(Uint8Array.of(0x10, 3, 0, 4, 0x4d), 0, 5)).toBe(-1);
});

test('nothing that can be sent makes the checks read beyond the packet or throw', () => {
  const reader = parser({ protocolVersion: 5 } as never);
  reader.on('error', () => {});
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 2, maxLength: 60 }),
      fc.constantFrom(4, 5),
      (body, level) => {
        for (const first of [0x10, 0x30, 0x32, 0x82, 0xa2]) {
          const bytes = Buffer.from([first, body.length, ...body]);
          const longer = Buffer.concat([bytes, Buffer.alloc(300, 0x61)]);
          const { length } = bytes;
          expect(protocolLevelOf(longer, 0, length)).toBe(protocolLevelOf(bytes, 0, length));
          if (first >> 4 === 3) {
            expect(publishProblem(longer, 0, length)).toBe(publishProblem(bytes, 0, length));
          }
          if (first >= 0x82) {
            expect(filterProblem(longer, 0, length, level)).toBe(
              filterProblem(bytes, 0, length, level),
            );
          }
        }
      },
    ),
  );
});
