import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Cursor, Json } from '../../src/log/cursor.ts';
import { brokerPath, type CursorsPath, cursorsPath } from '../../src/log/cursor-file.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import type { GatewayError } from '../../src/platform/errors.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { createHeard, positionOf } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const atZero = () => positionOf(0);

async function openCursors(
  disk: SimDisk,
  clock = new SimClock(),
  saveMs?: number,
  path: CursorsPath = cursorsPath,
) {
  const logger = createHeard();
  const metrics = createMetrics();
  const parts = { disk, clock, logger, metrics, random: seededRandom(3) };
  const cursors = await openCursorStore(parts, { path, ...(saveMs !== undefined && { saveMs }) });
  return { cursors, clock, logger, metrics };
}

function move(cursor: Cursor, position: number, state?: Json): void {
  cursor.begin();
  cursor.commit(positionOf(position), state === undefined ? undefined : () => state);
}

const countReplaces = (disk: SimDisk): { count: number } => {
  const counter = { count: 0 };
  disk.before = (kind) => {
    if (kind === 'replace') counter.count++;
  };
  return counter;
};

test('a new cursor begins where it is told, an old one where it was with what it remembered', async () => {
  const disk = new SimDisk();
  const first = await openCursors(disk);
  const cursor = first.cursors.open('sink', () => positionOf(7));
  expect([cursor.position, cursor.saved, cursor.state]).toEqual([7, 7, null]);
  move(cursor, 12, { seen: ['a', 1.5, null] });
  await first.cursors.close();
  const second = await openCursors(disk.restart());
  expect(second.cursors.newest).toBe(12);
  const again = second.cursors.open('sink', atZero);
  expect([again.position, again.saved, again.state]).toEqual([12, 12, { seen: ['a', 1.5, null] }]);
  expect([...second.cursors.all].map(({ name }) => name)).toEqual(['sink']);
});

test('commits move at once, and reach the disk within the time to save', async () => {
  const disk = new SimDisk();
  const { cursors, clock } = await openCursors(disk);
  const cursor = cursors.open('sink', atZero);
  const replaces = countReplaces(disk);
  for (let i = 1; i <= 100; i++) {
    move(cursor, i);
    await clock.advance(10);
  }
  expect(cursor.position).toBe(100);
  await clock.advance(1_000);
  expect(cursor.saved).toBe(100);
  expect(replaces.count).toBeLessThanOrEqual(3);
  const before = disk.operations;
  await clock.advance(3_600_000);
  expect(disk.operations).toBe(before);
  expect(clock.sleeping).toBe(0);
});

test('a reader that is always at work is saved all the same', async () => {
  const { cursors, clock } = await openCursors(new SimDisk());
  const rule = cursors.open('rule', atZero);
  for (let i = 1; i <= 50; i++) {
    rule.begin();
    await clock.advance(100);
    rule.commit(positionOf(i), () => i);
    rule.begin();
  }
  expect(rule.saved).toBeGreaterThan(25);
});

test('no snapshot is taken while a reader is at work, nor more often than it is saved', async () => {
  const { cursors, clock } = await openCursors(new SimDisk());
  const rule = cursors.open('rule', atZero);
  let isAtWork = false;
  let snapshots = 0;
  for (let i = 1; i <= 1_000; i++) {
    rule.begin();
    isAtWork = true;
    await clock.advance(7);
    isAtWork = false;
    rule.commit(positionOf(i), () => {
      expect(isAtWork).toBe(false);
      snapshots++;
      return i;
    });
    if (i % 3 === 0) await clock.advance(3);
  }
  expect(snapshots).toBeGreaterThan(5);
  expect(snapshots).toBeLessThanOrEqual(18);
});

test(`a saved state never belongs to another position than its own (TIDEGATE_SEED=${seed})`, async () => {
  const step = fc.record({
    passMs: fc.constantFrom(0, 0, 1, 300, 1_000, 5_000),
    act: fc.constantFrom('begin' as const, 'commit' as const, 'save' as const),
    reader: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(), async (steps, chance) => {
      const disk = new SimDisk();
      const { cursors, clock } = await openCursors(disk);
      // What a fold would remember: everything it has stepped over, committed or not.
      const folds = ['a', 'b', 'c'].map((name) => ({
        cursor: cursors.open(name, atZero),
        sum: 0,
        isBusy: false,
      }));
      for (const { passMs, act, reader } of steps) {
        const fold = folds[reader]!;
        if (act === 'begin') {
          if (!fold.isBusy) fold.cursor.begin();
          fold.isBusy = true;
          fold.sum++;
        } else if (act === 'commit' && fold.isBusy) {
          fold.isBusy = false;
          fold.cursor.commit(positionOf(fold.sum), () => fold.sum);
        } else if (act === 'save') {
          void cursors.save();
        }
        await clock.advance(passMs);
      }
      for (const { cursor } of folds) expect(cursor.saved).toBeLessThanOrEqual(cursor.position);
      disk.crash(seededRandom(chance));
      const after = await openCursors(disk.restart(), clock);
      for (const { cursor } of folds) {
        const found = after.cursors.open(cursor.name, atZero);
        expect(found.position).toBeGreaterThanOrEqual(cursor.saved);
        expect(found.state ?? 0).toBe(found.position);
      }
      expect(after.logger.lines).toEqual([]);
    }),
    { seed, numRuns: 200 },
  );
});

