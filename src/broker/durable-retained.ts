import { type MessageJson, messageJson, messageOfJson } from '../event/message-json.ts';
import type { Bounds } from './bounds.ts';
import { messageRecordOf } from './durable-records.ts';
import type { MessageRecord } from './journal.ts';

interface Kept {
  readonly message: MessageRecord;
  /** By the time that has elapsed. */
  readonly at: number;
}

export type RetainedRow = readonly [topic: string, at: number, message: MessageJson];

/** The retained messages that the log tells of, within the bounds that the broker keeps, too. */
export class DurableRetained {
  readonly #kept = new Map<string, Kept>();
  readonly #bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes'>;
  #bytes = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes'>) {
    this.#bounds = bounds;
  }

  /** An empty payload removes what is kept [MQTT-3.3.1-6]. Beyond the bounds nothing new is kept. */
  store({ incomingId: _, ...message }: MessageRecord, at: number): void {
    const { topic, payload } = message;
    const size = sizeOf(message);
    const isFull = (): boolean => {
      const old = this.#kept.get(topic);
      if (old === undefined && this.#kept.size >= this.#bounds.retainedMessages) return true;
      const more = size - (old === undefined ? 0 : sizeOf(old.message));
      return more > 0 && this.#bytes + more > this.#bounds.retainedBytes;
    };
    if (payload.length === 0) {
      this.#remove(topic);
      return;
    }
    if (isFull()) this.#removeExpired(at);
    if (isFull()) return;
    const old = this.#kept.get(topic);
    this.#bytes += size - (old === undefined ? 0 : sizeOf(old.message));
    this.#kept.set(topic, { message: { ...message, payload: alone(payload) }, at });
  }

  #remove(topic: string): void {
    const old = this.#kept.get(topic);
    if (old === undefined) return;
    this.#kept.delete(topic);
    this.#bytes -= sizeOf(old.message);
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

  values(): Iterable<Kept> {
    return this.#kept.values();
  }

  save(): RetainedRow[] {
    return [...this.#kept.values()].map(({ message, at }) => {
      const { kind: _, topic, ...data } = message;
      return [topic, at, messageJson(data)];
    });
  }

  restore(rows: readonly RetainedRow[]): void {
    for (const [topic, at, json] of rows)
      this.store(messageRecordOf(topic, messageOfJson(json)), at);
  }
}

const sizeOf = ({ topic, payload }: MessageRecord): number =>
  overhead + topic.length + payload.length;
/** Of a message, as JSON. */
const overhead = 100;
const lookMs = 1_000;

/** In memory of its own: a small buffer is a piece of 8 KiB, and would keep all of that. */
function alone(payload: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(payload.length);
  copy.set(payload);
  return copy;
}
