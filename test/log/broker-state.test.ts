/**
 * The file `broker`, as `corruption` has it of segments and cursors: every byte flipped and as the last
 * one left. TIDEGATE_EVERY_BYTE=1 takes every byte; otherwise every 61st. And what is lost with cursors.
 */
import { expect, test } from 'vitest';
import { Durable } from '../../src/broker/durable.ts';
import { sessionData } from '../../src/broker/durable-records.ts';
import type { JournalRecord } from '../../src/broker/journal.ts';
import { openLogInspector } from '../../src/log/inspect.ts';
import { createKeyring, type Keyring, noKeys } from '../../src/log/keyring.ts';
import type { Entry } from '../../src/log/log.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { Ledger, Memory, OwnRecord } from '../../src/source/source.ts';
import { began, parts as durableParts, left, message, subscribed } from '../broker/durable-life.ts';
import { SimDisk } from '../sim/disk.ts';
import { World } from '../sim/life.ts';
import { createHeard } from './opened.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const stride = process.env.TIDEGATE_EVERY_BYTE === '1' ? 1 : 61;

type Files = ReadonlyMap<string, Buffer>;

/** What the broker remembers, without the broker. */
class BrokerMemory implements Memory {
  readonly durable = new Durable(durableParts);
  ledger: Ledger | undefined;

  restore(state: unknown): void {
    this.durable.restore(state);
  }
  step(event: Parameters<Durable['step']>[0]): void {
    this.durable.step(event);
  }
  snapshot(): unknown {
    return this.durable.snapshot();
  }
  get bytes(): number {
    return this.durable.bytes;
  }
  get oldest(): number {
    return this.durable.oldest;
  }
  losses(isGone: (position: number) => boolean) {
    return this.durable.losses(isGone);
  }
  begin(ledger: Ledger): void {
    this.ledger = ledger;
  }
  get remembered() {
    const { sessions, retained, wills } = this.durable.snapshot();
    return {
      sessions: sessions.map(({ client, subscriptions }) => ({ client, subscriptions })),
      retained: retained.length,
      wills: wills.length,
    };
  }
}

const recordOf = (record: JournalRecord): OwnRecord =>
  record.kind === 'message'
    ? { type: 'message', message: record }
    : { type: 'session', subject: record.client, data: sessionData(record) };

function worldOn(disk: SimDisk, keys: Keyring, seedOfWorld: number) {
  const world = new World(seedOfWorld, { segmentBytes: 420 });
  const memory = { now: new BrokerMemory() };
  world.disk = disk;
  world.keys = keys;
  world.logger = createHeard();
  world.memory = () => {
    memory.now = new BrokerMemory();
    return memory.now;
  };
  return { world, memory };
}

/** A gateway that was stopped with a session, a will and a retained message. */
async function makeFolder(keys: Keyring) {
  const { world, memory } = worldOn(new SimDisk(), keys, 3);
  await world.start();
  const { ledger } = memory.now;
  const appended = ledger!.append(
    [
      began('keeper'),
      subscribed('keeper', 'cmd/#'),
      { kind: 'will', client: 'keeper', delaySeconds: 60, message: message('gone') } as const,
      left('keeper'),
      message('state', { retain: true, qos: 0 }),
    ].map(recordOf),
  );
  await world.clock.advance(100);
  await appended;
  for (let seq = 1; seq <= 12; seq++) {
    world.send('gh-1', JSON.stringify({ temperature: 20, seq }), seq);
    await world.clock.advance(700);
  }
  await world.heal();
  await world.stop();
  const files = new Map<string, Buffer>();
  for (const path of world.disk.paths()) files.set(path, Buffer.from(world.disk.bytesOf(path)));
  return { files, remembered: memory.now.remembered };
}

/** The same, with the log begun anew behind what the broker remembers of it. */
function withoutOldest(files: Files): Files {
  const [oldest] = [...files.keys()].filter((path) => path.startsWith('log/')).sort();
  return new Map([...files].filter(([path]) => path !== oldest));
}

