/**
 * Every byte of a data folder, flipped and as the last one left: the whole gateway starts, recovers
 * what is whole, sets aside what is not, and says what was lost. TIDEGATE_EVERY_BYTE=1 takes every
 * byte; otherwise every 29th, beginning somewhere else each time.
 */
import { expect, test } from 'vitest';
import { openLogInspector } from '../../src/log/inspect.ts';
import { createKeyring, type Keyring, noKeys } from '../../src/log/keyring.ts';
import type { Entry } from '../../src/log/log.ts';
import { quarantineFilesMax } from '../../src/log/quarantine.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { World } from '../sim/life.ts';
import { openLog, readingsOf } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const stride = process.env.TIDEGATE_EVERY_BYTE === '1' ? 1 : 29;

type Files = ReadonlyMap<string, Buffer>;

/** What a killed gateway leaves: segments of a few groups, and readers that have not seen them all. */
async function makeFolder(keys: Keyring): Promise<{ files: Files; all: readonly Entry[] }> {
  const world = new World(3, { segmentBytes: 420 });
  world.keys = keys;
  await world.start();
  world.sinks[0]!.mood = 'refuses';
  for (let i = 0; i < 9; i++) {
    for (let device = 1; device <= 2; device++) {
      const seq = i * 2 + device;
      world.send(`gh-${device}`, JSON.stringify({ temperature: 26 + (i % 5) * 2, seq }), seq);
    }
    await world.clock.advance(700);
  }
  const all = (await world.recorded()) as unknown as Entry[];
  world.kill();
  const files = new Map<string, Buffer>();
  for (const path of world.disk.paths()) {
    // Behind what was written there is room, whose bytes mean nothing.
    const bytes = Buffer.from(world.disk.bytesOf(path));
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    files.set(path, Buffer.from(bytes.subarray(0, end)));
  }
  expect([...files.keys()].filter((path) => path.startsWith('log/')).length).toBeGreaterThan(2);
  expect(files.has('cursors')).toBe(true);
  return { files, all };
}

const withFile = (files: Files, path: string, bytes: Buffer): SimDisk => {
  const disk = new SimDisk();
  for (const [each, whole] of files) disk.put(each, each === path ? bytes : whole);
  return disk;
};

async function problemsOf(disk: SimDisk, keys: Keyring): Promise<number> {
  let problems = 0;
  for await (const _ of (await openLogInspector(disk, keys)).verify()) problems++;
  return problems;
}

/** A gateway on that disk: what it recovers and says, after all its far sides have had everything. */
async function live(disk: SimDisk, keys: Keyring) {
  const world = new World(5, { segmentBytes: 420 });
  world.keys = keys;
  world.disk = disk;
  world.clock.jump(3_600_000);
  await world.start();
  world.send('gh-3', JSON.stringify({ temperature: 20, seq: 1_000 }), 1_000);
  await world.heal();
  expect(world.sent[0]!.acknowledged).toBe(true);
  const recorded = (await world.recorded()) as unknown as Entry[];
  await world.stop();
  return { world, recorded, taken: world.sinks[0]!.taken };
}

function expectRecovered(
  all: readonly Entry[],
  recorded: readonly Entry[],
  taken: readonly { readonly id: string }[],
  where: string,
): number {
  const found = new Map(recorded.map((entry) => [entry.position, entry]));
  const news = recorded.filter(({ position }) => position > all.length);
  const gaps = recorded.flatMap((entry) => (entry.type === 'gap' ? [entry.data] : []));
  const lost = all.filter(({ position, id }) => found.get(position)?.id !== id);
  const newest = Math.max(0, ...all.filter((each) => !lost.includes(each)).map((e) => e.position));
  for (const { position } of lost) {
    // The end of a log that nobody had acted upon is no different from a write under way.
    if (position > newest && !gaps.some(({ from }) => from > newest)) continue;
    const told = gaps.filter(({ from, to }) => position >= from && position <= to);
    expect(told.length, `${where}: position ${position} is told as lost`).toBeGreaterThan(0);
  }
  for (const each of all) {
    if (lost.includes(each) || each.type !== 'reading') continue;
    expect(
      taken.some(({ id }) => id === each.id),
      `${where}: ${each.position} delivered`,
    ).toBe(true);
  }
  expect(new Set(recorded.map(({ position }) => position)).size).toBe(recorded.length);
  expect(news.length).toBeGreaterThan(0);
  return lost.length;
}

