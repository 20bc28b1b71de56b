import { ownBytes } from '../platform/own-bytes.ts';
import { encodeProperties, encodePublish, type PublishVariant } from './encode-publish.ts';
import type { Frame } from './frame.ts';
import type { MessageRecord, Position } from './journal.ts';
import type { MessageProperties } from './packets.ts';

export interface MessageContent {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
  /** The client that published it; not given for the gateway itself. */
  readonly from?: string;
}

/** What a subscriber gets of a message. */
export interface Wanted {
  readonly version: 3 | 4 | 5;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
}

/** About what a message takes in memory besides its topic and payload. */
const overheadBytes = 256;
/** A payload that is kept and no longer than this is a text of so many characters: a buffer takes half a KiB more. */
const compactBytes = 4 * 2 ** 10;
/** Encodings that are remembered besides those of most subscribers. */
const othersMost = 64;
const noIds: readonly number[] = Object.freeze([]);

/**
 * One message on its way to subscribers. It is encoded once for all who get it alike, whatever
 * their number, and its payload is not copied for any of them.
 */
export class Message {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: MessageProperties | undefined;
  readonly from: string | undefined;
  /** Its place in the event log; -1 when it is not there. */
  readonly position: Position;
  /** When it expires, on the monotonic clock [MQTT5-3.3.2.3.3]. */
  readonly expiresAt: number;
  /** Counts up from message to message, in the order in which they were routed. */
  sequence = 0;
  #payload: Uint8Array;
  /** In the place of the payload: its bytes, each as a character. */
  #compact: string | undefined;
  #isOwn = false;
  #isLasting = false;
  #isOut = false;
  #encodedProperties: Uint8Array | undefined;
  /** By version, QoS and retain flag. */
  #frames: (Frame | undefined)[] | undefined;
  #others: Map<string, Frame> | undefined;

  /** `ageMs` is for how long it has been here at `now`, on the monotonic clock. */
  constructor(content: MessageContent, now: number, position: Position = -1, ageMs = 0) {
    this.topic = content.topic;
    this.#payload = content.payload;
    this.qos = content.qos;
    this.retain = content.retain;
    this.properties = content.properties;
    this.from = content.from;
    this.position = position;
    const seconds = content.properties?.messageExpiryInterval;
    this.expiresAt =
      seconds === undefined ? Number.POSITIVE_INFINITY : now - ageMs + seconds * 1000;
  }

  get payload(): Uint8Array {
    return this.#compact === undefined ? this.#payload : Buffer.from(this.#compact, 'latin1');
  }

  /** It removes what is retained. */
  get isEmpty(): boolean {
    return this.bytes === this.topic.length;
  }

