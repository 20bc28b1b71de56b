/** A full disk: what only the gateway can say is still written, from a reserve. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { openReserved, positionOf, readAll, readingOf, reserveBytes, watch } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const common = { source: '/gateways/test/rules/hot', subject: 'gh-1', time: 1_795_000_000_000 };
const urgent: readonly Draft[] = [
  {
    ...common,
    type: 'alert',
    data: {
      ...{ rule: 'hot', state: 'firing', incident: 'i1', severity: 'warning' },
      ...{ since: '2026-11-20T12:00:00.000Z', summary: 'It is hot.' },
    },
  },
  { ...common, type: 'gap', data: { reader: 'influx/readings', from: 1, to: 2, reason: 'lost' } },
  { ...common, type: 'rejected', data: { sink: 'influx', reason: 'no', attempt: 1, event: {} } },
  { ...common, type: 'clock', data: { boot: 'b', offsetMs: 5, reason: 'set' } },
  { ...common, type: 'command', data: { name: 'open', payload: '' } },
];
const garbage: Draft = {
  ...common,
  type: 'undecodable',
  data: { topic: 't', codec: 'json', reason: 'r', encoding: 'utf8', payload: 'p' },
};
const heartbeat: Draft = { ...common, type: 'heartbeat', data: { lag: {} } };

const usedBytes = (disk: SimDisk): number =>
  disk.paths().reduce((sum, path) => sum + disk.bytesOf(path).length, 0);

test('alerts are written while readings, heartbeats and garbage wait for room', async () => {
  const opened = await openReserved(new SimDisk());
  const { log, clock, disk, reserve } = opened;
  expect(reserve.bytes).toBe(reserveBytes);
  await log.append([readingOf(1)]);
  disk.capacityBytes = usedBytes(disk) - 2 ** 18;
  const waiting = [readingOf(2), heartbeat, garbage, readingOf(3)].map((draft) =>
    watch(log.append([draft])),
  );
  await clock.advance(5_000);
  expect(log.blocked).toContain('ENOSPC');
  for (let round = 0; round < 5; round++) {
    const said = urgent.map((draft) => watch(log.append([draft])));
    await clock.advance(round * 300);
    expect(said.map(({ settled }) => settled)).toEqual(said.map(() => true));
  }
  expect(waiting.map(({ settled }) => settled)).toEqual([false, false, false, false]);
  expect(log.blocked).toContain('ENOSPC');
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await clock.advance(1_000);
  expect(waiting.map(({ value }) => value)).toEqual([27, 28, 29, 30]);
  expect(log.blocked).toBe(undefined);
  await clock.advance(100);
  expect(reserve.bytes).toBe(reserveBytes);
  const types = (await readAll(log)).map(({ type }) => type);
  expect(types.slice(-4)).toEqual(['reading', 'heartbeat', 'undecodable', 'reading']);
  expect(types.filter((type) => type === 'alert')).toHaveLength(5);
});

test('an append that holds a reading waits, whatever else is in it', async () => {
  const { log, clock, disk } = await openReserved(new SimDisk());
  disk.full = true;
  const mixed = watch(log.append([urgent[0]!, readingOf(1)]));
  await clock.advance(3_000);
  expect(mixed.settled).toBe(false);
});

test('the reserve has an end: then alerts wait too, and the first room is theirs', async () => {
  const { log, clock, disk, reserve } = await openReserved(new SimDisk());
  await log.append([readingOf(1)]);
  disk.capacityBytes = usedBytes(disk) - 2 ** 18;
  const reading = watch(log.append([readingOf(2)]));
  await clock.advance(1_500);
  const said = [];
  for (let i = 0; i < 400; i++) {
    said.push(watch(log.append([{ ...urgent[0]!, subject: `gh-${i} ${'x'.repeat(100)}` }])));
    await clock.advance(20);
  }
  expect(reserve.bytes).toBe(0);
  const settled = said.filter((each) => each.settled).length;
  expect(settled).toBeGreaterThan(40);
  expect(settled).toBeLessThan(400);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await clock.advance(1_100);
  expect(said.every((each) => each.settled)).toBe(true);
  expect(reading.settled).toBe(true);
  expect(Math.max(...said.map(({ value }) => value!))).toBeLessThan(reading.value!);
});

test('of a full disk that has become read-only as well, that is told', async () => {
  const { log, clock, disk, reserve } = await openReserved(new SimDisk());
  await log.append([readingOf(1)]);
  disk.capacityBytes = usedBytes(disk) - 2 ** 18;
  const reading = watch(log.append([readingOf(2)]));
  await clock.advance(1_500);
  // What was spent of the reserve is owed: nothing else is tried before there is room for that.
  await log.append([urgent[0]!]);
  await clock.advance(1_500);
  expect([reserve.isOwed, log.blocked]).toEqual([true, expect.stringContaining('ENOSPC')]);
  disk.before = (kind) => {
    if (kind !== 'open') return;
    throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
  };
  await clock.advance(1_500);
  expect([reading.settled, log.blocked]).toEqual([false, expect.stringContaining('EROFS')]);
  disk.before = undefined;
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await clock.advance(1_500);
  expect([reading.settled, log.blocked]).toEqual([true, undefined]);
});

test('cursors are saved on a full disk', async () => {
  const { cursors, clock, disk, logger, log } = await openReserved(new SimDisk());
  const cursor = cursors.open('sink', () => positionOf(0));
  await cursors.save();
  await log.append([readingOf(1)]);
  disk.capacityBytes = usedBytes(disk) - 2 ** 18;
  for (let i = 1; i <= 30; i++) {
    cursor.begin();
    cursor.commit(positionOf(i), () => 'x'.repeat(300));
    await clock.advance(1_000);
    expect(cursor.saved).toBe(i);
  }
  expect(logger.messages('warn')).toEqual([]);
});

test('a log that holds maxBytes of undelivered events still takes alerts, to a limit', async () => {
  const { log, clock, cursors } = await openReserved(new SimDisk(), {
    maxBytes: 4_000,
    segmentBytes: 1_000,
  });
  cursors.open('sink', () => positionOf(0));
  const readings = [];
  for (let i = 1; i <= 100; i++) {
    readings.push(watch(log.append([readingOf(i)])));
    await clock.advance(30);
  }
  expect(log.blocked).toContain('log.maxBytes');
  expect(readings.every(({ settled }) => settled)).toBe(false);
  const said = Array.from({ length: 50 }, () => watch(log.append([urgent[0]!])));
  await clock.advance(3_000);
  expect(said.every(({ settled }) => settled)).toBe(true);
  for (let i = 0; i < 2_000; i++) {
    void log.append([{ ...urgent[0]!, subject: `gh-${i}` }]);
    if (i % 50 === 0) await clock.advance(100);
  }
  await clock.advance(3_000);
  expect(log.bytes).toBeGreaterThan(4_000 + reserveBytes / 2);
  expect(log.bytes).toBeLessThanOrEqual(4_000 + reserveBytes);
});

test('a reserve is set aside only where there is plenty of room', async () => {
  const disk = new SimDisk();
  disk.capacityBytes = 8 * reserveBytes - 1;
  const { reserve, log } = await openReserved(disk);
  expect(reserve.bytes).toBe(0);
  expect(await log.append([readingOf(1)])).toBe(1);
});

test('a file that was closed while there was no leave to write is opened again', async () => {
  const { log, clock, disk } = await openReserved(new SimDisk());
  await log.append([readingOf(1)]);
  const kinds: string[] = [];
  let refusing = true;
  disk.before = (kind) => {
    kinds.push(kind);
    if (refusing && kind === 'append') {
      throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
    }
  };
  const appended = watch(log.append([readingOf(2)]));
  await clock.advance(10);
  // Nothing holds the disk any more: it can be unmounted, or mounted read-only.
  expect(kinds.at(-1)).toBe('close');
  refusing = false;
  await clock.advance(1_000);
  expect(appended.value).toBe(2);
});

test('a file that has lost what was acknowledged when it is opened again ends the log', async () => {
  const { log, clock, disk } = await openReserved(new SimDisk());
  await log.append([readingOf(1)]);
  const failed = watch(log.failed);
  disk.full = true;
  const appended = watch(log.append([readingOf(2)]));
  await clock.advance(10);
  const path = disk.paths().find((each) => each.startsWith('log/'))!;
  disk.put(path, disk.bytesOf(path).slice(0, 40));
  disk.full = false;
  await clock.advance(2_000);
  expect([failed.settled, appended.settled]).toEqual([true, false]);
});

type Act =
  | { readonly do: 'reading' | 'alert'; readonly count: number }
  | { readonly do: 'fill'; readonly leave: number }
  | { readonly do: 'free' | 'cut' | 'kill' }
  | { readonly do: 'pass'; readonly ms: number };
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('reading' as const, 'alert' as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fill' as const),
      leave: fc.integer({ min: -400, max: 400 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('free' as const, 'cut' as const, 'kill' as const) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(0, 30, 1_000, 3_000),
    }),
  },
);

test(`through full disks and power cuts every acknowledged event keeps its place (TIDEGATE_SEED=${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 5, maxLength: 60 }),
      fc.nat(),
      async (acts, chance) => {
        const random = seededRandom(chance);
        const options = { segmentBytes: 600 };
        const open = async (disk: SimDisk, clock?: SimClock) => {
          const reserved = await openReserved(disk, options, clock);
          reserved.cursors.open('sink', () => positionOf(0));
          return reserved;
        };
        let opened = await open(new SimDisk());
        const acknowledged = new Map<string, number>();
        let count = 0;
        const restart = async (): Promise<void> => {
          const disk = opened.disk.restart();
          disk.capacityBytes = Number.POSITIVE_INFINITY;
          opened = await open(disk, opened.clock);
          const found = await readAll(opened.log);
          const positions = new Map(found.map(({ subject, position }) => [subject, position]));
          expect(positions.size).toBe(found.length);
          for (const [subject, position] of acknowledged) {
            expect(positions.get(subject), subject).toBe(position);
          }
          expect(found.map(({ position }) => position)).toEqual(found.map((_, i) => i + 1));
          expect(opened.logger.messages('error')).toEqual([]);
        };
        for (const each of acts) {
          const { disk, log, clock } = opened;
          switch (each.do) {
            case 'reading':
            case 'alert': {
              const draft = each.do === 'alert' ? urgent[0]! : readingOf(count);
              const drafts = Array.from({ length: each.count }, () => ({
                ...draft,
                subject: `${count++}`,
              }));
              const life = opened;
              void log.append(drafts).then((last) => {
                if (life !== opened) return;
                drafts.forEach(({ subject }, i) => {
                  acknowledged.set(subject, last - drafts.length + 1 + i);
                });
              });
              break;
            }
            case 'fill': {
              let used = 0;
              for (const path of disk.paths())
                used += path === 'reserve' ? disk.bytesOf(path).length : 0;
              disk.capacityBytes = used + log.bytes + each.leave;
              break;
            }
            case 'free':
              disk.capacityBytes = Number.POSITIVE_INFINITY;
              break;
            case 'pass':
              await clock.advance(each.ms);
              break;
            case 'cut':
              disk.crash(random);
              await restart();
              break;
            case 'kill':
              disk.kill();
              await restart();
          }
        }
        opened.disk.crash(random);
        await restart();
      },
    ),
    { seed, numRuns: 300 },
  );
}, 60_000);
