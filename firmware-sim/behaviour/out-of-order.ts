import { type Behaviour, chanceAt, type Moment, momentAt } from './behaviour.ts';

/** A share of the messages, from 0 to 1, is sent after the next one instead of before it. */
export function outOfOrder(share: number): Behaviour {
  // Whoever lets another pass is not passed itself, so that no message waits for ever.
  const isHeld = (moment: Moment): boolean =>
    isWilling(moment) && !isWilling(momentAt(moment, moment.seq - 1));
  const isWilling = (moment: Moment): boolean => moment.seq > 0 && chanceAt(moment, 0x0d0e) < share;
  return (before) => (moment) => {
    const earlier = momentAt(moment, moment.seq - 1);
    const own = isHeld(moment) ? [] : before(moment);
    return earlier.seq > 0 && isHeld(earlier) ? [...own, ...before(earlier)] : own;
  };
}
