import { type Behaviour, change, type Recurring, sinceBegun } from './behaviour.ts';

export interface BurstOptions extends Recurring {
  /** So many messages instead of one. */
  readonly times: number;
}

/** Now and then a device sends much more than otherwise: somebody walks past, a contact bounces. */
export function burst({ times, ...when }: BurstOptions): Behaviour {
  return change((sending, moment) => {
    if (sinceBegun(when, moment.elapsedMs) === undefined) return sending;
    return sending.flatMap((sent) =>
      Array.from({ length: times }, (_, part) => ({
        ...sent,
        part: sent.part * times + part,
        time: sent.time + Math.round((part * moment.periodMs) / times),
      })),
    );
  });
}