test.each([
  ['in plain', noKeys],
  ['encrypted', createKeyring(Buffer.alloc(32, 5))],
])(
  `whichever byte is flipped, and wherever a file ends, the gateway goes on: %s (TIDEGATE_SEED=${seed})`,
  async (_, keys) => {
    const { files, all } = await makeFolder(keys);
    const newestPath = [...files.keys()].filter((path) => path.startsWith('log/')).at(-1)!;
    const random = seededRandom(seed);
    let lostMost = 0;
    for (const [path, whole] of files) {
      for (let at = Math.floor(random.next() * stride); at < whole.length; at += stride) {
        const flipped = Buffer.from(whole);
        flipped[at]! ^= 1 << Math.floor(random.next() * 8);
        for (const bytes of [flipped, whole.subarray(0, at)]) {
          const how = bytes === flipped ? 'flipped' : 'cut';
          const where = `${path} ${how} at ${at}`;
          const problems = await problemsOf(withFile(files, path, bytes), keys);
          const disk = withFile(files, path, bytes);
          const { world, recorded, taken } = await live(disk, keys);
          const lost = expectRecovered(all, recorded, taken, where);
          lostMost = Math.max(lostMost, lost);
          const set = world.disk.paths().filter((each) => each.startsWith('quarantine/'));
          // A file that ends early may end where a line or a group does, and the end of the log is open.
          const mayBeSilent = how === 'cut' || path === newestPath;
          if (!mayBeSilent) expect(problems, `${where} is found by verify`).toBeGreaterThan(0);
          if (!mayBeSilent) expect(set.length, `${where} is set aside`).toBeGreaterThan(0);
          if (lost > 0) expect(problems, `${where}: verify finds what is lost`).toBeGreaterThan(0);
          for (const each of set.filter((name) => name.endsWith('.json'))) {
            const report = JSON.parse(Buffer.from(world.disk.bytesOf(each)).toString('utf8'));
            expect(report).toMatchObject({
              found: expect.stringMatching(/^20/),
              what: expect.any(String),
            });
          }
        }
      }
    }
    // Damage never costs more than the file it is in, and there was some to be seen.
    expect(lostMost).toBeLessThan(all.length);
    expect(lostMost).toBeGreaterThan(1);
  },
  600_000,
);

test('what is damaged is written down once, with its place, its time and its positions', async () => {
  const { files, all } = await makeFolder(noKeys);
  const [first] = [...files.keys()].filter((path) => path.startsWith('log/'));
  const bytes = Buffer.from(files.get(first!)!);
  bytes[60]! ^= 1;
  const { world, recorded } = await live(withFile(files, first!, bytes), noKeys);
  const paths = world.disk.paths().filter((path) => path.startsWith('quarantine/'));
  expect(paths).toEqual([`quarantine/${first!.slice(4)}-32.json`]);
  const report = JSON.parse(Buffer.from(world.disk.bytesOf(paths[0]!)).toString('utf8'));
  expect(report).toMatchObject({ path: first, from: 32, what: expect.stringContaining('damaged') });
  const { from, to } = report.positions;
  expect(recorded.filter(({ position }) => position >= from && position <= to)).toEqual([]);
  expect(all.some(({ position }) => position === from)).toBe(true);
  const told = recorded.filter(({ type, subject }) => type === 'gap' && subject === 'log');
  expect(told.map(({ data }) => data)).toEqual([{ reader: 'log', from, to, reason: 'damaged' }]);
  // And not again by the next life, which meets it again.
  const next = new World(6, { segmentBytes: 420 });
  next.disk = world.disk.restart();
  next.clock.jump(7_200_000);
  await next.start();
  await next.heal();
  const again = (await next.recorded()) as unknown as Entry[];
  expect(again.filter(({ type, subject }) => type === 'gap' && subject === 'log')).toHaveLength(1);
});

test('a segment of which nothing can be read is moved away whole, with a report', async () => {
  const { files, all } = await makeFolder(noKeys);
  const newest = [...files.keys()].filter((path) => path.startsWith('log/')).at(-1)!;
  const noise = Buffer.alloc(400_000, 0x5a);
  const { world, recorded } = await live(withFile(files, newest, noise), noKeys);
  const name = newest.slice(4);
  expect(Buffer.from(world.disk.bytesOf(`quarantine/${name}`))).toEqual(noise);
  const report = JSON.parse(Buffer.from(world.disk.bytesOf(`quarantine/${name}.json`)).toString());
  expect(report).toMatchObject({
    setAside: `quarantine/${name}`,
    positions: { from: Number(name.slice(0, 20)) },
  });
  expect(recorded.length).toBeGreaterThan(0);
  expect(all.length).toBeGreaterThan(0);
});

test('damaged cursors are kept before they are replaced', async () => {
  const { files } = await makeFolder(noKeys);
  const bytes = Buffer.from(files.get('cursors')!);
  bytes[40]! ^= 1;
  const { world } = await live(withFile(files, 'cursors', bytes), noKeys);
  const kept = world.disk.paths().filter((path) => path.startsWith('quarantine/cursors-'));
  expect(kept).toHaveLength(2);
  expect(Buffer.from(world.disk.bytesOf(kept[0]!))).toEqual(bytes);
  expect(Buffer.from(world.disk.bytesOf('cursors'))).not.toEqual(bytes);
});

test('the quarantine has a limit', async () => {
  const disk = new SimDisk();
  const clock = new SimClock();
  const { log } = await openLog(disk, { segmentBytes: 200 }, clock);
  for (let i = 0; i < 100; i++) await log.append(readingsOf(i * 4, 4));
  await log.close();
  for (const path of disk.paths().filter((each) => each.startsWith('log/'))) {
    disk.bytesOf(path)[50]! ^= 1;
  }
  const world = new World(7, { segmentBytes: 200 });
  world.disk = disk.restart();
  await world.start();
  await world.heal();
  const kept = world.disk.paths().filter((path) => path.startsWith('quarantine/'));
  expect(kept).toHaveLength(quarantineFilesMax);
  await world.stop();
});