  /** Of its topic and payload. */
  get bytes(): number {
    return this.topic.length + (this.#compact ?? this.#payload).length;
  }

  /** What it takes of a limit on memory. */
  get heldBytes(): number {
    return this.bytes + overheadBytes + propertyBytes(this.properties);
  }

  isExpired(now: number): boolean {
    return this.expiresAt <= now;
  }

  /** From now on the message does not hold on to the much larger piece of memory it arrived in. */
  own(): this {
    if (this.#isOwn) return this;
    this.#isOwn = true;
    const payload = this.#payload;
    if (payload.buffer.byteLength > 2 * payload.length + 1024) {
      this.#payload = ownBytes(payload);
    }
    return this;
  }

  /** From now on what is encoded for subscribers is not kept beside it. */
  keep(): this {
    this.#isLasting = true;
    if (!this.#isOut) this.#forget();
    if (this.#payload.length > compactBytes) return this.own();
    if (this.#compact !== undefined) return this;
    const { buffer, byteOffset, byteLength } = this.#payload;
    this.#compact = Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
    this.#payload = noBytes;
    this.#isOwn = true;
    return this;
  }

  /** Many are about to be sent it: what is encoded for them is kept meanwhile, … */
  setOut(): void {
    this.#isOut = true;
  }

  /** … until all have been. */
  arrived(): void {
    this.#isOut = false;
    if (this.#isLasting) this.#forget();
  }

  #forget(): void {
    this.#frames = undefined;
    this.#others = undefined;
    this.#encodedProperties = undefined;
  }

  get #keepsEncoded(): boolean {
    return this.#isOut || !this.#isLasting;
  }

  /** What to send to who wants it so. `now` is of the monotonic clock. */
  frame(wanted: Wanted, now: number): Frame {
    const { version, qos, retain, subscriptionIds } = wanted;
    if (subscriptionIds.length > 0 && version === 5) return this.aliased(wanted, now, 0, false);
    const slot = (version === 5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0);
    const expiry = version === 5 ? this.#expiry(now) : -1;
    const known = this.#frames?.[slot];
    if (known !== undefined && known.expiry === expiry) return known;
    const variant = { version, qos, retain, expiry, ...noAlias };
    const frame = this.#encode(variant, false);
    if (!this.#keepsEncoded) return frame;
    this.#frames ??= [];
    this.#frames[slot] = frame;
    if (frame.body === undefined && !this.#isOwn) {
      // The copy that is there now serves for the rest.
      this.#payload = frame.head.subarray(frame.size - this.#payload.length);
      this.#isOwn = true;
    }
    return frame;
  }

  /** As `frame`, with a topic alias; 0 for none. `topicIsKnown`: the alias stands for the topic. */
  aliased(wanted: Wanted, now: number, alias: number, topicIsKnown: boolean): Frame {
    const { version, qos, retain, subscriptionIds } = wanted;
    const expiry = this.#expiry(now);
    const key = `${qos}${retain ? 'r' : ''}${topicIsKnown ? 'k' : ''}${alias} ${subscriptionIds.join()}`;
    const known = this.#others?.get(key);
    if (known !== undefined && known.expiry === expiry) return known;
    const variant = { version, qos, retain, expiry, alias, topicIsKnown, subscriptionIds };
    const frame = this.own().#encode(variant, true);
    if (!this.#keepsEncoded) return frame;
    if (this.#others === undefined || this.#others.size >= othersMost) this.#others = new Map();
    this.#others.set(key, frame);
    return frame;
  }

  /** What is kept of it in the event log. */
  record(incomingId?: number): MessageRecord {
    return {
      kind: 'message',
      topic: this.topic,
      payload: this.payload,
      qos: this.qos,
      retain: this.retain,
      ...(this.properties !== undefined && { properties: this.properties }),
      ...(this.from !== undefined && { from: this.from }),
      ...(incomingId !== undefined && { incomingId }),
    };
  }

  /** What is left of the message expiry interval, in seconds; -1 when it has none. */
  #expiry(now: number): number {
    if (this.expiresAt === Number.POSITIVE_INFINITY) return -1;
    return Math.max(0, Math.ceil((this.expiresAt - now) / 1000));
  }

  #encode(variant: PublishVariant, sharesPayload: boolean): Frame {
    let properties = noBytes;
    if (variant.version === 5) {
      properties = this.#encodedProperties ?? encodeProperties(this.properties);
      if (this.#keepsEncoded) this.#encodedProperties = properties;
    }
    return encodePublish(
      { topic: this.topic, payload: this.payload, properties },
      variant,
      sharesPayload,
    );
  }
}
const noBytes: Uint8Array = new Uint8Array(0);
const noAlias = { alias: 0, topicIsKnown: false, subscriptionIds: noIds } as const;

function propertyBytes(properties: MessageProperties | undefined): number {
  if (properties === undefined) return 0;
  const { contentType = '', responseTopic = '', correlationData, userProperties } = properties;
  let bytes = overheadBytes + contentType.length + responseTopic.length;
  bytes += correlationData?.length ?? 0;
  for (const [name, value] of userProperties ?? []) {
    bytes += name.length + value.length + userPropertyBytes;
  }
  return bytes;
}
const userPropertyBytes = 96;
