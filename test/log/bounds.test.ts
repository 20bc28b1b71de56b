/** What bounds the log: each of these fails when its limit is taken away. See `docs/operating.md`. */
import { expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { openLane, rangesMax } from '../../src/flow/lane.ts';
import { createAppendQueue } from '../../src/log/append-queue.ts';
import { type Append, AppendTooLarge, BatchWriter } from '../../src/log/batch.ts';
import { EventEncoder } from '../../src/log/event-encoder.ts';
import { noKeys } from '../../src/log/keyring.ts';
import { createQuarantine, type Finding } from '../../src/log/quarantine.ts';
import { createBacklog } from '../../src/log/reader.ts';
import { findSegments, segmentOf } from '../../src/log/recovery.ts';
import { sacrificeOf } from '../../src/log/retention.ts';
import { SegmentReader } from '../../src/log/segment-reader.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { openLog, positionOf, readingOf, readingsOf } from './opened.ts';

const appendOf = (drafts: readonly Draft[]): Append => ({
  drafts,
  resolve: () => {},
  reject: (error) => {
    throw error;
  },
});

test('there are 1,024 files at most: then the oldest goes, and what is left of it with it', () => {
  const shelf = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      bytes: 90,
      thinning: i < 100 ? ('stripped' as const) : ('none' as const),
    }));
  expect(sacrificeOf(shelf(1_023), 'dropOldest')).toEqual({ index: 100, act: 'strip' });
  expect(sacrificeOf(shelf(1_024), 'dropOldest')).toEqual({ index: 0, act: 'drop' });
});

test('the newest file is at most 256 KiB longer than what is in it', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  for (let i = 0; i < 60; i++) {
    await log.append(readingsOf(i * 500, 500));
    expect(disk.bytesOf(disk.paths()[0]!).length).toBeLessThanOrEqual(log.bytes + 2 ** 18);
  }
  await log.close();
});

test('one append takes 1 MiB at most, and 65,535 events', () => {
  const writer = new BatchWriter(1, new SimClock(), 1);
  const payload = 'x'.repeat(2 ** 20);
  const large: Draft = { ...readingOf(1), type: 'command', data: { name: 'write', payload } };
  expect(() => writer.add(appendOf([large]))).toThrow(AppendTooLarge);
  expect(() => writer.add(appendOf(new Array(65_536).fill(readingOf(1))))).toThrow(AppendTooLarge);
});

test('beyond 16 MiB that wait for a write, events wait as they came', async () => {
  const writer = new BatchWriter(1, new SimClock(), 1);
  const queue = createAppendQueue(writer, 2_000);
  for (let i = 0; i < 1_000; i++) queue.add(appendOf([readingOf(i)]), false);
  expect(writer.bytes).toBeLessThan(3_000);
  let taken = 0;
  while (!queue.isEmpty) {
    const { bytes, appends } = queue.take();
    expect(bytes.length).toBeLessThan(3_000);
    taken += appends.length;
  }
  expect(taken).toBe(1_000);

  // The same with what is not said: a write that never ends keeps no more than that encoded.
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk);
  let writes = 0;
  disk.before = (kind) => {
    if (kind !== 'append' || ++writes < 3) return;
    return new Promise(() => {});
  };
  const payload = 'x'.repeat(500_000);
  const large: Draft = { ...readingOf(1), type: 'command', data: { name: 'write', payload } };
  void log.append([readingOf(1)]);
  await clock.settle();
  const allocated = Buffer.allocUnsafeSlow;
  let most = 0;
  Buffer.allocUnsafeSlow = (size) => {
    most = Math.max(most, size);
    return allocated(size);
  };
  try {
    for (let i = 0; i < 100; i++) void log.append([large]);
    await clock.settle();
  } finally {
    Buffer.allocUnsafeSlow = allocated;
  }
  expect(most).toBeGreaterThan(2 ** 23);
  expect(most).toBeLessThanOrEqual(2 ** 25);
});

