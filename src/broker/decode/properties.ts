import { ownBytes } from '../../platform/own-bytes.ts';
import type { MessageProperties } from '../packets.ts';
import { broken } from './clauses.ts';
import { isOverlong } from './header.ts';
import type { Refusal } from './refusal.ts';
import { fieldEnd, textOf, textProblem, uint16At, uint32At } from './text.ts';
import { topicProblem } from './topic.ts';

/** The properties of MQTT 5 that a client may send (OASIS MQTT 5.0, clause 2.2.2.2). */
export const propertyIds = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionId: 0x0b,
  sessionExpiry: 0x11,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblem: 0x17,
  willDelay: 0x18,
  requestResponse: 0x19,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
} as const;

type Kind = 'byte' | 'uint16' | 'uint32' | 'varint' | 'text' | 'data' | 'pair';
const ids = propertyIds;
const kinds: readonly (Kind | undefined)[] = Array.from({ length: 0x28 }, (_, id) => {
  if (id === ids.payloadFormat || id === ids.requestProblem || id === ids.requestResponse) {
    return 'byte';
  }
  if (id === ids.receiveMaximum || id === ids.topicAliasMaximum || id === ids.topicAlias) {
    return 'uint16';
  }
  if (id === ids.messageExpiry || id === ids.sessionExpiry) return 'uint32';
  if (id === ids.willDelay || id === ids.maximumPacketSize) return 'uint32';
  if (id === ids.subscriptionId) return 'varint';
  if (id === ids.contentType || id === ids.responseTopic) return 'text';
  if (id === ids.authenticationMethod || id === ids.reasonString) return 'text';
  if (id === ids.correlationData || id === ids.authenticationData) return 'data';
  return id === ids.userProperty ? 'pair' : undefined;
});

/** The kinds of packet that carry properties, as bits: which property may stand in which. */
export const carriers = {
  connect: 1,
  will: 2,
  publish: 4,
  acknowledgement: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
  auth: 128,
} as const;
const anyCarrier = 255;
const allowed = new Uint8Array(0x28);
const allow = (carrier: number, ...of: number[]): void => {
  for (const id of of) allowed[id]! |= carrier;
};
allow(carriers.connect, ids.sessionExpiry, ids.receiveMaximum, ids.maximumPacketSize);
allow(carriers.connect, ids.topicAliasMaximum, ids.requestResponse, ids.requestProblem);
allow(carriers.connect | carriers.auth, ids.authenticationMethod, ids.authenticationData);
allow(carriers.will, ids.willDelay);
allow(carriers.will | carriers.publish, ids.payloadFormat, ids.messageExpiry, ids.contentType);
allow(carriers.will | carriers.publish, ids.responseTopic, ids.correlationData);
// Of PUBLISH it is the server's; from a client there is a statement of its own against it.
allow(carriers.publish, ids.topicAlias, ids.subscriptionId);
allow(carriers.subscribe, ids.subscriptionId);
allow(carriers.disconnect, ids.sessionExpiry);
allow(carriers.acknowledgement | carriers.disconnect | carriers.auth, ids.reasonString);
allow(anyCarrier, ids.userProperty);

/**
 * The properties of one packet, as places in its bytes. One object serves for many packets: what is
 * in it is good until the next is read.
 */
export class PropertyView {
  bytes: Buffer = Buffer.alloc(0);
  /** Where they begin and end, without their length. */
  from = 0;
  to = 0;
  userProperties = 0;
  #seenLow = 0;
  #seenHigh = 0;
  /** Numbers, by identifier; of texts and data where their length stands. */
  readonly #values = new Uint32Array(0x28);

  begin(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    this.userProperties = 0;
    this.#seenLow = 0;
    this.#seenHigh = 0;
  }

  has(id: number): boolean {
    return ((id < 32 ? this.#seenLow : this.#seenHigh) & (1 << (id & 31))) !== 0;
  }

  set(id: number, value: number): void {
    if (id < 32) this.#seenLow |= 1 << id;
    else this.#seenHigh |= 1 << (id & 31);
    this.#values[id] = value;
  }

  number(id: number): number | undefined {
    return this.has(id) ? this.#values[id]! : undefined;
  }

  text(id: number): string | undefined {
    if (!this.has(id)) return undefined;
    const at = this.#values[id]!;
    return textOf(this.bytes, at + 2, at + 2 + uint16At(this.bytes, at));
  }

  /** A copy. */
  data(id: number): Buffer | undefined {
    if (!this.has(id)) return undefined;
    const at = this.#values[id]!;
    const from = at + 2;
    const length = uint16At(this.bytes, at);
    return ownBytes(this.bytes.subarray(from, from + length));
  }

  /** Where its identifier stands; -1 when it does not. */
  placeOf(id: number): number {
    for (let at = this.from; at < this.to; ) {
      if (this.bytes[at] === id) return at;
      at = valueEnd(this.bytes, this.bytes[at]!, at + 1, this.to);
    }
    return -1;
  }

  /** In order, with repeats. */
  pairs(): (readonly [string, string])[] {
    const pairs: [string, string][] = [];
    if (this.userProperties === 0) return pairs;
    const { bytes } = this;
    for (let at = this.from; at < this.to; ) {
      const id = bytes[at]!;
      const next = valueEnd(bytes, id, at + 1, this.to);
      if (id === ids.userProperty) {
        const middle = fieldEnd(bytes, at + 1, this.to);
        pairs.push([textOf(bytes, at + 3, middle), textOf(bytes, middle + 2, next)]);
      }
      at = next;
    }
    return pairs;
  }

  /** As subscribers get them; undefined when there is none. */
  message(): MessageProperties | undefined {
    if (this.from === this.to) return undefined;
    const payloadFormatIndicator = this.number(ids.payloadFormat) as 0 | 1 | undefined;
    const messageExpiryInterval = this.number(ids.messageExpiry);
    const contentType = this.text(ids.contentType);
    const responseTopic = this.text(ids.responseTopic);
    const correlationData = this.data(ids.correlationData);
    return {
      ...(payloadFormatIndicator !== undefined && { payloadFormatIndicator }),
      ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
      ...(contentType !== undefined && { contentType }),
      ...(responseTopic !== undefined && { responseTopic }),
      ...(correlationData !== undefined && { correlationData }),
      ...(this.userProperties > 0 && { userProperties: this.pairs() }),
    };
  }
}

/** Where the value at `at` ends; -1 when it does not within `end`. */
function valueEnd(bytes: Uint8Array, id: number, at: number, end: number): number {
  const kind = kinds[id];
  if (kind === 'byte') return at + 1;
  if (kind === 'uint16') return at + 2;
  if (kind === 'uint32') return at + 4;
  if (kind === 'varint') return varintEnd(bytes, at, end);
  if (kind !== 'pair') return fieldEnd(bytes, at, end);
  const middle = fieldEnd(bytes, at, end);
  return middle < 0 ? -1 : fieldEnd(bytes, middle, end);
}

/** Where a number of variable length ends; -1 when it does not within `end` and four bytes. */
export function varintEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let index = at; index < end && index < at + 4; index++) {
    if (bytes[index]! < 0x80) return index + 1;
  }
  return -1;
}

