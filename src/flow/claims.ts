import type { Draft } from '../event/event.ts';
import { hashIdOf } from '../event/hash-id.ts';
import type { Claims } from '../source/source.ts';

/** Readings as the envelope of their message has them. */
export function claimed(
  drafts: readonly Draft<'reading'>[],
  { id, device, at, measurement, tags }: Claims,
): readonly Draft<'reading'>[] {
  return drafts.map((draft, index) => ({
    ...draft,
    ...(id === undefined ? {} : { id: index === 0 ? id : hashIdOf([id, index]) }),
    ...(device === undefined ? {} : { subject: device }),
    ...(at === undefined ? {} : { time: at }),
    data: {
      ...draft.data,
      ...(measurement === undefined ? {} : { measurement }),
      ...(tags === undefined ? {} : { tags: { ...draft.data.tags, ...tags } }),
    },
  }));
}
