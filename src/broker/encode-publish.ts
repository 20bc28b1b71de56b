import { propertyIds } from './decode/properties.ts';
import { Frame } from './frame.ts';
import type { MessageProperties } from './packets.ts';

/** A payload of at least this many bytes is handed to the system as it is. */
const separateBytes = 16 * 2 ** 10;

export interface PublishContent {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Encoded, but for those below. */
  readonly properties: Uint8Array;
}

/** What differs from one subscriber to another. */
export interface PublishVariant {
  readonly version: 3 | 4 | 5;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Seconds; -1 for none. */
  readonly expiry: number;
  /** 0 for none. */
  readonly alias: number;
  /** The alias stands for the topic. */
  readonly topicIsKnown: boolean;
  readonly subscriptionIds: readonly number[];
}

/** The PUBLISH packet (OASIS MQTT 5.0, clause 3.3), its packet identifier still 0. */
export function encodePublish(
  content: PublishContent,
  variant: PublishVariant,
  sharesPayload: boolean,
): Frame {
  const { topic, payload, properties } = content;
  const { qos, alias, expiry, subscriptionIds } = variant;
  const isFive = variant.version === 5;
  const topicBytes = variant.topicIsKnown ? 0 : Buffer.byteLength(topic);
  let own = 0;
  if (isFive) {
    own = properties.length + (expiry < 0 ? 0 : 5) + (alias === 0 ? 0 : 3);
    for (const id of subscriptionIds) own += 1 + varintBytes(id);
  }
  const fixed = 2 + topicBytes + (qos === 0 ? 0 : 2) + (isFive ? varintBytes(own) + own : 0);
  const remaining = fixed + payload.length;
  const isSeparate = sharesPayload || payload.length >= separateBytes;
  const headBytes = 1 + varintBytes(remaining) + (isSeparate ? fixed : remaining);
  const bytes = Buffer.allocUnsafe(headBytes);
  bytes[0] = 0x30 | (qos << 1) | (variant.retain ? 1 : 0);
  let at = putVarint(bytes, remaining, 1);
  at = putUint16(bytes, topicBytes, at);
  if (topicBytes === topic.length) at += bytes.write(topic, at, 'latin1');
  else if (topicBytes > 0) at += bytes.write(topic, at);
  let idAt = 0;
  if (qos > 0) {
    idAt = at;
    at = putUint16(bytes, 0, at);
  }
  if (isFive) {
    at = putVarint(bytes, own, at);
    if (expiry >= 0) {
      bytes[at] = propertyIds.messageExpiry;
      at = bytes.writeUInt32BE(expiry, at + 1);
    }
    if (alias > 0) {
      bytes[at] = propertyIds.topicAlias;
      at = putUint16(bytes, alias, at + 1);
    }
    bytes.set(properties, at);
    at += properties.length;
    for (const id of subscriptionIds) {
      bytes[at] = propertyIds.subscriptionId;
      at = putVarint(bytes, id, at + 1);
    }
  }
  if (isSeparate) return new Frame(bytes, idAt, payload, expiry);
  bytes.set(payload, at);
  return new Frame(bytes, idAt, undefined, expiry);
}

/** The properties that a publisher gave, in their order as far as they have one, without expiry. */
export function encodeProperties(properties: MessageProperties | undefined): Uint8Array {
  if (properties === undefined) return nothing;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData } = properties;
  const parts: Uint8Array[] = [];
  if (payloadFormatIndicator !== undefined) {
    parts.push(Uint8Array.of(propertyIds.payloadFormat, payloadFormatIndicator));
  }
  if (contentType !== undefined) parts.push(...textProperty(propertyIds.contentType, contentType));
  if (responseTopic !== undefined) {
    parts.push(...textProperty(propertyIds.responseTopic, responseTopic));
  }
  if (correlationData !== undefined) {
    const { length } = correlationData;
    parts.push(Uint8Array.of(propertyIds.correlationData, length >> 8, length & 0xff));
    parts.push(correlationData);
  }
  for (const [name, value] of properties.userProperties ?? []) {
    parts.push(...textProperty(propertyIds.userProperty, name), ...textField(value));
  }
  return parts.length === 0 ? nothing : Buffer.concat(parts);
}
const nothing = new Uint8Array(0);

export function textProperty(id: number, text: string): Uint8Array[] {
  return [Uint8Array.of(id), ...textField(text)];
}

function textField(text: string): Uint8Array[] {
  const bytes = Buffer.from(text);
  return [Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes];
}

export function varintBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  return value < 2_097_152 ? 3 : 4;
}

/** Returns where the next goes. */
export function putVarint(bytes: Uint8Array, value: number, at: number): number {
  let rest = value;
  let next = at;
  while (rest >= 128) {
    bytes[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[next++] = rest;
  return next;
}

function putUint16(bytes: Uint8Array, value: number, at: number): number {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
  return at + 2;
}
