/**
 * Where one MQTT packet ends and the next begins, and what can be seen to be wrong with it without
 * taking it apart (OASIS MQTT 3.1.1 and 5.0, clause 2).
 *
 *   byte 1      type (high 4 bits), flags (low 4 bits)
 *   byte 2…5    remaining length: 7 bits a byte, the lowest first; bit 7 says that more follow
 *   then        as many bytes as the remaining length says
 */
import { isUtf8 } from 'node:buffer';

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

/** Reasons to refuse a packet, with their codes for MQTT 5 clients. */
export const refusals = {
  malformed: 0x81,
  protocol: 0x82,
  busy: 0x89,
  keep_alive: 0x8d,
  topic: 0x90,
  too_large: 0x95,
  not_mqtt: 0,
  timeout: 0,
} as const;
export type Refusal = keyof typeof refusals;

/** The flags each type must have; -1 where they carry something [MQTT-2.2.2-1]; -2: not for clients. */
const flagsOf: readonly number[] = [-2, 0, -2, -1, 0, 0, 2, 0, 2, -2, 2, -2, 0, -2, 0, 0];

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

/** What is wrong with the first byte of a packet from a client, if anything. */
export function headerProblem(first: number): Refusal | undefined {
  const flags = flagsOf[first >> 4]!;
  if (flags === -1) return (first & 6) === 6 ? 'malformed' : undefined;
  return flags === (first & 0x0f) ? undefined : 'malformed';
}

/** Where the variable header of a whole packet begins. */
function bodyAt(bytes: Uint8Array, at: number): number {
  let index = at + 1;
  while (bytes[index]! >= 0x80) index++;
  return index + 1;
}

/**
 * The protocol level of a whole CONNECT (3, 4 or 5; others as they come), or -1 when it does not
 * begin with the name of the protocol.
 */
export function protocolLevelOf(bytes: Uint8Array, at: number, end: number): number {
  const body = bodyAt(bytes, at);
  const length = bytes[body + 1]!;
  if (bytes[body] !== 0 || body + 2 + length >= end) return -1;
  const name = String.fromCharCode(...bytes.subarray(body + 2, body + 2 + length));
  return name === 'MQTT' || name === 'MQIsdp' ? bytes[body + 2 + length]! & 0x7f : -1;
}

/**
 * What is wrong with the topic name or packet identifier of a whole PUBLISH, if anything
 * [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-2.3.1-1] [MQTT-3.3.2-2].
 */
export function publishProblem(bytes: Uint8Array, at: number, end: number): Refusal | undefined {
  const body = bodyAt(bytes, at);
  const topicAt = body + 2;
  if (topicAt > end) return 'malformed';
  const topicEnd = topicAt + bytes[body]! * 256 + bytes[body + 1]!;
  const hasId = (bytes[at]! & 6) !== 0;
  if (topicEnd + (hasId ? 2 : 0) > end) return 'malformed';
  if (hasId && bytes[topicEnd] === 0 && bytes[topicEnd + 1] === 0) return 'malformed';
  let ascii = true;
  for (let index = topicAt; index < topicEnd; index++) {
    const byte = bytes[index]!;
    if (byte === 0) return 'malformed';
    if (byte === hash || byte === plus) return 'topic';
    if (byte >= 0x80) ascii = false;
  }
  return ascii || isUtf8(bytes.subarray(topicAt, topicEnd)) ? undefined : 'malformed';
}
const hash = 0x23;
const plus = 0x2b;

/** What is wrong with the topic filters of a whole SUBSCRIBE or UNSUBSCRIBE, if anything. */
export function filterProblem(
  bytes: Uint8Array,
  at: number,
  end: number,
  level: number,
): Refusal | undefined {
  const optionBytes = bytes[at]! >> 4 === packetTypes.subscribe ? 1 : 0;
  let index = bodyAt(bytes, at) + 2;
  if (level === 5) {
    const properties = packetSizeAt(bytes, index - 1, end);
    if (properties <= 0) return 'malformed';
    index += properties - 1;
  }
  if (index >= end) return 'malformed';
  while (index < end) {
    if (index + 2 > end) return 'malformed';
    const filterEnd = index + 2 + bytes[index]! * 256 + bytes[index + 1]!;
    if (filterEnd + optionBytes > end || filterEnd === index + 2) return 'malformed';
    const filter = bytes.subarray(index + 2, filterEnd);
    if (filter.includes(0) || !isUtf8(filter)) return 'malformed';
    index = filterEnd + optionBytes;
  }
  return undefined;
}
