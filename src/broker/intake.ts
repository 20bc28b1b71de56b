import type { Clock } from '../platform/clock.ts';
import type { Gate } from './gate.ts';
import type { MessageRecord, Position } from './journal.ts';
import type { Peer } from './peer.ts';

/** A message as it came in; what the gateway's `Ingest` takes. */
export interface Arrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly receivedAt: number;
  readonly properties?: Readonly<Record<string, string | readonly string[]>>;
  /** What the broker keeps of it, in the same append. */
  readonly record?: MessageRecord;
  /** Nothing else is kept of it. */
  readonly recordOnly?: true;
}

/**
 * Called in order, once what came before is durable: `lost` when it never will be. Of a message with
 * a record, its position is given.
 */
export type Settled = (lost: boolean, position?: Position) => void;

/** Resolves when all of it is safe, with the positions of the messages that have a record, in order. */
export type Keep = (
  messages: readonly Arrival[],
  // biome-ignore lint/suspicious/noConfusingVoidType: who keeps no records has nothing to say.
) => Promise<readonly Position[] | void>;

type Outcome = { readonly positions: readonly Position[] } | { readonly error: unknown };

interface Batch {
  /** None once they have been handed on. */
  messages: Arrival[];
  bytes: number;
  /** How many wait to be settled. */
  count: number;
  slots: Slots;
  /** By their places; none where a message is only acknowledged. */
  settled: (Settled | undefined)[] | undefined;
  /** Which have a record: their places. */
  records: Set<number> | undefined;
}

/** Of those who wait, by their places. Used again, so that thousands of them are no garbage. */
interface Slots {
  readonly guards: (Peer | undefined)[];
  /** Of the payload; -1 where there is none to be kept. */
  readonly sizes: Int32Array;
  /** The packet identifier to acknowledge; 0 for none. */
  readonly ids: Uint16Array;
}

/** Of one batch that is on its way to the disk, and one that is gathered meanwhile. */
const slotsKept = 2;
/** Few, as a disk that takes nothing makes thousands of batches wait, each with a message or two. */
const slotsFirst = 8;

/** A batch is handed on at this size, or at the end of the turn of the event loop. */
const batchBytes = 2 ** 20;
const batchMessages = 4096;
/** Others have a turn when so many messages were settled and it took so long. */
const lookEvery = 4;
const turnMs = 5;

/**
 * Brings messages to safety in the order they came, many at a time: one batch for every turn of the
 * event loop, over all clients. Whoever waits is told in that same order.
 */
export class Intake {
  readonly #ingest: Keep;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #failed: (error: unknown) => void;
  #batch: Batch | undefined;
  readonly #spare: Slots[] = [];
  #tail: Promise<void> = Promise.resolve();

  constructor(parts: {
    readonly ingest: Keep;
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
  accept(guard: Peer | undefined, message: Arrival, settled: Settled | undefined): void {
    this.#add(guard, message, 0, settled);
  }

  /** Keeps a message, and acknowledges it under `id` when that is not 0. */
  take(guard: Peer, message: Arrival, id: number): void {
    this.#add(guard, message, id, undefined);
  }

  /** Keeps nothing, but is settled in its turn. */
  pass(settled: Settled): void {
    this.#addEmpty(undefined, 0, settled);
  }

  /** Keeps nothing, but is acknowledged in its turn. */
  acknowledge(guard: Peer, id: number): void {
    this.#addEmpty(guard, id, undefined);
  }

  /** Resolves when everything handed in so far is settled. */
  async idle(): Promise<void> {
    if (this.#batch !== undefined) this.#close(this.#batch);
    await this.#tail;
  }

  #add(guard: Peer | undefined, message: Arrival, id: number, settled: Settled | undefined): void {
    const batch = this.#open();
    const bytes = message.payload.length + message.topic.length;
    batch.messages.push(message);
    if (message.record !== undefined) {
      batch.records ??= new Set();
      batch.records.add(batch.count);
    }
    batch.bytes += bytes;
    if (guard !== undefined) this.#gate.enter(guard.account, bytes);
    this.#place(batch, guard, bytes, id, settled);
  }

  #addEmpty(guard: Peer | undefined, id: number, settled: Settled | undefined): void {
    this.#place(this.#open(), guard, -1, id, settled);
  }

  #place(
    batch: Batch,
    guard: Peer | undefined,
    bytes: number,
    id: number,
    settled: Settled | undefined,
  ): void {
    const at = batch.count++;
    if (at === batch.slots.ids.length) batch.slots = grown(batch.slots);
    const { slots } = batch;
    slots.guards[at] = guard;
    slots.sizes[at] = bytes;
    slots.ids[at] = id;
    if (settled !== undefined) {
      batch.settled ??= [];
      batch.settled[at] = settled;
    }
    if (batch.bytes >= batchBytes || batch.count >= batchMessages) this.#close(batch);
  }

