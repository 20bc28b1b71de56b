import type { Bounds } from './bounds.ts';
import { TopicTree } from './topic-tree.ts';

interface Routed {
  readonly topic: string;
}
type Deliver = (packet: Routed, done: () => void) => void;
type Done = (error?: Error | null) => void;

/**
 * Hands messages to the subscriptions that match: what aedes calls its `mq` (the interface of
 * mqemitter). Deliveries under way are bounded; beyond that messages wait for their turn, and while
 * any wait, the router is `busy` and clients are not let in.
 */
export class Router {
  readonly #tree = new TopicTree<Deliver>();
  readonly #bounds: Bounds;
  readonly #dropped: () => void;
  #queue: { readonly packet: Routed; readonly done: Done }[] = [];
  #next = 0;
  #deliveries = 0;
  #draining = false;

  constructor(bounds: Bounds, dropped: () => void) {
    this.#bounds = bounds;
    this.#dropped = dropped;
  }

  /** Messages that wait for their turn. */
  get length(): number {
    return this.#queue.length - this.#next;
  }

  get subscriptions(): number {
    return this.#tree.size;
  }

  get busy(): boolean {
    return this.length > 0;
  }

  on(filter: string, deliver: Deliver, done?: Done): this {
    this.#tree.add(filter, deliver);
    if (done !== undefined) queueMicrotask(done);
    return this;
  }

  removeListener(filter: string, deliver: Deliver, done?: Done): this {
    this.#tree.remove(filter, (candidate) => candidate === deliver);
    if (done !== undefined) queueMicrotask(done);
    return this;
  }

  /** `done` is called when every subscription has had the message, or there was none. */
  emit(packet: Routed, done: Done): this {
    if (this.busy || this.#deliveries >= this.#bounds.deliveries) this.#enqueue(packet, done);
    else this.#deliver(packet, done);
    return this;
  }

  close(done: () => void): this {
    queueMicrotask(done);
    return this;
  }

  #enqueue(packet: Routed, done: Done): void {
    if (this.length < this.#bounds.routedMessages) {
      this.#queue.push({ packet, done });
      return;
    }
    this.#dropped();
    done();
  }

  #deliver(packet: Routed, done: Done): void {
    const matches = this.#tree.match(packet.topic);
    if (matches.length === 0) {
      done();
      return;
    }
    let left = matches.length;
    this.#deliveries += left;
    const delivered = (): void => {
      this.#deliveries -= 1;
      left -= 1;
      if (left === 0) done();
      if (this.busy) this.#drain();
    };
    for (const deliver of matches) deliver(packet, delivered);
  }

  #drain(): void {
    // Deliveries may be done at once, and must not go deeper for every message that waits.
    if (this.#draining) return;
    this.#draining = true;
    while (this.busy && this.#deliveries < this.#bounds.deliveries) {
      const { packet, done } = this.#queue[this.#next++]!;
      this.#deliver(packet, done);
    }
    if (!this.busy) {
      this.#queue = [];
      this.#next = 0;
    } else if (this.#next >= 1024) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    this.#draining = false;
  }
}
