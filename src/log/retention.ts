/** What has been left out of a segment: nothing, readings once, readings again, all but what lasts. */
export type Thinning = 'none' | 'thinned' | 'rethinned' | 'stripped';

/** A segment that is no longer written to, as far as retention is concerned. */
export interface ClosedSegment {
  /** The newest position in it. */
  readonly last: number;
  readonly bytes: number;
  /** All in it is at least so old, in milliseconds; undefined while nobody can know. */
  readonly ageMs?: number | undefined;
}

export interface RetentionFacts {
  /** Oldest first. */
  readonly closed: readonly ClosedSegment[];
  /** Bytes that cannot be dropped, and bytes about to be written. */
  readonly otherBytes: number;
  /** Everything up to and including this has been done with by every reader. */
  readonly doneWith: number;
}

export interface RetentionRule {
  readonly maxBytes: number;
  readonly maxAgeMs?: number | undefined;
}

export interface RetentionVerdict {
  /** So many of the oldest segments go. */
  readonly drop: number;
  /** Whether what is about to be written then fits. */
  readonly fits: boolean;
}

/** What every reader has done with goes when it is too old or room is needed; nothing else does. */
export function retentionOf(facts: RetentionFacts, rule: RetentionRule): RetentionVerdict {
  const { closed, doneWith } = facts;
  let bytes = facts.otherBytes;
  for (const segment of closed) bytes += segment.bytes;
  let drop = 0;
  for (const { last, bytes: size, ageMs } of closed) {
    const tooMuch = bytes > rule.maxBytes;
    const tooOld = rule.maxAgeMs !== undefined && ageMs !== undefined && ageMs > rule.maxAgeMs;
    if (last > doneWith || (!tooMuch && !tooOld)) break;
    drop++;
    bytes -= size;
  }
  return { drop, fits: bytes <= rule.maxBytes };
}

export type WhenFull = 'dropOldest' | 'thinOut' | 'refuseNew';

/** The next thing to give up of what some reader has not done with. */
export interface Sacrifice {
  /** Of the segments given. */
  readonly index: number;
  readonly act: 'thin' | 'strip' | 'drop';
}

/** More files than this are not kept, however small: a start looks at each. */
export const segmentsMax = 1_024;
/** How the room is shared between what is whole, thinned and thinned again, under `thinOut`. */
const shares = { none: 2, thinned: 1, rethinned: 1 } as const;

/**
 * Readings go before what the gateway says itself, old ones before new ones. Under `thinOut` readings
 * become fewer twice before they go: whichever of the three kinds has most for its share gives first.
 * Undefined when nothing may be given up.
 */
export function sacrificeOf(
  closed: readonly { readonly bytes: number; readonly thinning: Thinning }[],
  whenFull: WhenFull,
): Sacrifice | undefined {
  if (whenFull === 'refuseNew' || closed.length === 0) return undefined;
  if (closed.length >= segmentsMax) return { index: 0, act: 'drop' };
  if (whenFull === 'dropOldest') {
    const index = closed.findIndex(({ thinning }) => thinning !== 'stripped');
    return index === -1 ? { index: 0, act: 'drop' } : { index, act: 'strip' };
  }
  const bytes = { none: 0, thinned: 0, rethinned: 0, stripped: 0 };
  for (const { thinning, bytes: size } of closed) bytes[thinning] += size;
  let most: keyof typeof shares | undefined;
  for (const kind of ['none', 'thinned', 'rethinned'] as const) {
    if (bytes[kind] === 0) continue;
    if (most === undefined || bytes[kind] / shares[kind] > bytes[most] / shares[most]) most = kind;
  }
  if (most === undefined) return { index: 0, act: 'drop' };
  const index = closed.findIndex(({ thinning }) => thinning === most);
  return { index, act: most === 'rethinned' ? 'strip' : 'thin' };
}
