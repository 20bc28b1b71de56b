/** What is open has a print up to so many: more than that are only known to be there. */
const printsMost = 1024;

/**
 * The packet identifiers between PUBLISH and PUBREL of one client [MQTT-4.3.3-2]. However many it
 * leaves open, they take no more than 16 KiB, and 40 KiB for prints: no payload.
 */
export class Incoming {
  #known: Uint8Array | undefined;
  /** Known since an earlier connection. */
  #earlier: Uint8Array | undefined;
  /** Of what came under them. */
  readonly #prints = new Map<number, number>();
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
   * Whether the message was not seen before; it is known from now on. What comes again need not
   * carry DUP: not every client sets it. But without DUP, and with other content under an identifier
   * of an earlier connection, it is of a device that has lost its memory and begins at 1.
   */
  arrive(id: number, dup: boolean, print?: number): boolean {
    if (this.has(id)) {
      const before = this.#prints.get(id);
      const isOther = before !== undefined && print !== undefined && before !== print;
      if (dup || !isOther || !isIn(this.#earlier, id)) return false;
      this.release(id);
    }
    if (print !== undefined && this.#prints.size < printsMost) this.#prints.set(id, print);
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
    this.#prints.delete(id);
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

/** Tells messages apart; of a long payload, by its length, its beginning and its end. */
export function printOf(topic: string, payload: Uint8Array): number {
  let print = Math.imul(0x811c9dc5 ^ payload.length, 0x01000193);
  const add = (value: number): void => {
    print = Math.imul(print ^ value, 0x01000193);
  };
  for (let index = 0; index < topic.length; index++) add(topic.charCodeAt(index));
  const head = Math.min(payload.length, partBytes);
  for (let index = 0; index < head; index++) add(payload[index]!);
  for (let index = Math.max(head, payload.length - partBytes); index < payload.length; index++) {
    add(payload[index]!);
  }
  return print;
}
const partBytes = 1024;
