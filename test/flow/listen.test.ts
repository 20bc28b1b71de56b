import { afterEach, expect, test } from 'vitest';
import { branching } from '../../src/flow/branching.ts';
import { listen } from '../../src/flow/listen.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { Source } from '../../src/source/source.ts';
import { createHeard } from '../log/opened.ts';
import { IngestWorld } from './ingest-world.ts';

let over = new AbortController();
afterEach(() => {
  over.abort(new Error('The test is over.'));
  over = new AbortController();
});

async function listenTo(sources: readonly Source[]) {
  const { clock, log } = await IngestWorld.open([{ topic: '{device}' }]);
  const { signal } = over;
  const given = { mappings: [], log, duplicates: undefined, clock, metrics: createMetrics() };
  const random = seededRandom(5);
  const parts = { id: 'gw', sources, random, logger: createHeard(), ...given };
  const { ended } = listen(parts, signal, () => undefined);
  return { clock, ended };
}

test('a far side that takes us and sends us away at once is asked less and less often', async () => {
  let runs = 0;
  const source: Source = {
    name: 'flapping',
    mayBeAway: true,
    async run(_ingest, _signal, opened) {
      runs += 1;
      opened();
      throw new Error('Not you again.');
    },
  };
  const { clock } = await listenTo([source]);
  await clock.advance(3_600_000);
  // At most a minute lies between two; without more and more patience it would be half a second.
  expect(runs).toBeGreaterThan(60);
  expect(runs).toBeLessThan(250);
});

test('a source that was open for a while is opened again soon', async () => {
  const failedAt: number[] = [];
  const waits: number[] = [];
  const world: { clock?: { monotonic(): number; sleep(ms: number): Promise<void> } } = {};
  const source: Source = {
    name: 'steady',
    mayBeAway: true,
    async run(_ingest, _signal, opened) {
      const { clock } = world;
      if (clock === undefined) throw new Error('not yet');
      if (failedAt.length > 0) waits.push(clock.monotonic() - failedAt.at(-1)!);
      opened();
      await clock.sleep(60_000);
      failedAt.push(clock.monotonic());
      throw new Error('unplugged');
    },
  };
  const { clock } = await listenTo([source]);
  world.clock = clock;
  await clock.advance(3_600_000);
  expect(waits.length).toBeGreaterThan(40);
  expect(Math.max(...waits)).toBeLessThanOrEqual(500);
});

test('where it costs little to look, nobody who plugs something in waits for long', async () => {
  const tries: number[] = [];
  const world: { clock?: { monotonic(): number } } = {};
  const source: Source = {
    name: 'unplugged',
    mayBeAway: true,
    retryMaxMs: 5_000,
    async run() {
      tries.push(world.clock?.monotonic() ?? 0);
      throw new Error('There is no device.');
    },
  };
  const { clock } = await listenTo([source]);
  world.clock = clock;
  await clock.advance(3_600_000);
  const waits = tries.slice(1).map((at, index) => at - tries[index]!);
  expect(Math.max(...waits)).toBeLessThanOrEqual(5_000);
});

test('what a run listens with goes when the run goes, however often it is tried', () => {
  const trunk = new AbortController();
  let listeners = 0;
  const { signal } = trunk;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  const branch = branching(signal);
  const gone = Array.from({ length: 1_000 }, () => branch());
  for (const { leave } of gone) leave();
  const there = Array.from({ length: 20 }, () => branch());
  expect(listeners).toBe(1);
  trunk.abort(new Error('enough'));
  expect(there.every((each) => each.signal.aborted)).toBe(true);
  expect(gone.some((each) => each.signal.aborted)).toBe(false);
  expect(String(branch().signal.reason)).toContain('enough');
});
