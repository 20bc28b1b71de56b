import { type Recurring, sinceBegun } from './behaviour.ts';
import type { LinkBehaviour } from './condition.ts';

/** The device tries a password that is not its own, for so long or for ever. */
export function wrongPassword(when: Recurring): LinkBehaviour {
  return ({ elapsedMs }) =>
    sinceBegun(when, elapsedMs) === undefined ? {} : { password: 'wrong' };
}
