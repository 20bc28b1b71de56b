import { type Delivery, idOf } from './delivery.ts';
import type { Position } from './journal.ts';

/**
 * QoS 1 and 2 messages that one client has been sent and has not acknowledged, by their packet
 * identifiers, in the order in which they were first sent.
 */
export class InFlight {
  readonly #open = new Map<number, Delivery>();
  #again: Delivery[] = [];
  #places = 0;
  #next = 1;
  /** Of their topics and payloads. */
  bytes = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Messages that the client takes more at the moment. */
  get places(): number {
    return this.#places;
  }

  get(id: number): Delivery | undefined {
    return this.#open.get(id);
  }

  values(): IterableIterator<Delivery> {
    return this.#open.values();
  }

  /** The lowest position in the log; -1 when there is none. */
  get lowest(): Position {
    let lowest = -1;
    for (const { message, giver } of this.#open.values()) {
      const { position } = message;
      if (giver !== undefined || position < 0) continue;
      if (lowest < 0 || position < lowest) lowest = position;
    }
    return lowest;
  }

  /** A connection with so many places begins: all that is open is to be sent again. */
  begin(places: number): void {
    this.#places = places;
    this.#again = [...this.#open.values()];
    for (const delivery of this.#again) delivery.isCounted = false;
  }

  /** The next to be sent again; undefined when there is none. It stays so until `wasSentAgain`. */
  get again(): Delivery | undefined {
    while (this.#again.length > 0) {
      const delivery = this.#again[0]!;
      if (this.#open.get(delivery.id) === delivery) return delivery;
      this.#again.shift();
    }
    return undefined;
  }

  wasSentAgain(delivery: Delivery): void {
    this.#again.shift();
    if (!delivery.isRecorded) this.#take(delivery);
  }

  /**
   * A free packet identifier; that of the position where there is one, so that it is the same after
   * a restart. 0 while that is taken.
   */
  idFor(position: Position): number {
    if (position >= 0) {
      const id = idOf(position);
      return this.#open.has(id) ? 0 : id;
    }
    let id = this.#next;
    while (this.#open.has(id)) id = (id % 65_535) + 1;
    this.#next = (id % 65_535) + 1;
    return id;
  }

  add(delivery: Delivery): void {
    this.#open.set(delivery.id, delivery);
    this.bytes += delivery.message.heldBytes;
    this.#take(delivery);
  }

  /** As it was before a restart: recorded, and no longer in need of a place. */
  restore(delivery: Delivery): void {
    this.#open.set(delivery.id, delivery);
  }

  remove(delivery: Delivery): void {
    if (!this.#open.delete(delivery.id)) return;
    this.bytes -= delivery.message.heldBytes;
    if (!delivery.isCounted) return;
    delivery.isCounted = false;
    this.#places += 1;
  }

  #take(delivery: Delivery): void {
    delivery.isCounted = true;
    this.#places -= 1;
  }
}
