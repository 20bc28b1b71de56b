import { type Behaviour, chanceAt, change } from './behaviour.ts';

export interface OversizedOptions {
  /** From 0 to 1. */
  readonly share: number;
  readonly bytes: number;
}

/** A share of the messages is larger than a server takes: a bug in firmware, a memory dump. */
export function oversized({ share, bytes }: OversizedOptions): Behaviour {
  return change((sending, moment) =>
    chanceAt(moment, 0x0b16) < share
      ? sending.map((sent) => ({
          ...sent,
          garbage: new Uint8Array(bytes).fill(0x78),
          once: true as const,
        }))
      : sending,
  );
}
