import fc from 'fast-check';
import { expect, test } from 'vitest';
import { World } from './life.ts';
import {
  expectAcknowledgedRecorded,
  expectPromisesKept,
  expectSavedBooksWhole,
  garbagePayload,
} from './promises.ts';
import regressions from './regressions.json' with { type: 'json' };
import type { SimSinkMood } from './sink.ts';

type Step =
  | { readonly do: 'send'; readonly device: number; readonly temperature: number }
  | { readonly do: 'garbage' | 'repeat' | 'settle' | 'stop' | 'kill' | 'cut' }
  | { readonly do: 'redrive' | 'reboot' | 'set-clock' }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'jump'; readonly ms: number }
  | { readonly do: 'mood'; readonly sink: number; readonly mood: SimSinkMood };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      device: fc.integer({ min: 1, max: 3 }),
      temperature: fc.integer({ min: 24, max: 34 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('garbage', 'repeat', 'settle', 'stop', 'kill', 'cut'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('redrive', 'reboot', 'set-clock') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 40, 1_000, 12_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('jump' as const),
      ms: fc.constantFrom(-3_600_000, -50, 50, 86_400_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('mood' as const),
      sink: fc.integer({ min: 0, max: 1 }),
      mood: fc.constantFrom<SimSinkMood>(
        'works',
        'refuses',
        'takes-then-throws',
        'rejects-first',
        'rejects-all',
      ),
    }),
  },
);
const life = fc.record({
  seed: fc.nat(),
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
});
type Life = typeof life extends fc.Arbitrary<infer L> ? L : never;

async function take(world: World, each: Step): Promise<void> {
  switch (each.do) {
    case 'send': {
      const seq = world.sent.length;
      world.send(`gh-${each.device}`, JSON.stringify({ temperature: each.temperature, seq }), seq);
      return;
    }
    case 'garbage':
      world.send('gh-1', garbagePayload);
      return;
    case 'repeat': {
      const last = world.sent.at(-1);
      if (last !== undefined) world.offer(last);
      return;
    }
    case 'settle':
      return await world.clock.settle();
    case 'advance':
      return await world.clock.advance(each.ms);
    case 'jump':
      return await world.stepClock(each.ms);
    case 'redrive':
      return world.redrive();
    case 'set-clock':
      return await world.setClock();
    case 'reboot':
      world.rebootIn1970();
      return await world.start();
    case 'mood':
      world.sinks[each.sink]!.mood = each.mood;
      return;
    case 'stop':
      await world.stop();
      return await world.start();
    case 'kill':
      world.kill();
      return await world.start();
    case 'cut':
      world.cut();
      return await world.start();
  }
}

async function live({ seed, steps }: Life): Promise<void> {
  const world = new World(seed);
  await world.start();
  for (const each of steps) {
    await take(world, each);
    await expectSavedBooksWhole(world.disk);
  }
  await world.heal();
  for (const sent of world.sent) if (!sent.acknowledged) world.offer(sent);
  await world.heal();
  expect(world.sent.every((sent) => sent.acknowledged)).toBe(true);
  await expectPromisesKept(world);
  world.cut();
  await world.start();
  await world.heal();
  await expectPromisesKept(world);
  await world.stop();
}

const lives = Number(process.env.TIDEGATE_LIVES ?? 2_000);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(`the promises hold through ${lives} random lives (TIDEGATE_SEED=${seed})`, async () => {
  await fc.assert(fc.asyncProperty(life, live), {
    numRuns: lives,
    seed,
    examples: (regressions as unknown as Life[]).map((each) => [each]),
  });
}, 300_000);

test('the simulation sees a log that acknowledges before it syncs', async () => {
  const blind = fc.asyncProperty(life, async ({ seed: lifeSeed, steps }) => {
    const world = new World(lifeSeed);
    world.disk.syncs = false;
    await world.start();
    for (const each of steps) await take(world, each);
    await world.heal();
    await expectPromisesKept(world);
  });
  const result = await fc.check(blind, { numRuns: 500, seed: 1, endOnFailure: true });
  expect(result.failed).toBe(true);
}, 60_000);

test.each(['once', 'from-then-on'] as const)(
  'nothing acknowledged is lost whichever disk operation fails, %s',
  async (mode) => {
    let walked = 0;
    for (let operation = 1; ; operation++) {
      const world = new World(operation);
      const { disk } = world;
      disk.fault = { atOperation: operation, mode };
      await scenario(world);
      const met = disk.operations >= operation;
      world.cut();
      await world.start();
      await world.heal();
      expectAcknowledgedRecorded(world, await world.recorded());
      await world.stop();
      if (!met) break;
      walked++;
    }
    expect(walked).toBeGreaterThan(15);
  },
  60_000,
);

/** Some of everything: several segments, two sinks, an alert, a cursor save, a stop. */
async function scenario(world: World): Promise<void> {
  let started = false;
  const start = world.start().then(
    () => {
      started = true;
    },
    () => {},
  );
  for (let turn = 0; turn < 20 && !started; turn++) await world.clock.advance(100);
  if (!started) return;
  await start;
  for (let index = 0; index < 12; index++) {
    const payload = { temperature: 20 + index, seq: index, note: 'x'.repeat(200) };
    world.send(`gh-${index % 3}`, JSON.stringify(payload), index);
    await world.clock.advance(500);
  }
  await world.stop();
}
