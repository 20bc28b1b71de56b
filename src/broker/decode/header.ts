/**
 * Where one MQTT packet ends and the next begins (OASIS MQTT 3.1.1 and 5.0, clause 2).
 *
 *   byte 1      type (high 4 bits), flags (low 4 bits)
 *   byte 2…5    remaining length: 7 bits a byte, the lowest first; bit 7 says that more follow
 *   then        as many bytes as the remaining length says
 */
import { broken } from './clauses.ts';
import type { Refusal } from './refusal.ts';

export const packetTypes = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
  auth: 15,
} as const;

/**
 * The size of the packet that begins at `at`: 0 when its length is not there yet, -1 when it has
 * more than four bytes of length. Bytes from `end` on do not count.
 */
export function packetSizeAt(bytes: Uint8Array, at: number, end: number): number {
  let remaining = 0;
  for (let index = 1; index <= 4; index++) {
    if (at + index >= end) return 0;
    const byte = bytes[at + index]!;
    remaining += (byte & 0x7f) * lengthUnits[index - 1]!;
    if (byte < 0x80) return 1 + index + remaining;
  }
  return -1;
}
const lengthUnits = [1, 2 ** 7, 2 ** 14, 2 ** 21] as const;

/** Where the variable header of a packet begins whose length is there. */
export function bodyOf(bytes: Uint8Array, at: number): number {
  let index = at + 1;
  while (bytes[index]! >= 0x80) index++;
  return index + 1;
}

/** Whether a length takes more bytes than it needs, where its last byte is before `next`. */
export function isOverlong(bytes: Uint8Array, at: number, next: number): boolean {
  return next - at > 1 && bytes[next - 1] === 0;
}

/** What the flags of each type must be; -1 where they carry something. */
const flagsOf: readonly number[] = [0, 0, 0, -1, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];
const flagRefusals: readonly Refusal[] = Array.from({ length: 16 }, (_, type) => {
  if (type === packetTypes.pubrel) return broken.pubrelFlags;
  if (type === packetTypes.subscribe) return broken.subscribeFlags;
  if (type === packetTypes.unsubscribe) return broken.unsubscribeFlags;
  if (type === packetTypes.disconnect) return broken.disconnectFlags;
  return type === packetTypes.auth ? broken.authFlags : broken.flags;
});

/** What is wrong with the first byte of a packet from a client, if anything. */
export function headerProblem(first: number, level: number): Refusal | undefined {
  const type = first >> 4;
  if (type === packetTypes.publish) return publishFlagsProblem(first);
  if (type === 0 || (type === packetTypes.auth && level !== 5)) return broken.packetType;
  // CONNACK, SUBACK, UNSUBACK, PINGRESP: the server's.
  if (type === 2 || type === 9 || type === 11 || type === 13) return broken.direction;
  return flagsOf[type] === (first & 0x0f) ? undefined : flagRefusals[type];
}

function publishFlagsProblem(first: number): Refusal | undefined {
  if ((first & 6) === 6) return broken.qos;
  return (first & 0x0e) === 8 ? broken.dup : undefined;
}

/**
 * As `packetSizeAt`, or what is wrong with the header, or that the packet is larger than `most`.
 * Before the CONNECT the level is 0.
 */
export function sizeWithin(
  bytes: Uint8Array,
  at: number,
  end: number,
  level: number,
  most: number,
): number | Refusal {
  const first = bytes[at]!;
  if (level === 0 && first !== 0x10) return broken.first;
  const problem = headerProblem(first, level);
  if (problem !== undefined) return problem;
  const size = packetSizeAt(bytes, at, end);
  if (size < 0) return broken.remainingLength;
  return size > most ? broken.tooLarge : size;
}