/** How often something that was known must be learnt again, which costs bytes. */
function bytesOf(encoder: EventEncoder, drafts: readonly Draft[]): void {
  for (let i = 0; i < drafts.length; i += 100) {
    encoder.at = 0;
    encoder.beginTables();
    for (const draft of drafts.slice(i, i + 100)) encoder.event(draft, 0, 0);
  }
}
const sizesOf = (encoder: EventEncoder) => {
  const { names, shapes, subjects } = encoder as unknown as Record<string, Map<string, unknown>>;
  return { names: names!.size, shapes: shapes!.size, subjects: subjects!.size };
};

test('an encoder knows 16,384 names and devices, 4,096 kinds, and 8 kinds of each device', () => {
  const encoder = new EventEncoder(Buffer.alloc(2 ** 16));
  const reading = readingOf(1);
  // Until the next group.
  const slack = 200;
  const many = (count: number, of: (n: number) => Draft) =>
    Array.from({ length: count }, (_, n) => of(n));
  bytesOf(
    encoder,
    many(40_000, (n) => ({ ...reading, subject: `device-${n}` })),
  );
  expect(sizesOf(encoder).names).toBeLessThanOrEqual(16_384 + slack);
  expect(sizesOf(encoder).subjects).toBeLessThanOrEqual(16_384 + slack);
  const kinds = many(10_000, (n) => ({
    ...reading,
    data: { ...reading.data, fields: { [`f${n % 200}`]: 1, [`g${Math.floor(n / 200)}`]: 2 } },
  }));
  bytesOf(encoder, kinds);
  expect(sizesOf(encoder).shapes).toBeLessThanOrEqual(4_096 + slack);
  const { subjects } = encoder as unknown as { subjects: Map<string, { series: unknown[] }> };
  for (const { series } of subjects.values()) expect(series.length).toBeLessThanOrEqual(8);
});

test('damage that has been told is remembered at 1,000 places, and 256 wait to be written down', async () => {
  const disk = new SimDisk();
  const { log } = await openLog(disk);
  for (let i = 0; i < 2_600; i++) await log.append([readingOf(i)]);
  await log.close();
  const segments = (await findSegments(disk)).map((each) => segmentOf(each, 0));
  const bytes = Buffer.from(disk.bytesOf(segments[0]!.path));
  const groups = new SegmentReader(
    disk,
    segments[0]!,
    () => segments[0]!.bytes,
    () => {},
  );
  for (let i = 0; (await groups.next()) !== undefined; i++) {
    if (i % 2 === 0) bytes[groups.offset - 1]! ^= 0xff;
  }
  disk.put(segments[0]!.path, bytes);
  const reported = new Set<string>();
  let most = 0;
  const parts = { disk, logger: silentLogger, keys: noKeys, segments, reported };
  const backlog = createBacklog(0, parts);
  for (;;) {
    const entries = await backlog.read(100);
    most = Math.max(most, reported.size);
    if (entries.length === 0) break;
  }
  expect(most).toBeGreaterThan(900);
  expect(most).toBeLessThanOrEqual(1_001);

  const quarantine = createQuarantine({ disk, clock: new SimClock(), logger: silentLogger });
  for (let from = 0; from < 5_000; from++) {
    quarantine.note({ what: 'damaged', path: 'log/x.seg', from, to: from + 1 });
  }
  const told: Finding[] = [];
  quarantine.begin(async (finding) => told.push(finding));
  await new SimClock().settle();
  for (let turn = 0; turn < 100; turn++) await new SimClock().settle();
  expect(told).toHaveLength(256);
});

test('a lane keeps 16 stretches apart that drain; with more it delivers in order', async () => {
  const { log, cursors } = await openLog(new SimDisk());
  const lane = openLane(
    cursors.open('sink/readings', () => positionOf(0)),
    positionOf(1_000),
  );
  for (let n = 1; n <= 16; n++) {
    lane.live.commit(positionOf(n * 20 - 10), {});
    expect(await lane.split(positionOf(n * 20)), `${n}`).toBe(true);
  }
  lane.live.commit(positionOf(330), {});
  expect(await lane.split(positionOf(340))).toBe(false);
  expect(lane.books().backlog).toHaveLength(rangesMax);
  expect(rangesMax).toBe(16);
  await log.close();
});
