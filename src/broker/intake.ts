import type { Clock } from '../platform/clock.ts';
import type { Gate } from './gate.ts';
import type { Guard } from './guard.ts';

/** A message as it came in; what the gateway's `Ingest` takes. */
export interface Arrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly receivedAt: number;
  readonly properties?: Readonly<Record<string, string | readonly string[]>>;
}

/** Called in order, once what came before is durable: `lost` when it never will be. */
export type Settled = (lost: boolean) => void;

interface Batch {
  readonly messages: Arrival[];
  bytes: number;
  readonly guards: (Guard | undefined)[];
  /** Of the payload; -1 where there is none to be kept. */
  readonly sizes: number[];
  readonly settled: (Settled | undefined)[];
}

/** A batch is handed on at this size, or at the end of the turn of the event loop. */
const batchBytes = 2 ** 20;
const batchMessages = 4096;

/**
 * Brings messages to safety in the order they came, many at a time: one batch for every turn of the
 * event loop, over all clients. Whoever waits is told in that same order.
 */
export class Intake {
  readonly #ingest: (messages: readonly Arrival[]) => Promise<void>;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #failed: (error: unknown) => void;
  #batch: Batch | undefined;
  #tail: Promise<void> = Promise.resolve();

  constructor(parts: {
    readonly ingest: (messages: readonly Arrival[]) => Promise<void>;
    readonly clock: Clock;
    readonly gate: Gate;
    /** Told about every batch that could not be ingested. */
    readonly failed: (error: unknown) => void;
  }) {
    this.#ingest = parts.ingest;
    this.#clock = parts.clock;
    this.#gate = parts.gate;
    this.#failed = parts.failed;
  }

  /** Keeps a message. `guard` is not given for what does not count against a client: a will. */
  accept(guard: Guard | undefined, message: Arrival, settled: Settled | undefined): void {
    const batch = this.#open();
    const bytes = message.payload.length + message.topic.length;
    batch.messages.push(message);
    batch.bytes += bytes;
    batch.guards.push(guard);
    batch.sizes.push(bytes);
    batch.settled.push(settled);
    if (guard !== undefined) this.#gate.enter(guard.account, bytes);
    if (batch.bytes >= batchBytes || batch.messages.length >= batchMessages) this.#close(batch);
  }

  /** Keeps nothing, but is settled in its turn. */
  pass(settled: Settled): void {
    const batch = this.#open();
    batch.guards.push(undefined);
    batch.sizes.push(-1);
    batch.settled.push(settled);
  }

  /** Resolves when everything handed in so far is settled. */
  async idle(): Promise<void> {
    if (this.#batch !== undefined) this.#close(this.#batch);
    await this.#tail;
  }

  #open(): Batch {
    const open = this.#batch;
    if (open !== undefined) return open;
    const batch: Batch = { messages: [], bytes: 0, guards: [], sizes: [], settled: [] };
    this.#batch = batch;
    void this.#clock.sleep(0).then(() => this.#close(batch));
    return batch;
  }

  #close(batch: Batch): void {
    if (this.#batch !== batch) return;
    this.#batch = undefined;
    // Asked at once, and in order: how many batches the log takes together is its own affair.
    const outcome = batch.messages.length === 0 ? kept : this.#keep(batch.messages);
    this.#tail = this.#tail.then(async () => this.#settle(batch, await outcome));
  }

  /** Undefined, or an object with the error. */
  async #keep(messages: readonly Arrival[]): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#ingest(messages);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  #settle(batch: Batch, failure: { readonly error: unknown } | undefined): void {
    if (failure !== undefined) this.#failed(failure.error);
    const { guards, sizes, settled } = batch;
    for (let index = 0; index < guards.length; index++) {
      const guard = guards[index];
      const lost = failure !== undefined && sizes[index]! >= 0;
      if (guard !== undefined) {
        if (guard.isClosed) {
          settled[index]?.(lost);
          continue;
        }
        this.#gate.leave(guard.account, sizes[index]!);
      }
      settled[index]?.(lost);
    }
    this.#gate.reopen();
  }
}
const kept = Promise.resolve(undefined);
