/** What a sink takes at once from a backlog when no other is behind; two batches are in memory, … */
const aloneMax = 2_000;
/** … and what several take together: what they make of the events to send them comes on top. */
const togetherMax = 1_000;
/** A smaller batch would cost more in going there and back than it spares. */
const shareMin = 100;

/**
 * Shares out how much of the log is read ahead: the more sinks are behind, the less each takes at
 * once, so that it costs no more memory when all of them are.
 */
export interface ReadAhead {
  /** The place of one who delivers. */
  open(): Place;
}

interface Place {
  /** Whether more waits than fits into a batch. */
  isBehind: boolean;
  /** So many events at once at the most; no bound for who is not behind. */
  readonly events: number;
  close(): void;
}

export function createReadAhead(): ReadAhead {
  const behind = new Set<Place>();
  const share = (): number =>
    behind.size === 1 ? aloneMax : Math.max(shareMin, Math.floor(togetherMax / behind.size));
  return {
    open() {
      const place: Place = {
        get isBehind() {
          return behind.has(place);
        },
        set isBehind(is) {
          if (is) behind.add(place);
          else behind.delete(place);
        },
        get events() {
          return behind.has(place) ? share() : Number.POSITIVE_INFINITY;
        },
        close: () => void behind.delete(place),
      };
      return place;
    },
  };
}
