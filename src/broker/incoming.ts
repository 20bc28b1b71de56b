/** A QoS 2 message on its way to safety. */
interface Arriving {
  /** Resolves when the message is safe. */
  readonly safe: Promise<void>;
  /** aedes was told to store it: whoever asks from now on asks about a repeat. */
  claimed: boolean;
  /** It came on an earlier connection. */
  earlier: boolean;
}

/**
 * The packet identifiers between PUBLISH and PUBREL of one client [MQTT-4.3.3-2]. However many it
 * leaves open, they take no more than 16 KiB: two bits for each there can be, and no payload.
 */
export class Incoming {
  readonly #arriving = new Map<number, Arriving>();
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
    for (const arriving of this.#arriving.values()) arriving.earlier = true;
  }

  /**
   * For a message not seen before: the function to call once when it is safe or lost. Undefined for
   * a repeat. Without DUP, an identifier of an earlier connection is that of a new message: what is
   * sent again carries DUP [MQTT-3.3.1-1], and a device that has lost its memory begins at 1.
   */
  arrive(id: number, dup: boolean): ((lost: boolean) => void) | undefined {
    const other = this.#arriving.get(id);
    if (other !== undefined && (dup || !other.earlier)) return undefined;
    if (isIn(this.#known, id)) {
      if (dup || !isIn(this.#earlier, id)) return undefined;
      this.release(id);
    }
    let settle!: (lost: boolean) => void;
    const safe = new Promise<void>((resolve, reject) => {
      settle = (lost) => {
        if (lost) reject(new Error('the message could not be kept'));
        else resolve();
      };
    });
    const arriving = { safe, claimed: false, earlier: false };
    // Whoever waits for it hears of it; that nobody does is no error.
    safe.catch(() => this.#forget(id, arriving));
    this.#arriving.set(id, arriving);
    return settle;
  }

  /**
   * Whether the message is known, once it is safe. False for one that arrives, the first time that
   * is asked: whoever asked is to `store` it.
   */
  async isKnown(id: number): Promise<boolean> {
    const arriving = this.#arriving.get(id);
    if (arriving === undefined) return this.has(id);
    if (!arriving.claimed) {
      arriving.claimed = true;
      return false;
    }
    await arriving.safe;
    return true;
  }

  /** Resolves when the message that arrives is safe; from then on the identifier is known. */
  async store(id: number): Promise<void> {
    const arriving = this.#arriving.get(id);
    await arriving?.safe;
    this.#forget(id, arriving);
    if (this.has(id)) return;
    this.#known ??= new Uint8Array(2 ** 13);
    this.#known[id >> 3]! |= 1 << (id & 7);
    this.#count += 1;
  }

  release(id: number): void {
    if (!this.has(id)) return;
    this.#known![id >> 3]! &= ~(1 << (id & 7));
    if (this.#earlier !== undefined) this.#earlier[id >> 3]! &= ~(1 << (id & 7));
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#known = undefined;
    this.#earlier = undefined;
  }

  has(id: number): boolean {
    return isIn(this.#known, id);
  }

  #forget(id: number, arriving: Arriving | undefined): void {
    if (this.#arriving.get(id) === arriving) this.#arriving.delete(id);
  }
}

function isIn(bits: Uint8Array | undefined, id: number): boolean {
  return bits !== undefined && (bits[id >> 3]! & (1 << (id & 7))) !== 0;
}
