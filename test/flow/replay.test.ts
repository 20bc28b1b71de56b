import { expect, test, vi } from 'vitest';
import { createAudit } from '../../src/flow/audit.ts';
import { createRecount } from '../../src/flow/recount.ts';
import type { ReplayProgress, ReplayRequest } from '../../src/flow/replay.ts';
import { createHeard } from '../log/opened.ts';
import type { World } from '../sim/life.ts';
import { during, readings, send, startWorld } from './history-world.ts';

const never = new AbortController().signal;

async function withHistory(): Promise<{ world: World; middle: number; start: number }> {
  const world = await startWorld();
  const start = world.clock.now();
  for (let index = 0; index < 6; index++) await send(world, `gh-${index % 2}`, 20 + index);
  await world.clock.advance(60_000);
  const middle = world.clock.now();
  for (let index = 6; index < 10; index++) await send(world, `gh-${index % 2}`, 20 + index);
  await world.heal();
  return { world, middle, start };
}

const replay = (world: World, request: Partial<ReplayRequest>, signal = never) => {
  const seen: ReplayProgress[] = [];
  const ended = world.gateway!.replay({ sink: 'one', from: 0, ...request }, signal, (progress) =>
    seen.push(progress),
  );
  return { seen, ended };
};
const temperatures = (world: World, from: number): unknown[] =>
  readings(world.sinks[0]!.taken.slice(from)).map(({ data }) => data.fields.temperature);

test('history reaches the one sink again, in order, with its ids and marked as replayed', async () => {
  const { world } = await withHistory();
  const [one, two] = world.sinks;
  const lag = world.gateway!.lag();
  const [before, others] = [one!.taken.length, two!.taken.length];
  const done = await during(world, replay(world, { type: 'reading' }).ended);
  expect(done).toMatchObject({ found: 10, delivered: 10, rejected: 0 });
  const again = readings(one!.taken.slice(before));
  expect(again.map(({ id }) => id)).toEqual(readings(one!.taken.slice(0, before)).map((e) => e.id));
  expect(again.every(({ extensions }) => extensions?.replayed === 'true')).toBe(true);
  expect(readings(two!.taken.slice(others))).toEqual([]);
  expect(Object.keys(world.gateway!.lag())).toEqual(Object.keys(lag));
  await world.stop();
});

test('only what was asked for is replayed: by time, device and type', async () => {
  const { world, middle } = await withHistory();
  const from = (): number => world.sinks[0]!.taken.length;
  let before = from();
  await during(world, replay(world, { from: middle, type: 'reading' }).ended);
  expect(temperatures(world, before)).toEqual([26, 27, 28, 29]);
  before = from();
  await during(world, replay(world, { to: middle - 1, device: 'gh-1', type: 'reading' }).ended);
  expect(temperatures(world, before)).toEqual([21, 23, 25]);
  await world.stop();
});

test('a dry run counts and delivers nothing', async () => {
  const { world } = await withHistory();
  const before = world.sinks[0]!.taken.length;
  const done = await during(world, replay(world, { type: 'reading', dryRun: true }).ended);
  expect(done).toMatchObject({ found: 10, delivered: 0 });
  expect(temperatures(world, before)).toEqual([]);
  await world.stop();
});

test('a replay keeps to its rate, waits for a sink that is away, and delivers live meanwhile', async () => {
  const { world } = await withHistory();
  const began = world.clock.monotonic();
  const before = world.sinks[0]!.taken.length;
  const { seen, ended } = replay(world, { type: 'reading', rate: 2 });
  await world.clock.advance(1_400);
  expect(temperatures(world, before)).toEqual([20, 21, 22]);
  await send(world, 'gh-9', 12);
  await world.clock.advance(50);
  expect(temperatures(world, before)).toEqual([20, 21, 22, 12]);
  world.sinks[0]!.mood = 'refuses';
  await world.clock.advance(1_000);
  expect(seen.at(-1)?.trouble).toMatch(/refuses|cannot be reached/);
  world.sinks[0]!.mood = 'works';
  expect(await during(world, ended)).toMatchObject({ delivered: 10 });
  expect(world.clock.monotonic() - began).toBeGreaterThanOrEqual(4_500);
  expect(new Set(temperatures(world, before)).size).toBe(11);
  await world.stop();
});

