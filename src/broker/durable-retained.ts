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

  constructor(bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes'>) {
    this.#bounds = bounds;
  }

  /** An empty payload removes what is kept [MQTT-3.3.1-6]. Beyond the bounds nothing new is kept. */
  store({ incomingId: _, ...message }: MessageRecord, at: number): void {
    const old = this.#kept.get(message.topic);
    const oldBytes = old === undefined ? 0 : sizeOf(old.message);
    if (message.payload.length === 0) {
      this.#kept.delete(message.topic);
      this.#bytes -= oldBytes;
      return;
    }
    const bytes = this.#bytes - oldBytes + sizeOf(message);
    const { retainedMessages, retainedBytes } = this.#bounds;
    const isNew = old === undefined && this.#kept.size >= retainedMessages;
    if (isNew || (bytes > retainedBytes && bytes > this.#bytes)) return;
    this.#bytes = bytes;
    this.#kept.set(message.topic, { message, at });
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

const sizeOf = ({ topic, payload }: MessageRecord): number => topic.length + payload.length;
