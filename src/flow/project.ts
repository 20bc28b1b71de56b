import type { Cursor, Json } from '../log/cursor.ts';
import type { Entry, EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Hole } from './follow.ts';
import { follow, followedAtOnce } from './follow.ts';

/** A projection reads the log; its state is saved with its cursor, so it never starts from the beginning. */
export async function project(
  projection: {
    readonly accepts: (entry: Entry) => boolean;
    step(entry: Entry): void;
    snapshot?(): Json;
  },
  cursor: Cursor,
  parts: {
    readonly log: EventLog;
    readonly clock: Clock;
    readonly onHole: (hole: Hole) => Promise<void>;
  },
  signal: AbortSignal,
): Promise<void> {
  const snapshot = projection.snapshot?.bind(projection);
  await follow(
    parts.log,
    cursor,
    async (entries) => {
      for (const entry of entries) projection.step(entry);
      return snapshot;
    },
    {
      signal,
      clock: parts.clock,
      accepts: projection.accepts,
      batchEvents: followedAtOnce,
      onHole: parts.onHole,
    },
  );
}
