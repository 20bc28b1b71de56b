import fc from 'fast-check';
import { expect, test } from 'vitest';
import { filterMatches, TopicTree } from '../../src/broker/topic-tree.ts';

/** The rules of clause 4.7, one after the other. */
function plainly(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const given = topic.split('/');
  const wanted = filter.split('/');
  const open = wanted.at(-1) === '#';
  if (open) wanted.pop();
  if (open ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((level, index) => level === '+' || level === given[index]);
}

const level = fc.constantFrom('', 'a', 'b', '$a', '$SYS', 'constructor', '__proto__');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.boolean())
  .map(([levels, open]) => (open || levels.length === 0 ? [...levels, '#'] : levels).join('/'));

test('a topic finds exactly the filters that match it', () => {
  fc.assert(
    fc.property(fc.array(filters, { maxLength: 12 }), topics, (all, topic) => {
      const tree = new TopicTree<string>();
      for (const filter of all) tree.add(filter, filter);
      const expected = all.filter((filter) => plainly(filter, topic));
      expect([...tree.match(topic)].sort()).toEqual(expected.sort());
      for (const filter of all) expect(filterMatches(filter, topic)).toBe(plainly(filter, topic));
    }),
    { numRuns: 2000 },
  );
});

test('what is removed is not found, and leaves nothing behind', () => {
  fc.assert(
    fc.property(fc.array(filters, { maxLength: 12 }), topics, fc.nat(), (all, topic, pick) => {
      const tree = new TopicTree<number>();
      for (const [index, filter] of all.entries()) tree.add(filter, index);
      const gone = new Set(all.flatMap((_, index) => ((pick >> index) & 1 ? [index] : [])));
      for (const index of gone) {
        expect(tree.remove(all[index]!, (value) => value === index)).toBe(true);
        expect(tree.remove(all[index]!, (value) => value === index)).toBe(false);
      }
      const expected = all.flatMap((filter, index) =>
        !gone.has(index) && plainly(filter, topic) ? [index] : [],
      );
      expect([...tree.match(topic)].sort()).toEqual(expected.sort());
      expect(tree.size).toBe(all.length - gone.size);
    }),
  );
});
