import type { Delivery } from './delivery.ts';
import type { MessageRecord, Position } from './journal.ts';
import { Message } from './message.ts';
import type { OutboxParts } from './recipient.ts';

/** Messages that are put into the journal at once, and about how much of them. */
const piece = { messages: 256, bytes: 256 * 2 ** 10 };

/**
 * Retained messages for the new subscriptions of one client, made as they are sent. Those that a
 * session which lasts is owed are in the journal before.
 */
export class RetainedFeed {
  readonly #sources: Iterator<Delivery>[] = [];
  #heads: Delivery[] = [];
  /** How many of them need not be put into the journal any more. */
  #safe = 0;
  #isKeeping = false;

  /** Subscriptions that are not served. */
  get length(): number {
    return this.#sources.length;
  }

  add(messages: Iterator<Delivery>): void {
    this.#sources.push(messages);
  }

  /** The next; undefined when there is none. It stays so until `shift`. */
  get head(): Delivery | undefined {
    if (this.#heads.length === 0) this.#more();
    return this.#heads[0];
  }

  /** Whether the next is in the journal. */
  get isSafe(): boolean {
    return this.#safe > 0;
  }

  /** Of what is in the journal and has not been sent. */
  get positions(): readonly Position[] {
    return this.#heads.slice(0, this.#safe).map(({ message }) => message.position);
  }

  shift(): void {
    this.#heads.shift();
    if (this.#safe > 0) this.#safe -= 1;
  }

  /** Puts the next ones into the journal. Returns the last position; -1 when there is none. */
  async keep(client: string, { journal, now, failed }: OutboxParts): Promise<Position> {
    if (this.#isKeeping) return -1;
    this.#isKeeping = true;
    const records = this.#toKeep(client, now());
    try {
      const positions = (await journal()?.append(records)) ?? [];
      const at = now();
      positions.forEach((position, index) => {
        const message = new Message(records[index]!, at, position);
        this.#heads[index] = { ...this.#heads[index]!, message };
      });
      this.#safe = positions.length;
      return positions.at(-1) ?? -1;
    } catch (error) {
      failed(error);
      return -1;
    } finally {
      this.#isKeeping = false;
    }
  }

  /** The next ones, as far as they are at QoS 1 or 2. */
  #toKeep(client: string, now: number): MessageRecord[] {
    const records: MessageRecord[] = [];
    let bytes = 0;
    for (let index = 0; index < this.#heads.length || this.#more(); index++) {
      const { message, qos } = this.#heads[index]!;
      if (qos === 0 || records.length === piece.messages || bytes >= piece.bytes) break;
      records.push(recordOf(message, qos, client, now));
      bytes += message.heldBytes;
    }
    return records;
  }

  #more(): boolean {
    for (let source = this.#sources[0]; source !== undefined; source = this.#sources[0]) {
      const next = source.next();
      if (next.done === false) {
        this.#heads.push(next.value);
        return true;
      }
      this.#sources.shift();
    }
    return false;
  }
}

/** What is left of its time counts from now on. */
function recordOf(message: Message, qos: 1 | 2, to: string, now: number): MessageRecord {
  const { properties, ...record } = message.record();
  const seconds = Math.max(1, Math.ceil((message.expiresAt - now) / 1000));
  const expiry = Number.isFinite(seconds) && { messageExpiryInterval: seconds };
  const left = properties && { properties: { ...properties, ...expiry } };
  return { ...record, ...left, qos, retain: true, to };
}
