import { broken } from './clauses.ts';
import { carriers, PropertyView, propertyIds, readProperties } from './properties.ts';
import type { Refusal } from './refusal.ts';
import { fieldEnd, uint16At } from './text.ts';

/** One PUBLISH, as places in the bytes it came in. One object serves for all. */
export class PublishView {
  bytes: Buffer = Buffer.alloc(0);
  dup = false;
  qos: 0 | 1 | 2 = 0;
  retain = false;
  /** 0 at QoS 0. */
  id = 0;
  topicAt = 0;
  topicEnd = 0;
  payloadAt = 0;
  end = 0;
  /** 0 when there is none. */
  alias = 0;
  /** Whether `properties` are those of this packet, and there are any. */
  hasProperties = false;
  readonly properties = new PropertyView();
}

/**
 * Reads a whole PUBLISH whose body begins at `at`. What the topic is made of is not looked at, but
 * it is there, or an alias is [MQTT5-3.3.2.1].
 */
export function readPublish(
  view: PublishView,
  bytes: Buffer,
  first: number,
  at: number,
  end: number,
  level: number,
): Refusal | undefined {
  const topicEnd = fieldEnd(bytes, at, end);
  if (topicEnd < 0) return broken.tooShort;
  view.bytes = bytes;
  view.dup = (first & 8) !== 0;
  view.retain = (first & 1) !== 0;
  const qos = (first >> 1) & 3;
  view.qos = qos as 0 | 1 | 2;
  view.topicAt = at + 2;
  view.topicEnd = topicEnd;
  view.end = end;
  let next = topicEnd;
  view.id = 0;
  if (qos !== 0) {
    if (next + 2 > end) return broken.tooShort;
    view.id = uint16At(bytes, next);
    if (view.id === 0) return broken.packetId;
    next += 2;
  }
  view.alias = 0;
  view.hasProperties = false;
  if (level === 5) {
    const problem = readPublishProperties(view, next, end);
    if (problem !== undefined) return problem;
    next = view.payloadAt;
  }
  view.payloadAt = next;
  return topicEnd === at + 2 && view.alias === 0 ? broken.topicMissing : undefined;
}

function readPublishProperties(view: PublishView, at: number, end: number): Refusal | undefined {
  const { bytes, properties } = view;
  // Most have none.
  if (at < end && bytes[at] === 0) {
    view.payloadAt = at + 1;
    return undefined;
  }
  const problem = readProperties(properties, bytes, at, end, carriers.publish);
  if (problem !== undefined) return problem;
  if (properties.has(propertyIds.subscriptionId)) return broken.publishSubscriptionId;
  view.hasProperties = true;
  view.alias = properties.number(propertyIds.topicAlias) ?? 0;
  view.payloadAt = properties.to;
  return undefined;
}

/** The PUBLISH with the topic in the place of its alias. */
export function withoutAlias(view: PublishView, topic: Uint8Array): Buffer {
  const { bytes, properties, qos } = view;
  const { from, to } = properties;
  const aliasAt = properties.placeOf(propertyIds.topicAlias);
  const kept = Buffer.concat([bytes.subarray(from, aliasAt), bytes.subarray(aliasAt + 3, to)]);
  const id = qos === 0 ? [] : [view.id >> 8, view.id & 0xff];
  const payload = bytes.subarray(view.payloadAt, view.end);
  const body = Buffer.concat([
    Buffer.from([topic.length >> 8, topic.length & 0xff]),
    topic,
    Buffer.from([...id, ...varint(kept.length)]),
    kept,
    payload,
  ]);
  const flags = (view.dup ? 8 : 0) | (qos << 1) | (view.retain ? 1 : 0);
  return Buffer.concat([Buffer.from([0x30 | flags, ...varint(body.length)]), body]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))];
}
