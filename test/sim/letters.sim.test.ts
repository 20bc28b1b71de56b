import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isRedriven } from '../../src/event/redelivery.ts';
import { World } from './life.ts';
import { expectPromisesKept } from './promises.ts';

const step = fc.constantFrom(
  ...(['refuse', 'send', 'send', 'redrive', 'redrive', 'settle', 'advance'] as const),
  ...(['accept', 'kill', 'cut'] as const),
);
const lives = Number(process.env.TIDEGATE_LIVES ?? 500);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

async function take(world: World, each: typeof step extends fc.Arbitrary<infer S> ? S : never) {
  const seq = world.sent.length;
  switch (each) {
    case 'refuse':
      world.sinks[seq % 2]!.mood = 'rejects-first';
      return;
    case 'accept':
      for (const sink of world.sinks) sink.mood = 'works';
      return;
    case 'send':
      world.send(`gh-${seq % 3}`, JSON.stringify({ temperature: 24 + ((seq * 5) % 11), seq }));
      return;
    case 'redrive':
      return world.redrive();
    case 'settle':
      return await world.clock.settle();
    case 'advance':
      return await world.clock.advance(1_000);
    case 'kill':
      world.kill();
      return await world.start();
    case 'cut':
      world.cut();
      return await world.start();
  }
}

test(`letters that are sent again keep every promise, through ${lives} random lives (TIDEGATE_SEED=${seed})`, async () => {
  let redriven = 0;
  const steps = fc.array(step, { minLength: 5, maxLength: 30, size: 'max' });
  const life = fc.asyncProperty(fc.nat(), steps, async (lifeSeed, all) => {
    const world = new World(lifeSeed);
    await world.start();
    for (const each of ['refuse', 'send', 'settle', ...all] as const) await take(world, each);
    await world.heal();
    for (const sent of world.sent) if (!sent.acknowledged) world.offer(sent);
    await world.heal();
    await expectPromisesKept(world);
    // What is open now was refused, and everything else that was sent again was taken.
    world.redrive();
    await world.heal();
    expect(world.gateway!.letters.open).toBe(0);
    await expectPromisesKept(world);
    redriven += (await world.recorded()).filter(isRedriven).length;
    await world.stop();
  });
  await fc.assert(life, { numRuns: lives, seed });
  expect(redriven).toBeGreaterThan(lives / 2);
}, 300_000);
