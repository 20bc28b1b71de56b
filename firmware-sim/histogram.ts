/**
 * Durations from a microsecond to days, in buckets that are never wider than 1/64 of what they
 * hold: a percentile is off by less than 1.6 %. 2,304 numbers, whatever is recorded.
 *
 *   0 … 127 µs      one bucket per microsecond
 *   128 … 255 µs    64 buckets of 2 µs
 *   256 … 511 µs    64 buckets of 4 µs, and so on, to 2^41 µs
 */
export interface Histogram {
  /** Records a duration in milliseconds; less than nothing counts as nothing. */
  record(ms: number): void;
  readonly count: number;
  readonly maxMs: number;
  /** The duration below which that share (0 to 1) of them lies; 0 when there are none. */
  percentileMs(share: number): number;
}

const half = 64;
const microsecondsMax = 2 ** 41 - 1;

export function createHistogram(): Histogram {
  const buckets = new Float64Array(bucketOf(microsecondsMax) + 1);
  let count = 0;
  let maxMs = 0;
  return {
    record(ms) {
      const microseconds = Math.min(Math.max(Math.round(ms * 1_000), 0), microsecondsMax);
      buckets[bucketOf(microseconds)]! += 1;
      count += 1;
      if (ms > maxMs) maxMs = ms;
    },
    get count() {
      return count;
    },
    get maxMs() {
      return maxMs;
    },
    percentileMs(share) {
      if (count === 0) return 0;
      const rank = Math.max(1, Math.ceil(share * count));
      let seen = 0;
      for (let bucket = 0; bucket < buckets.length; bucket++) {
        seen += buckets[bucket]!;
        if (seen >= rank) return Math.min(topOf(bucket) / 1_000, maxMs);
      }
      return maxMs;
    },
  };
}

function bucketOf(microseconds: number): number {
  if (microseconds < 2 * half) return microseconds;
  const doublings = Math.floor(Math.log2(microseconds)) - 6;
  return doublings * half + Math.floor(microseconds / 2 ** doublings);
}

/** The longest duration in a bucket, in microseconds. */
function topOf(bucket: number): number {
  if (bucket < 2 * half) return bucket;
  const doublings = Math.floor(bucket / half) - 1;
  return (bucket - doublings * half + 1) * 2 ** doublings - 1;
}