test('a large state is saved less often: 64 KiB a second on average', async () => {
  const disk = new SimDisk();
  const { cursors, clock, metrics } = await openCursors(disk);
  const rule = cursors.open('rule', atZero);
  const state = 'x'.repeat(1_000_000);
  for (let i = 1; i <= 600; i++) {
    move(rule, i, state);
    await clock.advance(1_000);
  }
  const { values } = await metrics.writtenBytes.get();
  expect(values[0]!.value).toBeLessThan(600 * 2 ** 16 + 1_100_000);
  expect(values[0]!.value).toBeGreaterThan(300 * 2 ** 16);
});

test('a damaged line costs its own cursor only, and is told', async () => {
  const disk = new SimDisk();
  const { cursors } = await openCursors(disk);
  for (const [i, name] of ['a', 'b', 'c'].entries()) move(cursors.open(name, atZero), i + 10, i);
  await cursors.close();
  const text = Buffer.from(disk.bytesOf('cursors')).toString();
  const begin = text.indexOf('\n', text.indexOf('"a"')) + 1;
  const end = text.indexOf('\n', begin);
  for (let at = begin; at < end; at++) {
    const damaged = new SimDisk();
    const bytes = Buffer.from(text);
    bytes[at]! ^= 0x11;
    damaged.put('cursors', bytes);
    const opened = await openCursors(damaged);
    const positions = ['a', 'b', 'c'].map((name) => opened.cursors.open(name, atZero).position);
    expect(positions).toEqual([10, 0, 12]);
    expect(opened.logger.messages('warn').length).toBeGreaterThan(0);
  }
});

test('a file that ends behind a line is told, though every line in it is whole', async () => {
  const disk = new SimDisk();
  const { cursors } = await openCursors(disk);
  for (const name of ['one', 'two', 'three']) cursors.open(name, () => positionOf(7));
  await cursors.close();
  const whole = Buffer.from(disk.bytesOf('cursors'));
  for (
    let at = whole.indexOf(10);
    at >= 0 && at < whole.length - 1;
    at = whole.indexOf(10, at + 1)
  ) {
    const cut = new SimDisk();
    cut.put('cursors', whole.subarray(0, at + 1));
    const { cursors: found, logger } = await openCursors(cut);
    expect(found.isDamaged, `cut at ${at + 1}`).toBe(true);
    expect(logger.messages('warn')).toEqual([
      'Cursors are missing; their readers begin as if they were new.',
    ]);
  }
  expect((await openCursors(disk.restart())).cursors.isDamaged).toBe(false);
});

test('whatever the file holds, the cursors open', async () => {
  const random = seededRandom(2);
  for (const length of [0, 1, 10, 1_000]) {
    const disk = new SimDisk();
    disk.put('cursors', Buffer.from(Array.from({ length }, () => Math.floor(random.next() * 256))));
    const { cursors } = await openCursors(disk);
    const cursor = cursors.open('sink', () => positionOf(3));
    expect(cursor.position).toBe(3);
    move(cursor, 4);
    await cursors.close();
    const again = await openCursors(disk.restart());
    expect(again.cursors.open('sink', atZero).position).toBe(4);
    expect(again.logger.lines).toEqual([]);
  }
});

test('cursors of a newer version are refused by name', async () => {
  const disk = new SimDisk();
  disk.put('cursors', Buffer.from('tidegate-cursors 3\n'));
  const error = await openCursors(disk).catch((each: unknown) => each);
  expect((error as GatewayError).code).toBe('GW_LOG_UNSUPPORTED');
});

test('a cursor that nobody opens this time keeps its place', async () => {
  const disk = new SimDisk();
  const first = await openCursors(disk);
  move(first.cursors.open('removed', atZero), 5);
  await first.cursors.close();
  const second = await openCursors(disk.restart());
  move(second.cursors.open('other', atZero), 9);
  await second.cursors.close();
  expect([...second.cursors.all].map(({ name }) => name)).toEqual(['other']);
  const third = await openCursors(disk.restart());
  expect(third.cursors.open('removed', atZero).position).toBe(5);
});

test('a save that fails stops nothing, is told once, and is tried again', async () => {
  const disk = new SimDisk();
  const { cursors, clock, logger } = await openCursors(disk);
  const cursor = cursors.open('sink', atZero);
  await clock.advance(1_000);
  disk.full = true;
  for (let i = 1; i <= 10; i++) {
    move(cursor, i);
    await clock.advance(1_000);
  }
  expect([cursor.position, cursor.saved]).toEqual([10, 0]);
  expect(logger.messages('warn')).toEqual(['Cursors could not be saved.']);
  disk.full = false;
  await clock.advance(1_000);
  expect(cursor.saved).toBe(10);
  expect(logger.messages('info')).toEqual(['Cursors can be saved again.']);
  disk.full = true;
  move(cursor, 11);
  await cursors.close();
  expect(cursor.saved).toBe(10);
});

