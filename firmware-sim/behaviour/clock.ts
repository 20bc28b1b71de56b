import { type Behaviour, change } from './behaviour.ts';

export interface ClockOptions {
  /** Milliseconds that the clock is ahead; behind when negative. */
  readonly skewMs: number;
  /** Milliseconds that it gains in an hour. */
  readonly gainMsPerHour: number;
  /** After the device was switched on it takes so long until it knows the time: 1970 until then. */
  readonly unsetMs: number;
}

/** The clock of the device is wrong, and so are the times in its messages. */
export function clock({ skewMs, gainMsPerHour, unsetMs }: ClockOptions): Behaviour {
  return change((sending, { elapsedMs }) =>
    sending.map((sent) => {
      if (elapsedMs < unsetMs) return { ...sent, time: elapsedMs };
      const gainMs = Math.round((gainMsPerHour * elapsedMs) / 3_600_000);
      return { ...sent, time: sent.time + skewMs + gainMs };
    }),
  );
}
