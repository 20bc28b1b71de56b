import { adjust, type Behaviour, type Moment } from './behaviour.ts';
import { rounded } from './steady.ts';

export interface OverheatOptions {
  readonly field: string;
  /** What the field reaches, whatever it is otherwise. */
  readonly peak: number;
  /** From one time to the next. */
  readonly everyMs: number;
  /** How long it stays at its peak. */
  readonly lastsMs: number;
  /** How long it takes to get there, and to come back. */
  readonly rampMs: number;
  /** When the first time begins, after the device was switched on. */
  readonly afterMs: number;
}

/** Now and then the field climbs to its peak, stays there, and comes back. */
export function overheat(options: OverheatOptions): Behaviour {
  return adjust(options.field, (value, moment) => {
    const heat = heatAt(options, moment);
    return heat === 0 ? value : rounded(value + heat * (options.peak - value), 2);
  });
}

/** 0 when cool, 1 at the peak. */
function heatAt({ everyMs, lastsMs, rampMs, afterMs }: OverheatOptions, moment: Moment): number {
  if (moment.elapsedMs < afterMs) return 0;
  const at = (moment.elapsedMs - afterMs) % everyMs;
  if (at < rampMs) return at / rampMs;
  if (at < rampMs + lastsMs) return 1;
  return Math.max(0, 1 - (at - rampMs - lastsMs) / rampMs);
}
