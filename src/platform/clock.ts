/** Whether the wall clock can be believed. `unknown` where the system does not say. */
export type ClockQuality = 'unknown' | 'synchronised' | 'unsynchronised';

/** Time, as a thing that is handed in. Nothing else in the gateway may ask what time it is. */
export interface Clock {
  /** Wall clock, in milliseconds since the epoch. May jump: dates facts, never measures. */
  now(): number;
  /** Milliseconds since this boot of the machine began. Never goes back: use it to measure. */
  monotonic(): number;
  /** Names this boot of the machine: monotonic times compare only within one boot. */
  readonly boot: string;
  quality(): ClockQuality;
  /** Resolves after `ms`; rejects with the signal's reason as soon as that is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
