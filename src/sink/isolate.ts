/** One thing the far side will never take, and why. */
export interface Refusal<T> {
  readonly item: T;
  readonly reason: string;
}

/** What came of offering some things together. Whatever is worth another try is thrown instead. */
export type Outcome<T> =
  | 'taken'
  | {
      /** In the far side's own words. */
      readonly reason: string;
      /** It takes not one of them. */
      readonly all?: boolean;
      /** Those it is probably about: they are offered apart from the rest. */
      readonly suspects?: readonly T[];
      /** Those it is certainly about. The rest is offered again without them. */
      readonly named?: readonly Refusal<T>[];
    };

/**
 * Offers things until the far side has taken all but those it refuses one by one, halving what is
 * refused as a whole. Things are offered more than once: to take one twice must do no harm. For n
 * things and k bad ones that is about k log n offers, and never more than 2n.
 */
export async function isolate<T>(
  items: readonly T[],
  offer: (items: readonly T[]) => Promise<Outcome<T>>,
): Promise<Refusal<T>[]> {
  const refusals: Refusal<T>[] = [];
  const waiting: (readonly T[])[] = [items];
  for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
    if (group.length === 0) continue;
    const outcome = await offer(group);
    if (outcome === 'taken') continue;
    const { reason, all, named, suspects } = outcome;
    if (all || group.length === 1) {
      for (const item of group) refusals.push({ item, reason });
    } else if (named !== undefined && named.length > 0) {
      refusals.push(...named);
      const known = new Set(named.map((refusal) => refusal.item));
      waiting.push(group.filter((item) => !known.has(item)));
    } else if (suspects !== undefined && suspects.length > 0 && suspects.length < group.length) {
      const suspected = new Set(suspects);
      waiting.push(
        suspects,
        group.filter((item) => !suspected.has(item)),
      );
    } else {
      const middle = group.length >> 1;
      // The first half is offered first: the far side sees things in their order.
      waiting.push(group.slice(middle), group.slice(0, middle));
    }
  }
  return refusals;
}
