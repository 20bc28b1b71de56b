import type { Delivery } from './delivery.ts';

/** Retained messages for the new subscriptions of one client, made as they are sent. */
export class RetainedFeed {
  readonly #sources: Iterator<Delivery>[] = [];
  #head: Delivery | undefined;

  /** Subscriptions that are not served. */
  get length(): number {
    return this.#sources.length;
  }

  add(messages: Iterator<Delivery>): void {
    this.#sources.push(messages);
  }

  /** The next; undefined when there is none. It stays so until `shift`. */
  get head(): Delivery | undefined {
    while (this.#head === undefined && this.#sources.length > 0) {
      const next = this.#sources[0]!.next();
      if (next.done === false) this.#head = next.value;
      else this.#sources.shift();
    }
    return this.#head;
  }

  shift(): void {
    this.#head = undefined;
  }
}
