import { type MessageJson, messageJson, messageOfJson } from '../event/message-json.ts';
import type { Bounds } from './bounds.ts';
import { messageRecordOf } from './durable-records.ts';
import type { MessageRecord, Position } from './journal.ts';
import { Message } from './message.ts';

interface Kept {
  message: Message;
  /** By the time that has elapsed. */
  at: number;
}

export type RetainedRow = readonly [topic: string, at: number, message: MessageJson];
/** A row that becomes JSON when it is written: there may be very many of them. */
export type SavedRow = readonly [topic: string, at: number, message: { toJSON(): MessageJson }];

/** The message at a place in the log, if somebody has it in memory, so that it is not there twice. */
export type KnownMessage = (topic: string, position: Position) => Message | undefined;

/** The retained messages that the log tells of, within the bounds that the broker keeps, too. */
export class DurableRetained {
  readonly #kept = new Map<string, Kept>();
  readonly #bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes'>;
  readonly #known: KnownMessage;
  #bytes = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes'>, known: KnownMessage) {
    this.#bounds = bounds;
    this.#known = known;
  }

  /** An empty payload removes what is kept [MQTT-3.3.1-6]. Beyond the bounds nothing new is kept. */
  store(record: MessageRecord, at: number, position: Position = -1): void {
    const { topic, payload } = record;
    const size = sizeOf(topic.length + payload.length);
    const isFull = (): boolean => {
      const old = this.#kept.get(topic);
      if (old === undefined && this.#kept.size >= this.#bounds.retainedMessages) return true;
      const more = size - (old === undefined ? 0 : sizeOf(old.message.bytes));
      return more > 0 && this.#bytes + more > this.#bounds.retainedBytes;
    };
    if (payload.length === 0) {
      this.#remove(topic);
      return;
    }
    if (isFull()) this.#removeExpired(at);
    if (isFull()) return;
    const old = this.#kept.get(topic);
    this.#bytes += size - (old === undefined ? 0 : sizeOf(old.message.bytes));
    const message = this.#known(topic, position) ?? new Message(record, 0, position).keep();
    this.#kept.set(topic, { message, at });
  }

  /** Somebody else may have the same message: it need not be there twice. */
  adopt(message: Message, isSame: (position: Position) => boolean): void {
    const old = this.#kept.get(message.topic);
    if (old !== undefined && isSame(old.message.position)) old.message = message.keep();
  }

  /** All of them are that much younger. */
  shift(ms: number): void {
    for (const kept of this.#kept.values()) kept.at += ms;
  }

  #remove(topic: string): void {
    const old = this.#kept.get(topic);
    if (old === undefined) return;
    this.#kept.delete(topic);
    this.#bytes -= sizeOf(old.message.bytes);
  }

  /** Now and then: where none has expired, every new topic would ask for it. */
  #removeExpired(now: number): void {
    if (now - this.#lookedAt < lookMs) return;
    this.#lookedAt = now;
    for (const [topic, { message, at }] of this.#kept) {
      const seconds = message.properties?.messageExpiryInterval;
      if (seconds !== undefined && now - at > seconds * 1_000) this.#remove(topic);
    }
  }

  /** What the messages take, with their topics. */
  get bytes(): number {
    return this.#bytes;
  }

  *values(): Generator<{ readonly message: MessageRecord; readonly at: number }> {
    for (const { message, at } of this.#kept.values()) yield { message: message.record(), at };
  }

  save(): SavedRow[] {
    return [...this.#kept].map(([topic, { message, at }]) => [topic, at, new LaterJson(message)]);
  }

  /** What there was before stays where the rows say nothing of it and leave room. */
  restore(rows: readonly RetainedRow[]): void {
    const before = [...this.#kept];
    this.#kept.clear();
    this.#bytes = 0;
    for (const [topic, at, json] of rows)
      this.store(messageRecordOf(topic, messageOfJson(json)), at);
    for (const [topic, { message, at }] of before) {
      if (!this.#kept.has(topic)) this.store(message.record(), at, message.position);
    }
  }
}

class LaterJson {
  readonly #message: Message;
  constructor(message: Message) {
    this.#message = message;
  }
  toJSON(): MessageJson {
    const { kind: _, topic: __, ...data } = this.#message.record();
    return messageJson(data);
  }
}

const sizeOf = (bytes: number): number => overhead + bytes;
/** Of a message, as JSON. */
const overhead = 100;
const lookMs = 1_000;
