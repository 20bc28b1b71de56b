import { type Behaviour, change, type Recurring, sinceBegun } from './behaviour.ts';

/** Nothing is measured for a while, now and then: hung, switched off. */
export function silence(when: Recurring): Behaviour {
  return change((sending, moment) =>
    sinceBegun(when, moment.elapsedMs) === undefined ? sending : [],
  );
}
