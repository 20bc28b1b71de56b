import {
  type Behaviour,
  momentAt,
  type Recurring,
  sinceBegun,
  type Transmission,
} from './behaviour.ts';

export interface OfflineOptions extends Recurring {
  /** Moments that the device keeps; of a longer time without connection, the last. */
  readonly keeps: number;
}

/**
 * Out of range, now and then: what is measured then is kept in the device, and sent in order as
 * soon as there is a connection again, before what is of now.
 */
export function offline({ keeps, ...when }: OfflineOptions): Behaviour {
  return (before) => (moment) => {
    const isAway = (seq: number): boolean =>
      sinceBegun(when, momentAt(moment, seq).elapsedMs) !== undefined;
    if (isAway(moment.seq)) return [];
    const sending: (readonly Transmission[])[] = [before(moment)];
    for (let seq = moment.seq - 1; seq > 0 && moment.seq - seq <= keeps && isAway(seq); seq--) {
      sending.push(before(momentAt(moment, seq)));
    }
    return sending.reverse().flat();
  };
}
