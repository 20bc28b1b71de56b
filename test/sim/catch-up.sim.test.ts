import { expect, test } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import { World } from './life.ts';
import { expectPromisesKept, expectSavedBooksWhole } from './promises.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? 1);

/** A gateway whose first sink has missed `missed` readings in an outage of a minute. */
async function afterOutage(missed: number, rate: number): Promise<World> {
  const world = new World(seed);
  world.catchUp = { ...world.catchUp, rate };
  await world.start();
  send(world, 1);
  await world.clock.advance(1_000);
  world.sinks[0]!.mood = 'refuses';
  await outage(world, missed);
  return world;
}

async function outage(world: World, missed: number): Promise<void> {
  for (let left = missed; left > 0; left--) {
    send(world, 1);
    await world.clock.advance(60_000 / missed);
  }
}

function send(world: World, count: number): void {
  for (; count > 0; count--) {
    const seq = world.sent.length;
    world.send(`gh-${seq % 3}`, JSON.stringify({ temperature: 20, seq }), seq);
  }
}

const readingsOf = (events: readonly CloudEvent[]) =>
  events.flatMap((event) =>
    event.type === 'reading'
      ? [{ seq: event.data.fields.seq as number, historical: event.extensions?.historical }]
      : [],
  );
const takenBy = (world: World) => readingsOf(world.sinks[0]!.taken);
const booksOf = (world: World) =>
  world.gateway!.books().lanes.find(({ reader }) => reader === 'one/readings')!;

test(`after an outage what is new goes out at once, and what was missed beside it (TIDEGATE_SEED=${seed})`, async () => {
  const world = await afterOutage(30, 2);
  world.sinks[0]!.mood = 'works';
  await world.clock.advance(6_000);
  const before = takenBy(world).length;
  expect(before).toBeLessThan(20);
  send(world, 1);
  await world.clock.settle();
  expect(takenBy(world).at(-1)).toEqual({ seq: 31, historical: undefined });
  await world.clock.advance(20_000);
  const taken = takenBy(world);
  expect(taken.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual([...Array(32).keys()]);
  const historical = taken.filter((each) => each.historical === 'true').map(({ seq }) => seq);
  expect(historical).toEqual(historical.toSorted((a, b) => a - b));
  expect(historical.length).toBeGreaterThanOrEqual(28);
  expect(booksOf(world).backlog).toEqual([]);
  await expectPromisesKept(world);
  await world.stop();
});

test('a backlog drains at the rate that was set, and the cursor stays before it', async () => {
  const world = await afterOutage(40, 2);
  world.sinks[0]!.mood = 'works';
  await world.clock.advance(6_000);
  const before = takenBy(world).length;
  await world.clock.advance(10_000);
  expect(takenBy(world).length - before).toBeGreaterThanOrEqual(19);
  expect(takenBy(world).length - before).toBeLessThanOrEqual(21);
  const { backlog, reached } = booksOf(world);
  expect(backlog).toHaveLength(1);
  expect(backlog[0]!.to).toBeLessThan(reached);
  await expectSavedBooksWhole(world.disk);
  await world.heal();
  await expectPromisesKept(world);
  await world.stop();
});

test('an outage while a backlog drains makes another one, which drains after it', async () => {
  const world = await afterOutage(30, 1);
  const sink = world.sinks[0]!;
  sink.mood = 'works';
  await world.clock.advance(6_000);
  send(world, 1);
  await world.clock.advance(100);
  sink.mood = 'refuses';
  await outage(world, 30);
  sink.mood = 'works';
  await world.clock.advance(6_000);
  send(world, 1);
  await world.clock.settle();
  expect(takenBy(world).at(-1)).toEqual({ seq: 62, historical: undefined });
  expect(booksOf(world).backlog).toHaveLength(2);
  await world.heal();
  await expectPromisesKept(world);
  await world.stop();
});

test.each(['kill', 'cut'] as const)(
  'a %s while a backlog drains loses nothing and repeats no more than a second of it',
  async (how) => {
    const world = await afterOutage(30, 5);
    world.sinks[0]!.mood = 'works';
    await world.clock.advance(6_000);
    send(world, 2);
    await world.clock.advance(300);
    expect(booksOf(world).backlog).not.toEqual([]);
    world[how]();
    await expectSavedBooksWhole(world.disk);
    await world.start();
    await world.clock.advance(100);
    expect(booksOf(world).backlog, 'it goes on draining beside what is new').toHaveLength(1);
    await world.heal();
    const seqs = takenBy(world).map(({ seq }) => seq);
    expect(new Set(seqs).size).toBe(33);
    expect(seqs.length - 33).toBeLessThanOrEqual(10);
    await expectPromisesKept(world);
    await world.stop();
  },
);

test('a disk that takes no cursors keeps nothing back: what was missed then comes first', async () => {
  const world = await afterOutage(30, 100);
  world.disk.before = (kind) => {
    if (kind === 'replace') throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
  };
  world.sinks[0]!.mood = 'works';
  await world.clock.advance(20_000);
  const seqs = takenBy(world).map(({ seq }) => seq);
  expect(seqs).toEqual([...Array(31).keys()]);
  expect(takenBy(world).every(({ historical }) => historical === undefined)).toBe(true);
  world.disk.before = undefined;
  await world.heal();
  await expectPromisesKept(world);
  await world.stop();
});

test('what was missed while the gateway was off, too, drains beside what is new', async () => {
  const world = await afterOutage(30, 2);
  await world.stop();
  await world.clock.advance(3_600_000);
  world.sinks[0]!.mood = 'works';
  await world.start();
  await world.clock.advance(1_000);
  send(world, 1);
  await world.clock.settle();
  expect(takenBy(world).at(-1)).toEqual({ seq: 31, historical: undefined });
  await world.heal();
  await expectPromisesKept(world);
  await world.stop();
});
