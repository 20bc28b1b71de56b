import { type Recurring, sinceBegun } from './behaviour.ts';
import type { LinkBehaviour } from './condition.ts';

/**
 * The device loses its power or its network without a word: the connection stays open on the far
 * side, and the device comes back on another one, under the same client id.
 */
export function halfOpen(when: Recurring): LinkBehaviour {
  return ({ elapsedMs }) =>
    sinceBegun(when, elapsedMs) === undefined ? {} : { away: 'half-open' };
}
