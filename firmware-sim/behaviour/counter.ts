import { adjust, type Behaviour } from './behaviour.ts';
import { rounded } from './steady.ts';

/** What only ever grows, until the device starts again: an energy meter, a count of packets. */
export function counter(field: string, perHour: number): Behaviour {
  return adjust(field, (value, moment) =>
    rounded(value + (perHour * moment.elapsedMs) / 3_600_000, 4),
  );
}