const withBroker = (files: Files, bytes: Buffer): SimDisk => {
  const disk = new SimDisk();
  for (const [each, whole] of files) disk.put(each, each === 'broker' ? bytes : whole);
  return disk;
};

async function problemsOf(disk: SimDisk, keys: Keyring): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of (await openLogInspector(disk, keys)).verify()) found.push(path);
  return found;
}

async function live(disk: SimDisk, keys: Keyring) {
  const { world, memory } = worldOn(disk, keys, 5);
  world.clock.jump(3_600_000);
  await world.start();
  world.send('gh-3', JSON.stringify({ temperature: 20, seq: 1_000 }), 1_000);
  await world.heal();
  expect(world.sent[0]!.acknowledged).toBe(true);
  const recorded = (await world.recorded()) as unknown as Entry[];
  await world.stop();
  const gaps = recorded.flatMap((entry) => (entry.type === 'gap' ? [entry.data] : []));
  const kept = world.disk.paths().filter((path) => path.startsWith('quarantine/broker-'));
  return { world, gaps, kept, recorded, remembered: memory.now.remembered };
}

/** What stands in the file that `makeFolder` leaves: a line each, between two that say what there is. */
const records = ['sessions keeper', 'wills keeper', 'retained state'];
const all: readonly string[] = ['all'];

const lineAt = (whole: Buffer, at: number): number =>
  whole.subarray(0, at).toString('latin1').split('\n').length - 1;

/** What a flipped byte costs: the end of a line is the end of two. */
function recordsAt(whole: Buffer, at: number): readonly string[] {
  const line = lineAt(whole, at);
  const two = whole[at] === 10 ? [line, line + 1] : [line];
  return records.filter((_, index) => two.includes(index + 2));
}

/** What a file has cost that ends there, and nothing but all when no line is whole that says what there is. */
function recordsFrom(whole: Buffer, at: number): readonly string[] {
  const line = lineAt(whole, at + 1);
  return line < 2 ? all : records.filter((_, index) => index + 2 >= line);
}

test.each([
  ['in plain', noKeys],
  ['encrypted', createKeyring(Buffer.alloc(32, 5))],
])(
  `whichever byte of the broker's state is flipped, and wherever it ends, that record is read again from the log, and named where that no longer has it: %s (TIDEGATE_SEED=${seed})`,
  async (_, keys) => {
    const { files, remembered } = await makeFolder(keys);
    const cut = withoutOldest(files);
    expect(remembered).toMatchObject({ sessions: [{ client: 'keeper' }], retained: 1, wills: 1 });
    const whole = files.get('broker')!;
    const first = whole.indexOf('\n') + 1;
    let namedWell = 0;
    const random = seededRandom(seed);
    const offsets = new Set([0, first - 1, first, whole.length - 1]);
    for (let at = Math.floor(random.next() * stride); at < whole.length; at += stride) {
      offsets.add(at);
    }
    for (const at of offsets) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << Math.floor(random.next() * 8);
      for (const bytes of [flipped, whole.subarray(0, at)]) {
        const where = `${bytes === flipped ? 'flipped' : 'cut'} at ${at}`;
        // Without its last byte, the end of a line, nothing is missing.
        const isCostly =
          at >= first ? bytes === flipped || at < whole.length - 1 : bytes !== flipped;
        const problems = await problemsOf(withBroker(files, bytes), keys);
        const has = await live(withBroker(files, bytes), keys);
        expect(has.remembered, `${where}: all of it is in the log`).toEqual(remembered);
        if (!isCostly) continue;
        expect(problems, `${where} is found by verify`).toContain('broker');
        expect(has.kept.length, `${where} is set aside`).toBe(2);

        const lacks = await live(withBroker(cut, bytes), keys);
        const told = lacks.gaps.filter(({ reader }) => reader === 'broker');
        const costs = bytes === flipped ? recordsAt(whole, at) : recordsFrom(whole, at);
        if (costs.length === 0) {
          expect(told, `${where} costs nothing`).toEqual([]);
          expect(lacks.remembered, where).toEqual(remembered);
          continue;
        }
        const to = lacks.recorded[0]!.position - 1;
        const from = { reader: 'broker', from: 1, to, reason: 'damaged' };
        expect(told, `${where} is told`).toEqual([
          costs === all ? from : { ...from, lost: expect.anything() },
        ]);
        if (costs === all) continue;
        // Told by list, and by name where neither encryption nor the damage hides it.
        const lists = costs.map((each) => each.split(' ')[0]);
        expect(
          told[0]!.lost!.map((each) => each.split(' ')[0]),
          where,
        ).toEqual(lists);
        if (keys === noKeys && bytes === flipped)
          namedWell += Number(told[0]!.lost![0] === costs[0]);
        const { sessions, retained, wills } = lacks.remembered;
        const kept = { sessions: sessions.length, retained, wills };
        const lost = (list: string) => lists.filter((each) => each === list).length;
        expect(kept, `${where} costs nothing else`).toEqual({
          sessions: 1 - lost('sessions'),
          retained: 1 - lost('retained'),
          wills: 1 - lost('wills'),
        });
      }
    }
    if (keys === noKeys) expect(namedWell).toBeGreaterThan(0);
  },
  600_000,
);

