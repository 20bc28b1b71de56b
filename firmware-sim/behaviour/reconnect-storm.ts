import { characterOf, type Recurring, sinceBegun } from './behaviour.ts';
import type { LinkBehaviour } from './condition.ts';

export interface StormOptions extends Recurring {
  /** Each device waits a time of its own up to this before it comes back. */
  readonly jitterMs: number;
}

/** All devices lose their connections at once, as of an access point that restarts, and come back. */
export function reconnectStorm({ jitterMs, ...when }: StormOptions): LinkBehaviour {
  return ({ seed, index, elapsedMs }) => {
    const lastsMs = when.lastsMs + jitterMs * characterOf({ seed, index }, 0x5707);
    return sinceBegun({ ...when, lastsMs }, elapsedMs) === undefined ? {} : { away: 'hung-up' };
  };
}
