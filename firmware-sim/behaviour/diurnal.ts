import { adjust, type Behaviour } from './behaviour.ts';
import { rounded } from './steady.ts';

const dayMs = 86_400_000;

export interface DiurnalOptions {
  readonly field: string;
  /** How far the field moves to either side in a day; negative for what falls while the sun shines. */
  readonly swing: number;
  /** Hour of the day, UTC, at which the swing is greatest. */
  readonly peakHour?: number | undefined;
}

/** Day and night, from the wall clock. */
export function diurnal({ field, swing, peakHour = 14 }: DiurnalOptions): Behaviour {
  return adjust(field, (value, moment) => {
    const turns = (moment.time - peakHour * 3_600_000) / dayMs;
    return rounded(value + swing * Math.cos(2 * Math.PI * turns), 2);
  });
}
