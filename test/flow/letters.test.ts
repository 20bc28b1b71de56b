import { expect, test } from 'vitest';
import type { World } from '../sim/life.ts';
import { during, readings, send, startWorld } from './history-world.ts';

async function withLetter(): Promise<{ world: World; id: string }> {
  const world = await startWorld();
  world.sinks[0]!.mood = 'rejects-first';
  await send(world, 'gh-1', 31);
  await world.clock.advance(100);
  // The alert that follows from it was refused, too.
  const letter = world.gateway!.letters.list({ state: 'open' }).find(isReading);
  world.sinks[0]!.mood = 'works';
  return { world, id: letter!.id };
}
const isReading = ({ type }: { type: string }) => type === 'io.tidegate.reading.v1';

test('a redriven letter reaches its sink once, under its own id, marked; nobody else hears of it', async () => {
  const { world, id } = await withLetter();
  const [one, two] = world.sinks;
  const { letters } = world.gateway!;
  // A rule that saw the redriven 31 °C would fire once more.
  await send(world, 'gh-1', 20);
  await world.clock.advance(100);
  const before = two!.taken.length;
  const alerts = (await world.recorded()).filter(({ type }) => type === 'alert').length;
  expect(readings(one!.taken)).toHaveLength(1);
  expect(await during(world, letters.redrive({ ids: [id] }))).toEqual({ done: [id], refused: [] });
  expect(letters.list({}).find((letter) => letter.id === id)?.state).toBe('redriven');
  await world.heal();
  const [, taken, ...more] = readings(one!.taken);
  expect(more).toEqual([]);
  expect(taken).toMatchObject({ id: readings(two!.taken)[0]!.id, extensions: { redriveof: id } });
  expect(taken!.data.fields.temperature).toBe(31);
  expect(readings(two!.taken.slice(before))).toEqual([]);
  expect((await world.recorded()).filter(({ type }) => type === 'alert')).toHaveLength(alerts);
  await world.stop();
});

test('what the command said is redriven arrives even when the power fails at once', async () => {
  const { world, id } = await withLetter();
  await during(world, world.gateway!.letters.redrive({ ids: [id] }));
  world.cut();
  await world.start();
  await world.heal();
  expect(readings(world.sinks[0]!.taken).map(({ extensions }) => extensions?.redriveof)).toContain(
    id,
  );
  expect(world.gateway!.letters.list({}).find((letter) => letter.id === id)?.state).toBe(
    'redriven',
  );
  await world.stop();
});

test('a redriven letter that is refused again is open again, with one attempt more', async () => {
  const { world, id } = await withLetter();
  for (const attempts of [2, 3]) {
    world.sinks[0]!.mood = 'rejects-first';
    await during(world, world.gateway!.letters.redrive({ ids: [id] }));
    await world.clock.advance(100);
    const letter = world.gateway!.letters.list({ state: 'open' }).find((each) => each.id === id);
    expect(letter).toMatchObject({ attempts, state: 'open' });
  }
  const ids = (await world.recorded()).filter(({ type }) => type === 'rejected').map((e) => e.id);
  expect(new Set(ids).size).toBe(ids.length);
  await world.stop();
});

test('a letter shows the whole event, is dropped for good, and cannot be redriven then', async () => {
  const { world, id } = await withLetter();
  const { letters } = world.gateway!;
  const shown = await during(world, letters.show(id));
  expect(shown?.event).toMatchObject({ subject: 'gh-1', data: { fields: { temperature: 31 } } });
  expect(await during(world, letters.show('none'))).toBeUndefined();
  expect(await during(world, letters.drop({ sink: 'one' }))).toMatchObject({ refused: [] });
  expect(letters.open).toBe(0);
  const recorded = await world.recorded();
  expect(recorded.filter(({ type }) => type === 'command')).toHaveLength(1);
  const outcome = await during(world, letters.redrive({ ids: [id, 'none'] }));
  expect(outcome.done).toEqual([]);
  expect(outcome.refused.map(({ reason }) => reason)).toEqual([
    'it was dropped',
    'there is no such letter (tidegate letters list shows them)',
  ]);
  world.kill();
  await world.start();
  await world.clock.advance(100);
  expect(world.gateway!.letters.list({ state: 'open' })).toEqual([]);
  await world.stop();
});

test('two who redrive the same letter at once send it once', async () => {
  const { world, id } = await withLetter();
  const { letters } = world.gateway!;
  const both = Promise.all([letters.redrive({ ids: [id] }), letters.redrive({ ids: [id] })]);
  const [first, second] = await during(world, both);
  expect([first.done, second.done]).toEqual([[id], []]);
  expect(second.refused).toEqual([{ id, reason: 'it was redriven already' }]);
  await world.stop();
});

test('a sink that there is not is named, and not taken for one without letters', async () => {
  const { world, id } = await withLetter();
  const { letters } = world.gateway!;
  const unknown = /There is no sink ome\. There are: one, two/;
  expect(() => letters.list({ sink: 'ome' })).toThrow(unknown);
  await expect(during(world, letters.redrive({ sink: 'ome' }))).rejects.toThrow(unknown);
  await expect(during(world, letters.drop({ sink: 'ome' }))).rejects.toThrow(unknown);
  expect(letters.list({ sink: 'two' })).toEqual([]);
  expect(letters.list({ sink: 'one', state: 'open' }).map((letter) => letter.id)).toContain(id);
  await world.stop();
});
