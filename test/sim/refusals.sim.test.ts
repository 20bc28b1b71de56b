import { expect, test } from 'vitest';
import { World } from './life.ts';
import { expectPromisesKept } from './promises.ts';

test('a batch of large events that a sink refuses whole is recorded, and the next is delivered', async () => {
  const world = new World(1, { segmentBytes: 1 << 20 });
  await world.start();
  world.sinks[0]!.mood = 'rejects-all';
  world.sinks[1]!.mood = 'refuses';
  for (let seq = 0; seq < 20; seq++) {
    world.send('gh-1', JSON.stringify({ seq, text: 'x'.repeat(200_000) }), seq);
    await world.clock.settle();
  }
  world.sinks[0]!.mood = 'rejects-all';
  await world.clock.advance(10_000);
  world.sinks[0]!.mood = 'works';
  world.send('gh-2', JSON.stringify({ seq: 20, temperature: 25 }), 20);
  await world.heal();
  expect(world.sinks[0]!.taken.some(({ subject }) => subject === 'gh-2')).toBe(true);
  await expectPromisesKept(world);
  await world.stop();
});

test('what still fires when its rule leaves the configuration is resolved', async () => {
  const world = new World(2);
  await world.start();
  world.send('gh-1', '{"temperature": 33, "seq": 0}', 0);
  await world.heal();
  await world.stop();
  world.rules = () => [];
  await world.start();
  await world.clock.advance(25_000);
  await world.heal();
  const alerts = (await world.recorded()).filter(({ type }) => type === 'alert');
  const states = alerts.map(({ data }) => (data as { state: string }).state);
  const firing = states.filter((state) => state === 'firing').length;
  expect(firing).toBeGreaterThan(0);
  expect(states.filter((state) => state === 'resolved').length).toBe(firing);
  await world.stop();
});
