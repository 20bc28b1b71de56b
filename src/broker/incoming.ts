/** The QoS 2 messages of one client that are being brought to safety, and those that are safe. */
interface Arriving {
  /** Resolves when the message is safe. */
  readonly safe: Promise<void>;
  readonly settle: (lost: boolean) => void;
  claimed: boolean;
}

/**
 * The packet identifiers between PUBLISH and PUBREL of one client [MQTT-4.3.3-2]. However many it
 * leaves open, they take no more than 8 KiB: one bit for each there can be, and no payload.
 */
export class Incoming {
  readonly #arriving = new Map<number, Arriving>();
  #known: Uint8Array | undefined;
  #count = 0;

  /** Identifiers that await their PUBREL. */
  get count(): number {
    return this.#count + this.#arriving.size;
  }

  /**
   * For a message not seen before: the function to call once when it is safe or lost. Undefined for
   * a repeat.
   */
  arrive(id: number): ((lost: boolean) => void) | undefined {
    if (this.#arriving.has(id) || this.#has(id)) return undefined;
    let settle!: (lost: boolean) => void;
    const safe = new Promise<void>((resolve, reject) => {
      settle = (lost) => {
        if (!lost) return resolve();
        this.#arriving.delete(id);
        reject(new Error('the message could not be kept'));
      };
    });
    // Whoever waits for it hears of it; that nobody does is no error.
    safe.catch(() => {});
    this.#arriving.set(id, { safe, settle, claimed: false });
    return settle;
  }

  /**
   * Whether the message is known, once it is safe. False for one that arrives, the first time that
   * is asked: whoever asked is to `store` it.
   */
  async isKnown(id: number): Promise<boolean> {
    const arriving = this.#arriving.get(id);
    if (arriving === undefined) return this.#has(id);
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
    this.#arriving.delete(id);
    if (this.#has(id)) return;
    this.#known ??= new Uint8Array(2 ** 13);
    this.#known[id >> 3]! |= 1 << (id & 7);
    this.#count += 1;
  }

  release(id: number): void {
    if (!this.#has(id)) return;
    this.#known![id >> 3]! &= ~(1 << (id & 7));
    this.#count -= 1;
    if (this.#count === 0) this.#known = undefined;
  }

  has(id: number): boolean {
    return this.#has(id);
  }

  #has(id: number): boolean {
    return this.#known !== undefined && (this.#known[id >> 3]! & (1 << (id & 7))) !== 0;
  }
}