test('saves that are asked for at once are made one after the other', async () => {
  const disk = new SimDisk();
  const { cursors } = await openCursors(disk);
  const cursor = cursors.open('sink', atZero);
  let running = 0;
  const replace = disk.replace.bind(disk);
  disk.replace = async (path, bytes) => {
    running++;
    expect(running).toBe(1);
    await replace(path, bytes);
    running--;
  };
  const saves = [];
  for (let i = 1; i <= 5; i++) {
    move(cursor, i);
    saves.push(cursors.save());
  }
  await Promise.all(saves);
  expect(cursor.saved).toBe(5);
});

/** Each look at it takes half a millisecond. */
class SlowClock extends SimClock {
  looks = 0;
  rests = 0;
  onRest = (): void => {};
  override monotonic(): number {
    return super.monotonic() + this.looks++ / 2;
  }
  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms > 0) return super.sleep(ms, signal);
    this.rests += 1;
    this.onRest();
    return Promise.resolve();
  }
}

test('what the broker keeps is written in turns, and nothing of what happens meanwhile gets into it', async () => {
  const disk = new SimDisk();
  const clock = new SlowClock();
  const parts = { disk, clock, logger: createHeard(), metrics: createMetrics() };
  const options = { path: brokerPath, saveMs: 1_000_000 } as const;
  const cursors = await openCursorStore({ ...parts, random: seededRandom(3) }, options);
  const cursor = cursors.open('broker', atZero);
  const rows = (at: number) => Array.from({ length: 1_000 }, (_, n) => ({ client: `c${n}`, at }));
  let at = 1;
  move(cursor, at, { version: 1, sessions: rows(at) });
  clock.onRest = () => {
    at += 1;
    move(cursor, at, { version: 1, sessions: rows(at) });
  };
  await cursors.save();
  expect(clock.rests).toBeGreaterThan(200);
  clock.onRest = () => {};
  const again = await openCursors(disk, new SimClock(), undefined, brokerPath);
  const { position, state } = again.cursors.open('broker', atZero);
  expect([position, state]).toEqual([1, { version: 1, sessions: rows(1) }]);
  await cursors.save();
  const later = await openCursors(disk, new SimClock(), undefined, brokerPath);
  expect(later.cursors.open('broker', atZero).position).toBe(at);
});

test('a cursor cannot go back', async () => {
  const { cursors } = await openCursors(new SimDisk());
  const cursor = cursors.open('sink', () => positionOf(5));
  expect(() => move(cursor, 4)).toThrow(RangeError);
  expect(cursors.open('sink', atZero)).toBe(cursor);
});

test('lists of a state in the file `broker` have a line a record; a file with all of it in one line is read', async () => {
  const parts = { clock: new SimClock(), logger: createHeard(), metrics: createMetrics() };
  const common = { ...parts, random: seededRandom(3) };
  const state = {
    version: 1,
    sessions: [{ client: 'a' }, { client: 'b\n' }],
    retained: [],
    time: {},
  };
  const json = JSON.stringify({ name: 'broker', position: 9, state });
  const disk = new SimDisk();
  const sum = crc32(json).toString(16).padStart(8, '0');
  disk.put('broker', Buffer.from(`tidegate-cursors 1 lines 1\n${sum} ${json}\n`));
  const former = await openCursorStore({ ...common, disk }, { path: 'broker' });
  const cursor = former.open('broker', atZero);
  expect([cursor.position, cursor.state, cursor.isPartial]).toEqual([9, state, false]);
  move(cursor, 10, state);
  await former.close();
  const lines = Buffer.from(disk.bytesOf('broker')).toString().trimEnd().split('\n');
  expect(lines).toHaveLength(1 + 2 + 2);
  const now = await openCursorStore({ ...common, disk }, { path: 'broker' });
  const again = now.open('broker', atZero);
  expect([again.position, again.state, again.isPartial]).toEqual([10, state, false]);
  await now.close();
});

test('a record that is lost is still missed after a save that it was no part of', async () => {
  const parts = { clock: new SimClock(), logger: createHeard(), metrics: createMetrics() };
  const common = { ...parts, random: seededRandom(3) };
  const disk = new SimDisk();
  const first = await openCursorStore({ ...common, disk }, { path: 'broker' });
  move(first.open('broker', atZero), 10, { sessions: [{ client: 'a' }, { client: 'b' }] });
  await first.close();
  const bytes = disk.bytesOf('broker');
  bytes[Buffer.from(bytes).indexOf('"client":"b"') + 10]! ^= 1;
  for (let life = 1; life <= 2; life++) {
    const cursors = await openCursorStore({ ...common, disk }, { path: 'broker' });
    const cursor = cursors.open('broker', atZero);
    expect([cursor.position, cursor.state]).toEqual([10, { sessions: [{ client: 'a' }] }]);
    expect(cursor.isPartial, `life ${life}`).toBe(true);
    await cursors.close();
  }
});
