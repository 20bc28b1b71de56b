import type { Bounds } from './bounds.ts';
import { ownBytes, type StoredPacket, sizeOf } from './stored.ts';
import { filterMatches } from './topic-tree.ts';

/** The last retained message of every topic. In memory only: none outlives the process. */
export class Retained {
  readonly #packets = new Map<string, StoredPacket>();
  readonly #bounds: Bounds;
  readonly #dropped: () => void;
  #bytes = 0;

  constructor(bounds: Bounds, dropped: () => void) {
    this.#bounds = bounds;
    this.#dropped = dropped;
  }

  get count(): number {
    return this.#packets.size;
  }

  /** An empty payload removes what is kept [MQTT-3.3.1-6]. Beyond the limits nothing new is kept. */
  store(packet: StoredPacket): void {
    const old = this.#packets.get(packet.topic);
    const oldBytes = old === undefined ? 0 : sizeOf(old);
    if (packet.payload.length === 0) {
      this.#packets.delete(packet.topic);
      this.#bytes -= oldBytes;
      return;
    }
    const bytes = this.#bytes - oldBytes + sizeOf(packet);
    const isNew = old === undefined && this.#packets.size >= this.#bounds.retainedMessages;
    if (isNew || (bytes > this.#bounds.retainedBytes && bytes > this.#bytes)) {
      this.#dropped();
      return;
    }
    this.#bytes = bytes;
    this.#packets.set(packet.topic, { ...packet, payload: ownBytes(packet.payload) });
  }

  /** What a new subscription to each of the filters gets. */
  *matching(filters: readonly string[]): Generator<StoredPacket> {
    for (const filter of filters) {
      if (/[+#]/.test(filter)) {
        for (const [topic, packet] of this.#packets) {
          if (filterMatches(filter, topic)) yield packet;
        }
      } else {
        const packet = this.#packets.get(filter);
        if (packet !== undefined) yield packet;
      }
    }
  }
}