test('a replay stops when nobody wants it any longer; another of that sink must wait for it', async () => {
  const { world } = await withHistory();
  const stop = new AbortController();
  const { ended } = replay(world, { type: 'reading', rate: 1 }, stop.signal);
  await world.clock.advance(100);
  const other = replay(world, {}).ended;
  await expect(other).rejects.toMatchObject({ code: 'GW_REPLAY_RUNNING' });
  stop.abort(new Error('enough'));
  await expect(during(world, ended)).rejects.toThrow('enough');
  expect(world.sinks[0]!.open).toBeLessThanOrEqual(2);
  await during(world, replay(world, { type: 'reading', dryRun: true }).ended);
  await world.stop();
});

test('nothing of a replay that is over is kept by those who could have ended it', async () => {
  const { world } = await withHistory();
  const any = vi.spyOn(AbortSignal, 'any');
  await during(world, replay(world, { type: 'reading' }).ended);
  // A signal of several is kept by Node until it is aborted, once somebody has listened to it.
  const signals = any.mock.results.map(({ value }) => value as AbortSignal);
  any.mockRestore();
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  await world.stop();
});

test('what cannot be replayed is said: no such sink, nothing in that time', async () => {
  const { world, start } = await withHistory();
  const unknown = replay(world, { sink: 'infux' }).ended;
  await expect(unknown).rejects.toThrow('There is no sink infux. There are: one, two.');
  const nothing = replay(world, { to: start - 1 }).ended;
  await expect(during(world, nothing)).rejects.toThrow(/nothing to replay.*kept since 2026-11-20T/);
  await world.stop();
});

test('what is refused in a replay becomes a letter, and no rule is told of any of it', async () => {
  const { world } = await withHistory();
  world.sinks[0]!.mood = 'rejects-first';
  const { rejected } = await during(world, replay(world, { type: 'reading' }).ended);
  expect(rejected).toBeGreaterThan(0);
  await world.clock.advance(100);
  expect(world.gateway!.letters.list({ sink: 'one' }).length).toBeGreaterThanOrEqual(rejected);
  expect((await world.recorded()).filter(({ type }) => type === 'alert')).toEqual([]);
  await world.stop();
});

const replayed = (world: World) =>
  readings(world.sinks[0]!.taken.filter((each) => each.extensions?.replayed === 'true'));

test.each(['killed', 'stopped'])(
  'a replay under way when the gateway is %s goes on by itself, at its rate, to where it was to end',
  async (how) => {
    const { world } = await withHistory();
    const began = world.clock.monotonic();
    const ended = replay(world, { type: 'reading', device: 'gh-*', rate: 1 }).ended;
    const refusal = ended.catch((error: unknown) => error);
    // The first note is made as it begins, others now and then.
    await world.clock.advance(5_500);
    if (how === 'killed') world.kill();
    else {
      await world.stop();
      expect(await refusal).toMatchObject({ code: 'GW_REPLAY_INTERRUPTED' });
    }
    const before = replayed(world).length;
    expect(before).toBeGreaterThan(3);
    expect(before).toBeLessThan(8);
    await world.start();
    await send(world, 'gh-1', 99);
    await world.clock.advance(100);
    expect(world.gateway!.replays.list()).toMatchObject([
      {
        sink: 'one',
        rate: 1,
        dryRun: false,
        isResumed: true,
        progress: { last: expect.any(Number) },
      },
    ]);
    await world.clock.advance(15_000);
    expect(world.gateway!.replays.list()).toEqual([]);
    const all = readings(await world.recorded()).filter((e) => e.data.fields.temperature !== 99);
    expect(new Set(replayed(world).map(({ id }) => id))).toEqual(new Set(all.map(({ id }) => id)));
    // What had been noted is not sent again: after a stop nothing is.
    const repeats = replayed(world).length - all.length;
    expect(repeats).toBeLessThanOrEqual(how === 'killed' ? 6 : 0);
    expect(world.clock.monotonic() - began).toBeGreaterThanOrEqual(9_000);
    expect(world.disk.paths()).not.toContain('replays');
    // Once is enough.
    world.kill();
    await world.start();
    await world.clock.advance(5_000);
    expect(replayed(world)).toHaveLength(all.length + repeats);
    await world.stop();
  },
);