export function varintAt(bytes: Uint8Array, at: number, next: number): number {
  let value = 0;
  for (let index = next - 1; index >= at; index--) value = value * 128 + (bytes[index]! & 0x7f);
  return value;
}

/**
 * Reads the properties at `at`, with their length in front, into `view`; their end is `view.to`.
 * Values are checked for what each may be; what they mean together is the caller's affair.
 */
export function readProperties(
  view: PropertyView,
  bytes: Buffer,
  at: number,
  end: number,
  carrier: number,
): Refusal | undefined {
  const from = varintEnd(bytes, at, end);
  if (from < 0) return broken.propertyLength;
  if (isOverlong(bytes, at, from)) return broken.lengthEncoding;
  const to = from + varintAt(bytes, at, from);
  if (to > end) return broken.propertyLength;
  view.begin(bytes, from, to);
  for (let index = from; index < to; ) {
    const id = bytes[index]!;
    if (id >= 0x28 || (allowed[id]! & carrier) === 0) return broken.propertyUnknown;
    const next = valueEnd(bytes, id, index + 1, to);
    if (next < 0 || next > to) return broken.propertyLength;
    const problem = valueProblem(view, bytes, id, index + 1, next);
    if (problem !== undefined) return problem;
    index = next;
  }
  return undefined;
}

function valueProblem(
  view: PropertyView,
  bytes: Buffer,
  id: number,
  at: number,
  next: number,
): Refusal | undefined {
  if (id === ids.userProperty) {
    view.userProperties += 1;
    const middle = fieldEnd(bytes, at, next);
    return (
      textProblem(bytes, at + 2, middle, broken.userProperty) ??
      textProblem(bytes, middle + 2, next, broken.userProperty)
    );
  }
  if (view.has(id)) return broken.propertyTwice;
  const kind = kinds[id]!;
  if (kind === 'byte') view.set(id, bytes[at]!);
  else if (kind === 'uint16') view.set(id, uint16At(bytes, at));
  else if (kind === 'uint32') view.set(id, uint32At(bytes, at));
  else if (kind === 'varint') {
    if (isOverlong(bytes, at, next)) return broken.lengthEncoding;
    view.set(id, varintAt(bytes, at, next));
  } else view.set(id, at);
  return rangeProblem(view, bytes, id, at, next);
}

function rangeProblem(
  view: PropertyView,
  bytes: Buffer,
  id: number,
  at: number,
  next: number,
): Refusal | undefined {
  const value = view.number(id)!;
  switch (id) {
    case ids.payloadFormat:
      return value > 1 ? broken.payloadFormat : undefined;
    case ids.requestProblem:
      return value > 1 ? broken.requestProblem : undefined;
    case ids.requestResponse:
      return value > 1 ? broken.requestResponse : undefined;
    case ids.receiveMaximum:
      return value === 0 ? broken.receiveMaximumZero : undefined;
    case ids.maximumPacketSize:
      return value === 0 ? broken.maximumPacketSizeZero : undefined;
    case ids.subscriptionId:
      return value === 0 ? broken.subscriptionIdZero : undefined;
    case ids.topicAlias:
      return value === 0 ? broken.aliasZero : undefined;
    case ids.contentType:
      return textProblem(bytes, at + 2, next, broken.contentTypeUtf8);
    case ids.responseTopic:
      return responseTopicProblem(bytes, at + 2, next);
    case ids.authenticationMethod:
    case ids.reasonString:
      return textProblem(bytes, at + 2, next);
    default:
      return undefined;
  }
}

function responseTopicProblem(bytes: Buffer, from: number, to: number): Refusal | undefined {
  // An empty name of a topic is none [MQTT5-4.7.3-1].
  if (from === to) return broken.filterEmpty;
  return topicProblem(bytes, from, to, broken.responseTopicUtf8, broken.responseTopicWildcard);
}
