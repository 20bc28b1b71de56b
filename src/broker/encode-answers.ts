import { putVarint, textProperty, varintBytes } from './encode-publish.ts';

/** What a CONNACK of MQTT 5 says besides its code (OASIS MQTT 5.0, clause 3.2.2.3). */
export interface ConnackProperties {
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
  /** Given when it is not what the client asked for, in seconds. */
  readonly sessionExpiryInterval?: number;
  readonly assignedClientId?: string;
  readonly responseInformation?: string;
  /** Only what must be said is. */
  readonly isTerse?: boolean;
  /** The last of enhanced authentication. */
  readonly authentication?: { readonly method: string; readonly data?: Uint8Array };
}

/** The CONNACK that lets a client in. */
export function encodeConnack(
  version: 3 | 4 | 5,
  sessionPresent: boolean,
  properties: ConnackProperties,
): Uint8Array {
  // The byte is reserved in MQTT 3.1.
  const flags = sessionPresent && version > 3 ? 1 : 0;
  if (version !== 5) return Uint8Array.of(0x20, 2, flags, 0);
  const { sessionExpiryInterval, assignedClientId, responseInformation } = properties;
  const { authentication } = properties;
  const parts: Uint8Array[] = [
    Uint8Array.of(0x21, properties.receiveMaximum >> 8, properties.receiveMaximum & 0xff),
    Uint8Array.of(0x27, ...uint32(properties.maximumPacketSize)),
    Uint8Array.of(0x22, properties.topicAliasMaximum >> 8, properties.topicAliasMaximum & 0xff),
  ];
  // Wildcards, subscription identifiers and shared subscriptions are there, as it is if none is said.
  if (properties.isTerse !== true) parts.push(Uint8Array.of(0x28, 1, 0x29, 1, 0x2a, 1));
  if (sessionExpiryInterval !== undefined) {
    parts.push(Uint8Array.of(0x11, ...uint32(sessionExpiryInterval)));
  }
  if (assignedClientId !== undefined) parts.push(...textProperty(0x12, assignedClientId));
  if (responseInformation !== undefined && properties.isTerse !== true)
    parts.push(...textProperty(0x1a, responseInformation));
  if (authentication !== undefined) {
    parts.push(...textProperty(0x15, authentication.method));
    const { data } = authentication;
    if (data !== undefined) {
      parts.push(Uint8Array.of(0x16, data.length >> 8, data.length & 0xff), data);
    }
  }
  return withLength(0x20, Uint8Array.of(flags, 0), parts, noBytes);
}

/** A SUBACK, or an UNSUBACK, whose first byte is `first`; `reason` is a text for MQTT 5. */
export function encodeFiltersAnswer(
  first: 0x90 | 0xb0,
  version: 3 | 4 | 5,
  id: number,
  codes: readonly number[],
  reason = '',
): Uint8Array {
  const head = Uint8Array.of(id >> 8, id & 0xff);
  if (version === 5) {
    const parts = reason === '' ? [] : textProperty(0x1f, reason);
    return withLength(first, head, parts, Uint8Array.from(codes));
  }
  const rest = first === 0x90 ? Uint8Array.from(codes) : noBytes;
  const bytes = Buffer.alloc(1 + varintBytes(2 + rest.length) + 2 + rest.length);
  bytes[0] = first;
  const at = putVarint(bytes, 2 + rest.length, 1);
  bytes.set(head, at);
  bytes.set(rest, at + 2);
  return bytes;
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP; `first` is its first byte, `text` the reason string. */
export function encodeAcknowledgement(
  first: number,
  id: number,
  reason = 0,
  text = '',
): Uint8Array {
  if (reason === 0) return Uint8Array.of(first, 2, id >> 8, id & 0xff);
  const head = Uint8Array.of(id >> 8, id & 0xff, reason);
  if (text === '') return Uint8Array.of(first, 3, ...head);
  return withLength(first, head, textProperty(0x1f, text), noBytes);
}

/** The DISCONNECT of MQTT 5. */
export function encodeDisconnect(reason: number, text = ''): Uint8Array {
  if (text === '') return Uint8Array.of(0xe0, 1, reason);
  return withLength(0xe0, Uint8Array.of(reason), textProperty(0x1f, text), noBytes);
}

/** The CONNACK of MQTT 5 that lets nobody in. */
export function encodeRefusal(reason: number, text = ''): Uint8Array {
  const parts = text === '' ? [] : textProperty(0x1f, text);
  return withLength(0x20, Uint8Array.of(0, reason), parts, noBytes);
}

const noBytes = new Uint8Array(0);

function withLength(
  first: number,
  head: Uint8Array,
  properties: readonly Uint8Array[],
  rest: Uint8Array,
): Uint8Array {
  const inside = Buffer.concat(properties);
  const remaining = head.length + varintBytes(inside.length) + inside.length + rest.length;
  const bytes = Buffer.alloc(1 + varintBytes(remaining) + remaining);
  bytes[0] = first;
  let at = putVarint(bytes, remaining, 1);
  bytes.set(head, at);
  at = putVarint(bytes, inside.length, at + head.length);
  bytes.set(inside, at);
  bytes.set(rest, at + inside.length);
  return bytes;
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
