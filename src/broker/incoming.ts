/**
 * The packet identifiers between PUBLISH and PUBREL of one client [MQTT-4.3.3-2]. However many it
 * leaves open, they take no more than 16 KiB: two bits for each there can be, and no payload.
 */
export class Incoming {
  #known: Uint8Array | undefined;
  /** Known since an earlier connection. */
  #earlier: Uint8Array | undefined;
  #count = 0;

  /** Identifiers that await their PUBREL. */
  get count(): number {
    return this.#count;
  }

  /** The client is on a new connection. */
  resume(): void {
    this.#earlier = this.#known?.slice();
  }

  /**
   * Whether the message was not seen before; it is known from now on. Without DUP, an identifier of
   * an earlier connection is that of a new message: what is sent again carries DUP [MQTT-3.3.1-1],
   * and a device that has lost its memory begins at 1.
   */
  arrive(id: number, dup: boolean): boolean {
    if (this.has(id)) {
      if (dup || !isIn(this.#earlier, id)) return false;
      this.release(id);
    }
    this.#known ??= new Uint8Array(2 ** 13);
    this.#known[id >> 3]! |= 1 << (id & 7);
    this.#count += 1;
    return true;
  }

  /** False when it is not known. */
  release(id: number): boolean {
    if (!this.has(id)) return false;
    this.#known![id >> 3]! &= ~(1 << (id & 7));
    if (this.#earlier !== undefined) this.#earlier[id >> 3]! &= ~(1 << (id & 7));
    this.#count -= 1;
    if (this.#count === 0) {
      this.#known = undefined;
      this.#earlier = undefined;
    }
    return true;
  }

  has(id: number): boolean {
    return isIn(this.#known, id);
  }
}

function isIn(bits: Uint8Array | undefined, id: number): boolean {
  return bits !== undefined && (bits[id >> 3]! & (1 << (id & 7))) !== 0;
}
