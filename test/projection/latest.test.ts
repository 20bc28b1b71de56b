import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLatest } from '../../src/projection/latest.ts';
import { reading } from '../rule/events.ts';

test('the last reading of each device and measurement is known', () => {
  const latest = createLatest();
  latest.step(reading('a', { t: 1 }, { time: 1 }));
  latest.step(reading('b', { t: 2 }, { time: 2 }));
  latest.step(reading('a', { ph: 7 }, { time: 3, measurement: 'soil' }));
  latest.step(reading('a', { t: 4 }, { time: 4, tags: { site: 'north' } }));
  expect(latest.readings()).toMatchObject([
    { device: 'b', fields: { t: 2 } },
    { device: 'a', measurement: 'soil', fields: { ph: 7 } },
    { device: 'a', measurement: 'climate', time: 4, tags: { site: 'north' }, fields: { t: 4 } },
  ]);
  expect(latest.readings('a')).toHaveLength(2);
  expect(latest.readings('c')).toEqual([]);
});

test('what comes late does not hide what is newer, until its clock must have been put right', () => {
  const latest = createLatest();
  const at = (time: number, recordedTime: number) => ({
    ...reading('a', { time }, { time }),
    recordedTime,
  });
  latest.step(at(1_000_000, 1_000_000));
  latest.step(at(900_000, 1_000_001));
  expect(latest.readings()).toMatchObject([{ time: 1_000_000 }]);
  latest.step(at(950_000, 1_600_001));
  expect(latest.readings()).toMatchObject([{ time: 950_000 }]);
});

test('series are bounded: the one longest not heard goes first, and is counted', () => {
  const latest = createLatest(3);
  for (const device of ['a', 'b', 'c', 'a', 'd', 'e']) latest.step(reading(device, { t: 1 }));
  expect(latest.readings().map(({ device }) => device)).toEqual(['a', 'd', 'e']);
  expect([latest.size, latest.forgotten]).toEqual([3, 2]);
});

test('taken down anywhere and put up again, the same readings are known', () => {
  const event = fc
    .tuple(
      fc.constantFrom('a', 'b', 'c', '__proto__'),
      fc.constantFrom('x', 'y'),
      fc.oneof(fc.integer(), fc.bigInt(), fc.string(), fc.boolean()),
      fc.nat({ max: 50 }),
    )
    .map(([device, measurement, t, time]) => reading(device, { t }, { measurement, time }));
  fc.assert(
    fc.property(
      fc.array(event),
      fc.nat({ max: 10 }),
      fc.integer({ min: 1, max: 5 }),
      (all, at, limit) => {
        const through = createLatest(limit);
        let parted = createLatest(limit);
        all.forEach((each, index) => {
          if (index === at) {
            const saved = JSON.parse(JSON.stringify(parted.snapshot()));
            parted = createLatest(limit);
            parted.restore(saved);
          }
          through.step(each);
          parted.step(each);
        });
        expect(parted.snapshot()).toEqual(through.snapshot());
      },
    ),
  );
});

test.each([null, 1, 'x', [], {}, { version: 1 }, { version: 1, forgotten: 0, readings: [{}] }])(
  'the unknown state %j is forgotten',
  (state) => {
    const latest = createLatest();
    latest.step(reading('a', { t: 1 }));
    latest.restore(state);
    expect(latest.readings()).toEqual([]);
  },
);
