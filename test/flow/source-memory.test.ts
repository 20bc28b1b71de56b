import { expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { openMemories } from '../../src/flow/memories.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import type { Entry, EventLog, Position } from '../../src/log/log.ts';
import { type LogOptions, openEventLog } from '../../src/log/segment-log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { Ledger, Memory, Recorded } from '../../src/source/source.ts';
import { createHeard, readAll } from '../log/opened.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';

/** Remembers what came last under every name, and the names whose message is still wanted. */
class LastOfEach implements Memory {
  last: Record<string, string> = {};
  wanted: number[] = [];
  steps = 0;
  begun = false;
  ledger!: Ledger;

  restore(state: unknown): void {
    const saved = state as { last: Record<string, string>; wanted: number[] } | null;
    this.last = { ...saved?.last };
    this.wanted = [...(saved?.wanted ?? [])];
  }
  step(entry: Recorded): void {
    this.steps += 1;
    if (entry.type === 'message') {
      this.last[entry.subject] = String(entry.data.payload);
      if (entry.data.qos > 0) this.wanted.push(entry.position);
    } else if (entry.type === 'session') {
      const { upTo } = entry.data.details as { upTo: number };
      this.wanted = this.wanted.filter((position) => position > upTo);
    }
  }
  snapshot() {
    return { last: { ...this.last }, wanted: [...this.wanted] };
  }
  get bytes(): number {
    return 100;
  }
  get oldest(): number {
    return this.wanted[0] ?? Number.POSITIVE_INFINITY;
  }
  losses(isGone: (position: number) => boolean) {
    const gone = this.wanted.filter(isGone);
    if (gone.length === 0) return [];
    return [{ client: 'away', from: gone[0]!, upTo: gone.at(-1)!, messages: gone.length }];
  }
  begin(ledger: Ledger): void {
    this.begun = true;
    this.ledger = ledger;
  }
}

const roomy: LogOptions = { maxBytes: 2 ** 30, whenFull: 'dropOldest', commitDelayMs: 0 };

/** A log with the memory of one source, which can be stopped, killed, cut off, and opened again. */
class World {
  disk = new SimDisk();
  readonly clock = new SimClock();
  readonly logger = createHeard();
  metrics = createMetrics();
  memory = new LastOfEach();
  log!: EventLog;
  failure: Error | undefined;
  private ending = new AbortController();
  private memories!: Awaited<ReturnType<typeof openMemories>>;
  private cursors!: Awaited<ReturnType<typeof openCursorStore>>;
  private readonly options: LogOptions;

  constructor(options: Partial<LogOptions> = {}) {
    this.options = { ...roomy, ...options };
  }

  async open(): Promise<this> {
    this.memory = new LastOfEach();
    this.metrics = createMetrics();
    this.ending = new AbortController();
    const { disk, clock, logger, metrics, memory } = this;
    const random = seededRandom(7);
    const parts = { disk, clock, logger, metrics, random };
    const source = { name: 'broker', memory, run: async () => {} };
    this.cursors = await openCursorStore(parts);
    this.memories = await openMemories({
      ...{ ...parts, id: 'gw', log: this.options, sources: [source] },
    });
    let isOpen = false;
    const readers = () =>
      isOpen
        ? [...this.cursors.all, ...this.memories.readers()]
        : [{ name: 'start', saved: 0 as Position }];
    this.log = await openEventLog({ ...parts, readers }, this.options);
    const started = this.memories.start(this.log, this.ending.signal, (error) => {
      this.failure = error;
    });
    isOpen = true;
    await this.clock.advance(0);
    await started;
    return this;
  }

  message(subject: string, text: string, qos: 0 | 1 = 0): Draft {
    const data = { payload: Buffer.from(text), qos, retain: false };
    return { type: 'message', source: '/gateways/gw/broker', subject, time: 0, data };
  }
  heartbeats(count: number): Draft[] {
    const source = '/gateways/gw';
    return Array.from({ length: count }, () => ({
      ...{ type: 'heartbeat', source, subject: 'gw', time: 0 },
      data: { lag: {} },
    }));
  }
  async beat(): Promise<void> {
    this.memories.beat();
    await this.clock.advance(10_000);
  }
  async stop(): Promise<void> {
    this.ending.abort(new Error('stopped'));
    await Promise.all([this.memories.close(), this.cursors.close()]);
    await this.log.close();
    this.disk = this.disk.restart();
  }
  kill(): void {
    this.ending.abort(new Error('killed'));
    this.disk = this.disk.restart();
  }
  cut(seed: number): void {
    this.ending.abort(new Error('cut'));
    this.disk.crash(seededRandom(seed));
    this.disk = this.disk.restart();
    this.clock.reboot();
  }
  async dropped(reason: string): Promise<number> {
    const { values } = await this.metrics.brokerDropped.get();
    return values.find(({ labels }) => labels.reason === reason)?.value ?? 0;
  }
}

test('a source is given what it remembers before it begins, after a stop, a kill and a power cut', async () => {
  const world = await new World().open();
  await world.log.append([world.message('a', '1'), world.message('b', '2')]);
  for (const [index, end] of [
    () => world.stop(),
    () => world.kill(),
    () => world.cut(3),
    () => world.kill(),
  ].entries()) {
    await end();
    await world.open();
    expect(world.memory.begun).toBe(true);
    expect(world.memory.last).toMatchObject({ a: `${index + 1}`, b: '2' });
    await world.log.append([world.message('a', `${index + 2}`)]);
  }
});

test('after a stop nothing is read again, and after a kill only what came since the snapshot', async () => {
  const world = await new World().open();
  await world.log.append([world.message('a', '1'), ...world.heartbeats(50)]);
  await world.clock.advance(0);
  await world.stop();
  await world.open();
  expect(world.memory.steps).toBe(0);
  await world.log.append(world.heartbeats(7));
  world.kill();
  await world.open();
  expect(world.memory.steps).toBe(7);
});

test('nothing is written while nothing of worth has changed', async () => {
  const world = await new World().open();
  await world.clock.advance(60_000);
  let writes = 0;
  world.disk.before = (kind, path) => {
    if (kind === 'replace' && path === 'broker') writes += 1;
  };
  for (let round = 0; round < 100; round++) {
    await world.log.append([world.message('a', `${round}`)]);
    await world.clock.advance(5_000);
  }
  expect(writes).toBe(0);
  await world.stop();
  expect(writes).toBe(1);
});

test('a snapshot is written before reading on from the last one would take long', async () => {
  const world = await new World().open();
  let writes = 0;
  world.disk.before = (kind, path) => {
    if (kind === 'replace' && path === 'broker') writes += 1;
  };
  for (let round = 0; round < 240; round++) {
    await world.log.append(world.heartbeats(500));
    await world.clock.advance(1_000);
  }
  expect(writes).toBe(2);
  world.kill();
  await world.open();
  expect(world.memory.steps).toBeLessThan(50_000);
});

const tight = { maxBytes: 2 ** 18, segmentBytes: 2 ** 14 };

test('what somebody waits for holds the log, and is held no longer when it is done with', async () => {
  const world = await new World({ ...tight, maxAgeMs: 60_000 }).open();
  const position = await world.log.append([world.message('a', '1', 1)]);
  for (let round = 0; round < 20; round++) {
    await world.log.append(world.heartbeats(400));
    await world.clock.advance(60_000);
  }
  expect(world.log.first).toBeLessThanOrEqual(position);
  const [found] = await world.memory.ledger.messages([position]);
  expect(String(found!.data.payload)).toBe('1');
  const session = { kind: 'acknowledged', details: { upTo: position } };
  await world.memory.ledger.append([{ type: 'session', subject: 'away', data: session }]);
  for (let round = 0; round < 10; round++) {
    await world.log.append(world.heartbeats(6_000));
    await world.clock.advance(60_000);
  }
  expect(world.log.first).toBeGreaterThan(position);
});

const gapsOf = (entries: readonly Entry[]) =>
  entries.flatMap((entry) => (entry.type === 'gap' ? [entry.data] : []));

test('what the log had no room for is told by the name of the session, once, and counted', async () => {
  const world = await new World(tight).open();
  const first = await world.log.append([world.message('a', '1', 1)]);
  const second = await world.log.append([world.message('a', '2', 1)]);
  for (let round = 0; round < 100; round++) {
    await world.log.append(world.heartbeats(800));
    await world.clock.advance(1_000);
  }
  for (let round = 0; round < 3; round++) await world.beat();
  expect(await world.memory.ledger.messages([first, second])).toEqual([]);
  expect(gapsOf(await readAll(world.log))).toEqual([
    { reader: 'session away', from: first, to: second, reason: 'retention' },
  ]);
  expect(await world.dropped('retention')).toBe(2);
  expect(world.memory.wanted).toEqual([]);
  world.kill();
  await world.open();
  await world.beat();
  expect(world.memory.wanted).toEqual([]);
  expect(await world.dropped('retention')).toBe(0);
});

test('a session that is away never keeps devices from being heard', async () => {
  const world = await new World({ ...tight, whenFull: 'refuseNew' }).open();
  const position = await world.log.append([world.message('a', '1', 1)]);
  for (let round = 0; round < 100; round++) {
    const appended = world.log.append(world.heartbeats(800));
    await world.clock.advance(5_000);
    await appended;
  }
  await world.beat();
  const [gap] = gapsOf(await readAll(world.log));
  expect(gap).toMatchObject({ reader: 'session away', from: position, to: position });
});

const little = { maxBytes: 2 ** 20, segmentBytes: 2 ** 16 } as const;
const largeReading = (): Draft => ({
  ...{ type: 'reading', source: '/gateways/gw/broker', subject: 'd', time: 0 },
  data: { measurement: 'm', tags: {}, fields: { text: 'x'.repeat(3_000) } },
});

test('where large readings fill a small log a snapshot is due before it is full', async () => {
  const world = await new World(little).open();
  for (let n = 0; n < 1_000; n++) {
    await world.log.append([largeReading()]);
    await world.clock.advance(100);
  }
  expect(world.logger.messages('error')).toEqual([]);
  await world.stop();
});

test('a log that refuses what is new is not kept full by a snapshot that is not due', async () => {
  const world = await new World({ ...little, whenFull: 'refuseNew' }).open();
  let recorded = 0;
  for (let n = 0; n < 1_000; n++) void world.log.append([largeReading()]).then(() => recorded++);
  await world.clock.advance(1_000);
  for (let beats = 0; beats < 20 && recorded < 1_000; beats++) await world.beat();
  expect(recorded).toBe(1_000);
  expect(world.log.blocked).toBeUndefined();
  await world.stop();
});

test('after any power cut the memory is that of what is in the log', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    // A snapshot is due every 512 KiB.
    const world = await new World({ maxBytes: 2 ** 22, segmentBytes: 2 ** 17 }).open();
    const random = seededRandom(seed);
    for (let life = 0; life < 4; life++) {
      const cutAt = 1 + Math.floor(random.next() * 60);
      let operations = 0;
      let cut!: () => void;
      const isCut = new Promise<void>((resolve) => {
        cut = resolve;
      });
      world.disk.before = () => {
        if (++operations === cutAt) cut();
      };
      const living = (async () => {
        for (let round = 0; round < 20; round++) {
          const text = `${life}.${round} ${'x'.repeat(40_000)}`;
          const subject = 'abc'[Math.floor(random.next() * 3)]!;
          await world.log.append([world.message(subject, text)]);
          await world.clock.advance(1_000);
        }
        await world.stop();
      })();
      await Promise.race([isCut, living]);
      world.cut(seed * 10 + life);
      await world.open();
      expect(world.failure).toBeUndefined();
      const whole = new LastOfEach();
      for (const entry of await readAll(world.log)) whole.step(entry);
      expect(world.memory.last, `seed ${seed}, life ${life}`).toEqual(whole.last);
    }
  }
});
