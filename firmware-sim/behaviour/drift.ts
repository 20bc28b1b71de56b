import { adjust, type Behaviour } from './behaviour.ts';
import { rounded } from './steady.ts';

/** A sensor that ages: the field moves away by so much an hour, for ever. */
export function drift(field: string, perHour: number): Behaviour {
  return adjust(field, (value, moment) =>
    rounded(value + (perHour * moment.elapsedMs) / 3_600_000, 2),
  );
}
