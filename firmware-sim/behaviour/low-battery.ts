import { type Behaviour, chanceAt, change } from './behaviour.ts';
import { rounded } from './steady.ts';

export interface LowBatteryOptions {
  readonly field: string;
  /** Percent at the start. */
  readonly from: number;
  readonly perHour: number;
}

/** Percent below which the voltage drops with every transmission. */
const weak = 5;

/** A battery at its end: below 5 % every other message is not sent, at 0 none. */
export function lowBattery({ field, from, perHour }: LowBatteryOptions): Behaviour {
  return change((sending, moment) => {
    const left = rounded(Math.max(0, from - (perHour * moment.elapsedMs) / 3_600_000), 1);
    if (left <= 0 || (left < weak && chanceAt(moment, 0xba77) < 0.5)) return [];
    return sending.map((sent) => ({ ...sent, fields: { ...sent.fields, [field]: left } }));
  });
}
