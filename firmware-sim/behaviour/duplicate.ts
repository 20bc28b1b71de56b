import { type Behaviour, chanceAt, change } from './behaviour.ts';

/** A share of the messages, from 0 to 1, is sent twice: firmware that does not trust its radio. */
export function duplicate(share: number): Behaviour {
  return change((sending, moment) =>
    chanceAt(moment, 0xd0b1) < share ? sending.flatMap((sent) => [sent, sent]) : sending,
  );
}
