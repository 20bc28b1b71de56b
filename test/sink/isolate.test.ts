import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isolate, type Outcome } from '../../src/sink/isolate.ts';

interface Thing {
  readonly n: number;
  readonly isBad: boolean;
}
const things = fc
  .array(fc.boolean(), { maxLength: 200 })
  .map((bad) => bad.map((isBad, n): Thing => ({ n, isBad })));

/** A far side that takes the good ones, or none of a group with a bad one in it. */
function farSide(answers: (bad: readonly Thing[], all: readonly Thing[]) => Outcome<Thing>) {
  const taken = new Set<Thing>();
  let offers = 0;
  return {
    taken,
    get offers() {
      return offers;
    },
    offer: async (group: readonly Thing[]): Promise<Outcome<Thing>> => {
      offers++;
      const bad = group.filter(({ isBad }) => isBad);
      if (bad.length > 0) return answers(bad, group);
      for (const thing of group) taken.add(thing);
      return 'taken';
    },
  };
}

const answers: Record<string, (bad: readonly Thing[], all: readonly Thing[]) => Outcome<Thing>> = {
  'says only that something is wrong': () => ({ reason: 'bad' }),
  'says when all is wrong': (bad, all) => ({ reason: 'bad', all: bad.length === all.length }),
  'points to the right ones': (bad) => ({ reason: 'bad', suspects: bad }),
  'points to the wrong ones': (_, all) => ({
    reason: 'bad',
    suspects: all.filter(({ isBad }) => !isBad),
  }),
  'names one of them': ([item]) => ({ reason: 'bad', named: [{ item: item!, reason: 'it' }] }),
};

test.each(Object.keys(answers))(
  'whatever is bad is found and the rest is taken, when the far side %s',
  async (name) => {
    await fc.assert(
      fc.asyncProperty(things, async (all) => {
        const far = farSide(answers[name]!);
        const refusals = await isolate(all, far.offer);
        const bad = all.filter(({ isBad }) => isBad);
        expect(refusals.map(({ item }) => item.n).sort((a, b) => a - b)).toEqual(
          bad.map(({ n }) => n),
        );
        expect([...far.taken].map(({ n }) => n).sort((a, b) => a - b)).toEqual(
          all.filter(({ isBad }) => !isBad).map(({ n }) => n),
        );
        expect(far.offers).toBeLessThanOrEqual(2 * all.length + 1);
      }),
    );
  },
);

test('one bad thing among five thousand costs few offers, and keeps the order', async () => {
  const all = Array.from({ length: 5_000 }, (_, n): Thing => ({ n, isBad: n === 1_234 }));
  const far = farSide(() => ({ reason: 'bad' }));
  await isolate(all, far.offer);
  expect(far.offers).toBeLessThan(30);
  expect([...far.taken].map(({ n }) => n)).toEqual(
    all.filter(({ isBad }) => !isBad).map(({ n }) => n),
  );
});

test('what is worth another try ends it at once', async () => {
  const offer = async (): Promise<Outcome<number>> => {
    throw new Error('gone');
  };
  await expect(isolate([1, 2, 3], offer)).rejects.toThrow('gone');
});
