import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashIdOf } from '../../src/event/hash-id.ts';
import { createDuplicateWindow } from '../../src/flow/duplicates.ts';
import { watch } from '../log/opened.ts';
import { IngestWorld } from './ingest-world.ts';

const bySequence = { topic: 'sensors/{device}/{measurement}', identity: ['boot', 'seq'] };
const seed = Math.floor(Math.random() * 2 ** 31);

test('a repeat is dropped and counted, by payload or by user property', async () => {
  const world = await IngestWorld.open([
    bySequence,
    { topic: 'props/{device}/{measurement}', identity: ['property:message-id'] },
  ]);
  const first = world.message('sensors/a/x', '{"boot":1,"seq":1,"t":20}');
  const property = (id: string) =>
    world.message('props/a/x', '[{"t":1},{"t":2}]', { properties: { 'message-id': id } });
  await world.ingest([first, first]);
  await world.ingest([first, property('m1')]);
  await world.ingest([property('m1'), property('m2')]);
  expect(await world.recorded()).toHaveLength(1 + 2 + 2);
  expect(await world.count('tidegate_duplicates_total')).toBe(2 + 2);
});

test('what differs in device, measurement, source, type or presence of its identity is no repeat', async () => {
  const world = await IngestWorld.open([bySequence]);
  const payloads = ['1', '"1"', '12', 'true', '1.5', 'null'];
  await world.ingest([
    ...payloads.map((seq) => world.message('sensors/a/x', `{"boot":1,"seq":${seq},"t":1}`)),
    world.message('sensors/b/x', '{"boot":1,"seq":1,"t":1}'),
    world.message('sensors/a/y', '{"boot":1,"seq":1,"t":1}'),
    world.message('sensors/a/x', '{"boot":11,"seq":"","t":1}'),
    world.message('sensors/a/x', '{"seq":1,"t":1}'),
    world.message('sensors/a/x', '{"seq":1,"t":1}'),
  ]);
  expect(await world.recorded()).toHaveLength(11);
});

test('the id of an event follows from its identity alone', async () => {
  const worlds = await Promise.all([
    IngestWorld.open([bySequence]),
    IngestWorld.open([bySequence]),
  ]);
  const ids = await Promise.all(
    worlds.map(async (world, index) => {
      await world.ingest([world.message('sensors/a/x', `{"seq":7,"t":${index},"boot":"b"}`)]);
      return (await world.recorded())[0]!.id;
    }),
  );
  expect(ids[0]).toBe(ids[1]);
  expect(ids[0]).toMatch(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  expect(ids[0]).toBe(hashIdOf(['/gateways/gw/broker', 'a', 'x', 'b', 7]));
});

test('a repeat of what is still being committed waits until that is durable', async () => {
  const world = await IngestWorld.open([bySequence]);
  const message = world.message('sensors/a/x', '{"boot":1,"seq":1,"t":20}');
  world.hold();
  const first = watch(world.ingest([message]));
  await world.clock.settle();
  const second = watch(world.ingest([message]));
  await world.clock.settle();
  expect([first.settled, second.settled]).toEqual([false, false]);
  world.letGo();
  await world.clock.settle();
  expect([first.settled, second.settled]).toEqual([true, true]);
  expect(await world.recorded()).toHaveLength(1);
});

type Step =
  | { readonly do: 'send'; readonly device: number; readonly seq: number }
  | { readonly do: 'settle' | 'hold' | 'letGo' }
  | { readonly do: 'cut'; readonly seed: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      device: fc.nat({ max: 2 }),
      seq: fc.nat({ max: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('settle', 'hold', 'letGo') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), seed: fc.nat() }) },
);

test(`random repeats across power cuts never double and never lose one (seed ${seed})`, async () => {
  const life = async (steps: readonly Step[]): Promise<void> => {
    const world = await IngestWorld.open([bySequence]);
    const acknowledged = new Set<string>();
    for (const each of steps) {
      if (each.do === 'send') {
        const { device, seq } = each;
        const payload = JSON.stringify({ boot: 1, seq, t: 1 });
        // What a process that died would have done does not count.
        const { disk } = world;
        void world.ingest([world.message(`sensors/${device}/x`, payload)]).then(() => {
          if (world.disk === disk) acknowledged.add(`${device} ${seq}`);
        });
      } else if (each.do === 'cut') {
        world.letGo();
        await world.cut(each.seed);
      } else if (each.do === 'settle') await world.clock.settle();
      else world[each.do]();
    }
    world.letGo();
    await world.clock.settle();
    const recorded = (await world.recorded()).map((entry) =>
      entry.type === 'reading' ? `${entry.subject} ${entry.data.fields.seq}` : entry.type,
    );
    expect(new Set(recorded).size).toBe(recorded.length);
    expect([...acknowledged].filter((sent) => !recorded.includes(sent))).toEqual([]);
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), life), {
    numRuns: 150,
    seed,
  });
}, 60_000);

test(`the window holds exactly the newest ids (seed ${seed})`, () => {
  const use = fc.record({
    limit: fc.integer({ min: 1, max: 9 }),
    ids: fc.array(fc.nat({ max: 24 })),
  });
  fc.assert(
    fc.property(use, ({ limit, ids }) => {
      const window = createDuplicateWindow(limit);
      const model: string[] = [];
      for (const number of ids) {
        const id = hashIdOf([number]);
        expect(window.has(id)).toBe(model.includes(id));
        window.remember(id);
        if (!model.includes(id)) model.push(id);
        if (model.length > limit) model.shift();
        expect(window.size).toBe(model.length);
      }
      for (let number = 0; number <= 24; number++) {
        const id = hashIdOf([number]);
        expect(window.has(id)).toBe(model.includes(id));
      }
    }),
    { numRuns: 2_000, seed },
  );
});

test('ids of one neighbourhood are told apart, and go one by one', () => {
  const window = createDuplicateWindow(50);
  // Alike in the word that says where they are looked for.
  const id = (number: number): string => `${'0'.repeat(20)}${String(number).padStart(6, '0')}`;
  for (let number = 0; number < 500; number++) {
    window.remember(id(number));
    expect(window.has(id(number))).toBe(true);
    expect(window.has(id(number - 49))).toBe(number >= 49);
    expect(window.has(id(number - 50))).toBe(false);
  }
});

test('ids that no identity made are not remembered', () => {
  const window = createDuplicateWindow(10);
  for (const id of ['01JD4Z0N9M8K7H6G5F4E3D2C1B', '', 'x', 'é'.repeat(26), `8${'0'.repeat(25)}`]) {
    window.remember(id);
    expect(window.has(id)).toBe(false);
  }
  expect(window.size).toBe(0);
});
