import type { Delivery } from './delivery.ts';
import type { Position } from './journal.ts';

/** A message that waits: in memory, or only its place in the log. */
export type Waiting = Delivery | Position;

/** What waits for one subscriber, first in, first out. */
export class WaitingQueue {
  #items: Waiting[] = [];
  #next = 0;
  /** Of the topics and payloads that are in memory. */
  bytes = 0;
  /** The same of all queues. */
  readonly #held: { bytes: number };

  constructor(held: { bytes: number }) {
    this.#held = held;
  }

  get length(): number {
    return this.#items.length - this.#next;
  }

  get head(): Waiting | undefined {
    return this.#items[this.#next];
  }

  /** The lowest position that waits; -1 when none does. Now and then one has overtaken another. */
  get lowest(): Position {
    let lowest = -1;
    for (let index = this.#next; index < this.#items.length; index++) {
      const item = this.#items[index]!;
      const own = typeof item === 'number' || item.giver === undefined;
      const position = typeof item === 'number' ? item : item.message.position;
      if (own && position >= 0 && (lowest < 0 || position < lowest)) lowest = position;
    }
    return lowest;
  }

  push(item: Waiting): void {
    this.#items.push(item);
    if (typeof item !== 'number') this.#hold(item.message.heldBytes);
  }

  shift(): Waiting | undefined {
    const item = this.#items[this.#next];
    if (item === undefined) return undefined;
    this.#next += 1;
    if (typeof item !== 'number') this.#hold(-item.message.heldBytes);
    if (this.#next === this.#items.length) {
      this.#items = [];
      this.#next = 0;
    } else if (this.#next >= 256 && this.#next * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    return item;
  }

  /** The positions at the front, at most so many. */
  positions(most: number): Position[] {
    const found: Position[] = [];
    for (let index = this.#next; found.length < most; index++) {
      const item = this.#items[index];
      if (typeof item !== 'number') break;
      found.push(item);
    }
    return found;
  }

  /** Puts what was read from the log in the place of its position; undefined takes it out. */
  recall(found: ReadonlyMap<Position, Delivery | undefined>): void {
    const items: Waiting[] = [];
    let index = this.#next;
    for (; index < this.#items.length; index++) {
      const item = this.#items[index]!;
      if (typeof item !== 'number' || !found.has(item)) break;
      const delivery = found.get(item);
      if (delivery === undefined) continue;
      items.push(delivery);
      this.#hold(delivery.message.heldBytes);
    }
    this.#items = [...items, ...this.#items.slice(index)];
    this.#next = 0;
  }

  /** Takes everything out. */
  takeAll(): Waiting[] {
    const items = this.#next === 0 ? this.#items : this.#items.slice(this.#next);
    this.#items = [];
    this.#next = 0;
    this.#hold(-this.bytes);
    return items;
  }

  #hold(bytes: number): void {
    this.bytes += bytes;
    this.#held.bytes += bytes;
  }
}
