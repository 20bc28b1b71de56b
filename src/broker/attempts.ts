interface Bucket {
  tokens: number;
  at: number;
}

/** How often somebody may fail: so many times at once, and then one more in every so many ms. */
export interface Allowance {
  readonly failures: number;
  readonly everyMs: number;
}

/**
 * Counts failures by name. A name that has failed too often must wait. At most `namesMax` are
 * remembered: the one that failed longest ago is forgotten.
 */
export class Attempts {
  readonly #buckets = new Map<string, Bucket>();
  readonly #allowance: Allowance;
  readonly #namesMax: number;

  constructor(allowance: Allowance, namesMax: number) {
    this.#allowance = allowance;
    this.#namesMax = namesMax;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether the name may try again; `now` in milliseconds of a monotonic clock. */
  may(name: string, now: number): boolean {
    const bucket = this.#buckets.get(name);
    return bucket === undefined || this.#tokensOf(bucket, now) >= 1;
  }

  failed(name: string, now: number): void {
    const { failures } = this.#allowance;
    const known = this.#buckets.get(name);
    const tokens = known === undefined ? failures : this.#tokensOf(known, now);
    this.#buckets.delete(name);
    this.#buckets.set(name, { tokens: Math.max(0, tokens - 1), at: now });
    if (this.#buckets.size <= this.#namesMax) return;
    this.#buckets.delete(this.#buckets.keys().next().value!);
  }

  #tokensOf({ tokens, at }: Bucket, now: number): number {
    const { failures, everyMs } = this.#allowance;
    return Math.min(failures, tokens + (now - at) / everyMs);
  }
}