test.each(['broker', 'cursors'])('a gateway starts whose file %s cannot be read', async (path) => {
  const { files } = await makeFolder(noKeys);
  const disk = withBroker(files, files.get('broker')!);
  disk.badSectors = [{ path, from: 0, to: 10 }];
  const { world } = await live(disk, noKeys);
  const kept = world.disk.paths().filter((each) => each.startsWith(`quarantine/${path}-`));
  expect(kept).toEqual([`quarantine/${path}-0.json`]);
});

test('what stood in lost cursors is told where the log no longer has it', async () => {
  const { files } = await makeFolder(noKeys);
  const disk = withBroker(withoutOldest(files), files.get('broker')!);
  disk.bytesOf('cursors')[60]! ^= 1;
  const { gaps, recorded } = await live(disk, noKeys);
  expect(gaps.filter(({ reader }) => reader === 'cursors')).toEqual([
    { reader: 'cursors', from: 1, to: recorded[0]!.position - 1, reason: 'damaged' },
  ]);
});

test('a sink that begins with what is newest misses nothing when its cursor is lost', async () => {
  const { world } = worldOn(new SimDisk(), noKeys, 9);
  world.from = 'newest';
  await world.start();
  await world.heal();
  for (const sink of world.sinks) sink.mood = 'refuses';
  for (let seq = 1; seq <= 5; seq++) {
    world.send('gh-1', JSON.stringify({ temperature: 20, seq }), seq);
    await world.clock.advance(1_000);
  }
  await world.stop();
  const bytes = world.disk.bytesOf('cursors');
  for (let at = 30; at < bytes.length; at += 40) bytes[at]! ^= 1;
  await world.start();
  await world.heal();
  for (const sink of world.sinks) {
    const taken = sink.taken.flatMap((event) => (event.type === 'reading' ? [event.data] : []));
    expect(
      taken.map(({ fields }) => fields.seq),
      sink.name,
    ).toEqual([1, 2, 3, 4, 5]);
  }
  await world.stop();
});

test('the bytes of cursors and of the state of the broker are counted as written', async () => {
  const disk = new SimDisk();
  const { world, memory } = worldOn(disk, noKeys, 4);
  const replaced = new Map<string, number>();
  const replace = disk.replace.bind(disk);
  disk.replace = (path, bytes) => {
    replaced.set(path, (replaced.get(path) ?? 0) + bytes.length);
    return replace(path, bytes);
  };
  await world.start();
  const { ledger } = memory.now;
  const appended = ledger!.append([began('keeper'), subscribed('keeper', '#')].map(recordOf));
  await world.clock.advance(5_000);
  await appended;
  const { log } = world.gateway!;
  await world.stop();
  const { values } = await world.metrics.writtenBytes.get();
  expect([...replaced.keys()].sort()).toEqual(['broker', 'cursors']);
  expect(values[0]!.value).toBe(log.bytes + replaced.get('broker')! + replaced.get('cursors')!);
});