  #open(): Batch {
    const open = this.#batch;
    if (open !== undefined) return open;
    const slots = this.#spare.pop() ?? createSlots();
    const batch: Batch = {
      ...{ messages: [], bytes: 0, count: 0, slots },
      ...{ settled: undefined, records: undefined },
    };
    this.#batch = batch;
    void this.#clock.sleep(0).then(() => this.#close(batch));
    return batch;
  }

  #close(batch: Batch): void {
    if (this.#batch !== batch) return;
    this.#batch = undefined;
    const { messages } = batch;
    batch.messages = [];
    // Asked at once, and in order: how many batches the log takes together is its own affair.
    const begun = this.#clock.monotonic();
    const outcome = messages.length === 0 ? nothingToKeep : this.#keep(messages);
    this.#gate.worked(messages.length, this.#clock.monotonic() - begun);
    this.#tail = this.#tail.then(async () => await this.#settle(batch, await outcome));
  }

  /** Holds on to no message meanwhile: garbage that is young when it dies costs next to nothing. */
  #keep(messages: readonly Arrival[]): Promise<Outcome> {
    const ingested = (async () => this.#ingest(messages))();
    return ingested.then(
      (positions) => (positions ? { positions } : kept),
      (error: unknown) => ({ error }),
    );
  }

  async #settle(batch: Batch, outcome: Outcome): Promise<void> {
    const failed = 'error' in outcome;
    if (failed) this.#failed(outcome.error);
    const positions = (failed ? [] : outcome.positions).values();
    const { count, settled, records } = batch;
    const { guards, ids } = batch.slots;
    let begun = this.#clock.monotonic();
    for (let index = 0, looked = 0; index < count; ) {
      if (index - looked >= lookEvery) {
        looked = index;
        if (this.#clock.monotonic() - begun >= turnMs) begun = await this.#rest(begun);
      }
      const guard = guards[index];
      if (settled?.[index] === undefined && guard !== undefined && ids[index]! > 0) {
        index = this.#acknowledgeRun(batch, index, guard, failed);
      } else {
        const position = records?.has(index) ? positions.next().value : undefined;
        this.#settleOne(batch, index, failed, position);
        index += 1;
      }
    }
    this.#gate.worked(0, this.#clock.monotonic() - begun);
    this.#recycle(batch);
    this.#gate.reopen();
  }

  #recycle({ slots, count }: Batch): void {
    if (this.#spare.length >= slotsKept) return;
    slots.guards.fill(undefined, 0, count);
    this.#spare.push(slots);
  }

  /** Lets others have a turn. Returns when its own begins. */
  async #rest(begun: number): Promise<number> {
    this.#gate.worked(0, this.#clock.monotonic() - begun);
    await this.#clock.sleep(0);
    return this.#clock.monotonic();
  }

  #settleOne(batch: Batch, index: number, failed: boolean, position: Position | undefined): void {
    const guard = batch.slots.guards[index];
    const size = batch.slots.sizes[index]!;
    if (guard !== undefined && size >= 0 && !guard.isClosed) {
      this.#gate.leave(guard.account, size);
    }
    batch.settled?.[index]?.(failed && size >= 0, position);
  }

  /** All that follow one another of one client, in one piece. Returns where it goes on. */
  #acknowledgeRun(batch: Batch, from: number, guard: Peer, failed: boolean): number {
    const { count, settled } = batch;
    const { guards, sizes, ids } = batch.slots;
    let bytes = 0;
    let messages = 0;
    let to = from;
    while (to < count && guards[to] === guard && ids[to]! > 0 && settled?.[to] === undefined) {
      if (sizes[to]! >= 0) {
        bytes += sizes[to]!;
        messages += 1;
      }
      to += 1;
    }
    if (guard.isClosed) return to;
    if (messages > 0) this.#gate.leave(guard.account, bytes, messages);
    if (failed && messages > 0) guard.close();
    else guard.publisher.acknowledgeAll(ids, from, to);
    return to;
  }
}
const kept: Outcome = { positions: [] };

const createSlots = (): Slots => ({
  guards: [],
  sizes: new Int32Array(slotsFirst),
  ids: new Uint16Array(slotsFirst),
});

function grown({ guards, sizes, ids }: Slots): Slots {
  const more = {
    guards,
    sizes: new Int32Array(2 * sizes.length),
    ids: new Uint16Array(2 * ids.length),
  };
  more.sizes.set(sizes);
  more.ids.set(ids);
  return more;
}

const nothingToKeep = Promise.resolve(kept);
