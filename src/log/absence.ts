import type { Absence } from './log.ts';
import type { Thinning } from './retention.ts';

interface Stretch {
  readonly first: number;
  readonly thinning: Thinning;
}

const reasonOf = (thinning: Thinning): Absence['reason'] => {
  if (thinning === 'none') return 'damaged';
  return thinning === 'stripped' ? 'retention' : 'thinned';
};

/** Why there is no entry at a position of a log of these segments, oldest first, that ends at `last`. */
export function absenceAt(segments: readonly Stretch[], last: number, position: number): Absence {
  const behind = segments.findIndex(({ first }) => first > position);
  const index = behind === -1 ? segments.length - 1 : behind - 1;
  const segment = segments[index];
  if (segment === undefined)
    return { reason: 'retention', until: (segments[0]?.first ?? last) - 1 };
  const reason = reasonOf(segment.thinning);
  if (reason === 'damaged') return { reason, until: position };
  // One stretch, however many files it lies in.
  let next = index + 1;
  while (next < segments.length && reasonOf(segments[next]!.thinning) === reason) next++;
  return { reason, until: (segments[next]?.first ?? last + 1) - 1 };
}

/** Where something has been left out of those segments: ascending, and in as few ranges as possible. */
export function thinnedOf(
  segments: readonly Stretch[],
  last: number,
): { readonly from: number; readonly to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  segments.forEach(({ first, thinning }, index) => {
    if (thinning === 'none') return;
    const to = (segments[index + 1]?.first ?? last + 1) - 1;
    const before = ranges.at(-1);
    if (before !== undefined && before.to === first - 1) before.to = to;
    else ranges.push({ from: first, to });
  });
  return ranges;
}
