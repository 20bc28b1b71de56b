import type { Clock, ClockQuality } from '../platform/clock.ts';

/** When something was recorded, by both clocks. */
export interface Stamp {
  readonly recordedTime: number;
  readonly monotonic: number;
  readonly boot: string;
  readonly clock: ClockQuality;
}

interface Believed {
  readonly wall: number;
  readonly elapsedMs: number;
}

export interface SavedTime {
  readonly boot: string;
  readonly monotonic: number;
  readonly elapsedMs: number;
  readonly believed?: Believed | undefined;
  readonly earlier?: Believed | undefined;
}

/**
 * Milliseconds that have passed since the log began: never more than really have. Within one boot of
 * the machine the monotonic clock counts; while it was off, the wall clock, where it was known to be
 * synchronised before and after. So no clock that is set, steps or starts in 1970 ends anything.
 */
export class ElapsedTime {
  #boot = '';
  #monotonic = 0;
  #elapsedMs = 0;
  /** The last moment of this boot, and of the boots before it, whose wall clock can be believed. */
  #believed: Believed | undefined;
  #earlier: Believed | undefined;

  get ms(): number {
    return this.#elapsedMs;
  }

  step({ boot, monotonic, recordedTime: wall, clock }: Stamp): void {
    if (boot === this.#boot) {
      if (monotonic > this.#monotonic) this.#elapsedMs += monotonic - this.#monotonic;
    } else {
      this.#earlier = this.#believed ?? this.#earlier;
      this.#believed = undefined;
    }
    this.#boot = boot;
    this.#monotonic = monotonic;
    if (clock !== 'synchronised') return;
    const { wall: before, elapsedMs } = this.#earlier ?? { wall, elapsedMs: 0 };
    // Known now: for how long the machine was off.
    if (this.#believed === undefined) {
      this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs + wall - before);
    }
    this.#believed = { wall, elapsedMs: this.#elapsedMs };
  }

  /** What it will be for something recorded now. */
  at(clock: Clock): number {
    const now = new ElapsedTime();
    now.restore(this.save());
    now.step({
      boot: clock.boot,
      monotonic: clock.monotonic(),
      recordedTime: clock.now(),
      clock: clock.quality(),
    });
    return now.ms;
  }

  save(): SavedTime {
    return {
      boot: this.#boot,
      monotonic: this.#monotonic,
      elapsedMs: this.#elapsedMs,
      ...(this.#believed === undefined ? {} : { believed: this.#believed }),
      ...(this.#earlier === undefined ? {} : { earlier: this.#earlier }),
    };
  }

  restore({ boot, monotonic, elapsedMs, believed, earlier }: SavedTime): void {
    this.#boot = boot;
    this.#monotonic = monotonic;
    this.#elapsedMs = elapsedMs;
    this.#believed = believed;
    this.#earlier = earlier;
  }
}

/** The age of something that was recorded then, in milliseconds: never more than it really is. */
export function ageMsOf(stamp: Stamp, clock: Clock): number {
  if (stamp.boot === clock.boot) return Math.max(0, clock.monotonic() - stamp.monotonic);
  if (stamp.clock !== 'synchronised' || clock.quality() !== 'synchronised') return 0;
  return Math.max(0, clock.now() - stamp.recordedTime);
}
