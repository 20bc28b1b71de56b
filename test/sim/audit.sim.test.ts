import { expect, test } from 'vitest';
import { booksOnDisk } from '../../src/command/audit.ts';
import { createAudit, type LaneBalance, type LogBooks } from '../../src/flow/audit.ts';
import { createRecount } from '../../src/flow/recount.ts';
import { openLogInspector } from '../../src/log/inspect.ts';
import type { Entry } from '../../src/log/log.ts';
import { World } from './life.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? 1);

/** Sends readings in groups of five, and remembers what was recorded of them. */
async function record(world: World, groups: number, all: Map<number, Entry>): Promise<void> {
  for (; groups > 0; groups--) {
    for (let n = 0; n < 5; n++) {
      const seq = world.sent.length;
      const payload = { temperature: 20, seq, note: 'x'.repeat(60) };
      world.send(`gh-${n}`, JSON.stringify(payload), seq);
    }
    await world.clock.advance(1_000);
    for (const entry of await world.recorded()) all.set(entry.position, entry);
  }
}

async function auditOf(world: World, books: LogBooks): Promise<readonly LaneBalance[]> {
  const audit = createAudit(books, (reader) => world.acceptsOf(reader));
  const inspector = await openLogInspector(world.disk);
  for await (const entries of inspector.entries()) audit.add(entries);
  return audit.lanes();
}

const laneOf = (lanes: readonly LaneBalance[], reader: string) =>
  lanes.find((lane) => lane.reader === reader)!;

function positionsIn(ranges: readonly { from: number; to: number }[]): number[] {
  return ranges.flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, index) => from + index),
  );
}

test(`what retention drops under a dead sink is named to the event (TIDEGATE_SEED=${seed})`, async () => {
  const world = new World(seed, { maxBytes: 12_000 });
  const all = new Map<number, Entry>();
  await world.start();
  world.sinks[0]!.mood = 'refuses';
  await record(world, 30, all);
  const during = laneOf(await auditOf(world, world.gateway!.books()), 'one/readings');
  expect(during.difference).toBe(0);
  expect(during.dropped).toBeGreaterThan(10);
  await world.heal();
  await record(world, 1, all);
  const books = world.gateway!.books();
  const lane = laneOf(await auditOf(world, books), 'one/readings');
  const accepts = world.acceptsOf('one/readings')!;
  const taken = new Set(world.sinks[0]!.taken.map(({ id }) => id));
  const lost = [...all.values()].filter((entry) => accepts(entry) && !taken.has(entry.id));
  const named = positionsIn(lane.drops);
  expect(lost.length).toBeGreaterThan(10);
  expect(named.filter((position) => accepts(all.get(position)!))).toEqual(
    lost.map(({ position }) => position),
  );
  expect(lane).toMatchObject({ difference: 0, waiting: 0, dropped: named.length });
  expect(lane.received).toBe(lane.delivered + lane.dropped);
  expect(laneOf(await auditOf(world, books), 'two/readings')).toMatchObject({
    dropped: 0,
    difference: 0,
  });
  await world.stop();
});

test('a segment that somebody deletes is missed to the event, and then told as dropped', async () => {
  const world = new World(seed);
  const all = new Map<number, Entry>();
  await world.start();
  world.sinks[0]!.mood = 'refuses';
  await record(world, 20, all);
  await world.stop();
  const segments = world.disk.paths().filter((path) => path.startsWith('log/'));
  expect(segments.length).toBeGreaterThan(3);
  const [from, behind] = [1, 2].map((at) => Number(segments[at]!.replace(/\D/g, '')));
  await world.disk.remove(segments[1]!);
  const range = { from: from!, to: behind! - 1 };

  const inspector = await openLogInspector(world.disk);
  const saved = await booksOnDisk(world.disk, inspector);
  const lanes = await auditOf(world, saved);
  const lane = laneOf(lanes, 'one/readings');
  expect(lane.missing).toEqual([range]);
  expect(lane.difference).toBe(range.to - range.from + 1);
  expect(laneOf(lanes, 'two/readings')).toMatchObject({ missing: [], difference: 0 });
  const recount = createRecount(saved, (reader) => world.acceptsOf(reader));
  for await (const entries of inspector.entries()) recount.add(entries);
  expect(recount.disagreements()).toEqual([]);

  await world.start();
  await world.heal();
  const after = laneOf(await auditOf(world, world.gateway!.books()), 'one/readings');
  expect(after).toMatchObject({ difference: 0, waiting: 0, drops: [range], missing: [] });
  expect(after.dropped).toBe(range.to - range.from + 1);
  const accepts = world.acceptsOf('one/readings')!;
  const taken = new Set(world.sinks[0]!.taken.map(({ id }) => id));
  const lost = [...all.values()].filter((entry) => accepts(entry) && !taken.has(entry.id));
  expect(lost.map(({ position }) => position)).toEqual(
    positionsIn([range]).filter((position) => accepts(all.get(position)!)),
  );
  await world.stop();
});

test('books that claim a delivery too many are found out', async () => {
  const world = new World(seed);
  await world.start();
  await record(world, 2, new Map());
  await world.heal();
  const books = world.gateway!.books();
  const wrong = {
    ...books,
    lanes: books.lanes.map((lane) => ({
      ...lane,
      account: { ...lane.account, delivered: lane.account.delivered + 1 },
    })),
  };
  for (const lane of await auditOf(world, wrong)) expect(lane.difference).toBe(-1);
  const recount = createRecount(
    {
      ...books,
      lanes: books.lanes.map((lane) => ({
        ...lane,
        account: { ...lane.account, delivered: 0, unwanted: lane.account.unwanted + 10 },
      })),
    },
    (reader) => world.acceptsOf(reader),
  );
  recount.add(await world.recorded());
  expect(recount.disagreements()).toContainEqual({
    reader: 'one/readings',
    what: 'passed',
    books: 0,
    log: 10,
  });
  await world.stop();
});
