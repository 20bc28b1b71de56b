const firstBytes = 16 * 2 ** 10;
const headerBytesMax = 5;

/**
 * A packet that has begun and not ended. Its memory grows with what has come, not with what was
 * announced, and is counted in `memory`, which all connections share.
 */
export class UnfinishedPacket {
  /** The size of the whole packet; 0 while that is not known. */
  size = 0;
  /** Bytes that have come. */
  have = 0;
  /** When it began; milliseconds of the monotonic clock. */
  since = 0;
  #bytes: Buffer | undefined;
  readonly #memory: { bytes: number };

  constructor(memory: { bytes: number }) {
    this.#memory = memory;
  }

  /** What has come so far. */
  get bytes(): Buffer {
    return this.#bytes!.subarray(0, this.have);
  }

  begin(size: number, now: number): void {
    this.size = size;
    this.since = now;
  }

  add(chunk: Buffer, from: number, to: number): void {
    const have = this.have + to - from;
    this.#grow(have);
    chunk.copy(this.#bytes!, this.have, from, to);
    this.have = have;
  }

  /** The packet, which is now whole; the next may begin. */
  take(): Buffer {
    const { bytes } = this;
    this.drop();
    return bytes;
  }

  drop(): void {
    this.#memory.bytes -= this.#bytes?.length ?? 0;
    this.#bytes = undefined;
    this.have = 0;
    this.size = 0;
  }

  #grow(have: number): void {
    const old = this.#bytes;
    if (old !== undefined && old.length >= have) return;
    const doubled = Math.max(firstBytes, 2 * (old?.length ?? 0), have);
    const capacity = this.size === 0 ? headerBytesMax : Math.min(this.size, doubled);
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
    this.#memory.bytes += capacity - (old?.length ?? 0);
    old?.copy(this.#bytes, 0, 0, this.have);
  }
}
