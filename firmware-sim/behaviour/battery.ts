import { adjust, type Behaviour, characterOf } from './behaviour.ts';
import { rounded } from './steady.ts';

/** A battery, in percent: each device starts somewhere between 70 and 100 and falls, never below 0. */
export function battery(field: string, perHour: number): Behaviour {
  return adjust(field, (_, moment) => {
    const full = 70 + 30 * characterOf(moment, 7);
    return rounded(Math.max(0, full - (perHour * moment.elapsedMs) / 3_600_000), 1);
  });
}
