/** A segment that is no longer written to, as far as retention is concerned. */
export interface ClosedSegment {
  /** The newest position in it. */
  readonly last: number;
  readonly bytes: number;
  /** Nothing in it was recorded after this (milliseconds since the epoch); unknown for some clocks. */
  readonly endedBy?: number | undefined;
}

export interface RetentionFacts {
  /** Oldest first. */
  readonly closed: readonly ClosedSegment[];
  /** Bytes that cannot be dropped, and bytes about to be written. */
  readonly otherBytes: number;
  /** Everything up to and including this has been done with by every reader. */
  readonly doneWith: number;
  readonly now: number;
}

export interface RetentionRule {
  readonly maxBytes: number;
  readonly maxAgeMs?: number | undefined;
  readonly whenFull: 'dropOldest' | 'refuseNew';
}

export interface RetentionVerdict {
  /** So many of the oldest segments go … */
  readonly drop: number;
  /** … of which this many, the newest of them, hold something that a reader has not seen. */
  readonly unseen: number;
  /** Whether what is about to be written then fits. */
  readonly fits: boolean;
}

/**
 * What has been delivered goes when it is too old or room is needed. What has not been delivered goes
 * only to make room, only under `dropOldest`, and only when nothing delivered is left.
 */
export function retentionOf(facts: RetentionFacts, rule: RetentionRule): RetentionVerdict {
  const { closed, doneWith, now } = facts;
  let bytes = facts.otherBytes;
  for (const segment of closed) bytes += segment.bytes;
  let drop = 0;
  let unseen = 0;
  for (const { last, bytes: size, endedBy } of closed) {
    const tooMuch = bytes > rule.maxBytes;
    const delivered = last <= doneWith;
    const tooOld =
      rule.maxAgeMs !== undefined && endedBy !== undefined && now - endedBy > rule.maxAgeMs;
    if (delivered ? !tooMuch && !tooOld : !tooMuch || rule.whenFull === 'refuseNew') break;
    if (!delivered) unseen++;
    drop++;
    bytes -= size;
  }
  return { drop, unseen, fits: bytes <= rule.maxBytes };
}