test('a replay can be cancelled, also one that went on after a start, and is then not gone on with', async () => {
  const { world } = await withHistory();
  const { ended } = replay(world, { type: 'reading', rate: 1 });
  const refusal = ended.catch((error: unknown) => error);
  await world.clock.advance(2_500);
  world.kill();
  void refusal;
  await world.start();
  await world.clock.advance(100);
  await expect(world.gateway!.replays.cancel('two')).rejects.toMatchObject({
    code: 'GW_REPLAY_NONE',
  });
  const { replays } = world.gateway!;
  expect(await during(world, replays.cancel('one'))).toMatchObject({
    sink: 'one',
    isResumed: true,
  });
  expect(world.disk.paths()).not.toContain('replays');
  const before = replayed(world).length;
  world.kill();
  await world.start();
  await world.clock.advance(5_000);
  expect(replayed(world)).toHaveLength(before);
  await world.stop();
});

test('a replay to a sink that is no longer configured is named with the command for what is left', async () => {
  const { world } = await withHistory();
  replay(world, { type: 'reading', device: 'gh-*', rate: 1 }).ended.catch(() => {});
  await world.clock.advance(2_500);
  world.kill();
  const heard = createHeard();
  world.logger = heard;
  const [one, ...others] = world.sinks.splice(0);
  world.sinks.push(...others);
  await world.start();
  await world.clock.advance(100);
  const told = heard.lines.filter(({ message }) => message.includes('does not go on'));
  expect(told).toHaveLength(1);
  expect(told[0]!.fields.resume).toMatch(
    /^tidegate replay --sink one --from \S+ --to \S+ --device 'gh-\*' --type reading --rate 1$/,
  );
  expect(world.disk.paths()).not.toContain('replays');
  expect(one).toBeDefined();
  await world.stop();
});

test('a replay that has ended, was stopped, or only counted leaves nothing to be resumed', async () => {
  const { world } = await withHistory();
  await during(world, replay(world, { type: 'reading' }).ended);
  await during(world, replay(world, { type: 'reading', dryRun: true }).ended);
  const stop = new AbortController();
  const { ended } = replay(world, { type: 'reading', rate: 1 }, stop.signal);
  await world.clock.advance(1_000);
  stop.abort(new Error('enough'));
  await expect(during(world, ended)).rejects.toThrow('enough');
  expect(world.disk.paths()).not.toContain('replays');
  await world.stop();
});

test('what a replay was refused is in the books: recorded, counted, and they balance', async () => {
  const { world } = await withHistory();
  world.sinks[0]!.mood = 'rejects-first';
  const { rejected } = await during(world, replay(world, { type: 'reading' }).ended);
  world.sinks[0]!.mood = 'works';
  await world.heal();
  const recorded = await world.recorded();
  expect(recorded.filter(({ type }) => type === 'rejected').length).toBeGreaterThanOrEqual(
    rejected,
  );
  const { values } = await world.metrics.rejected.get();
  const counted = values.find(({ labels }) => labels.sink === 'one')?.value;
  expect(counted).toBeGreaterThanOrEqual(rejected);
  const books = world.gateway!.books();
  const audit = createAudit(books, (reader) => world.acceptsOf(reader));
  audit.add(recorded);
  for (const lane of audit.lanes()) expect(lane.difference, lane.reader).toBe(0);
  const recount = createRecount(books, (reader) => world.acceptsOf(reader));
  recount.add(recorded);
  expect(recount.disagreements()).toEqual([]);
  await world.stop();
});
