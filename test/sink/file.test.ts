import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromCloudEventsJson } from '../../src/event/cloudevents-json.ts';
import type { Disk } from '../../src/platform/disk.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { openArchive } from '../../src/sink/archive.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { readingsOf } from '../event/events.ts';
import { temporaryFolder } from '../services/child.ts';
import { endless, failureOf, sinkOf, sinkParts, withConnection } from './parts.ts';

let folder: string;
let now: number;
beforeEach(async () => {
  folder = await temporaryFolder('archive');
  now = Date.parse('2026-11-20T14:09:00.123Z');
});
afterEach(async () => await rm(folder, { recursive: true }));

const archived = async () => (await readdir(join(folder, 'archive'))).sort();
const textOf = async (name: string) => await readFile(join(folder, 'archive', name), 'utf8');
const idsOf = async (name: string) =>
  (await textOf(name))
    .split('\n')
    .slice(0, -1)
    .map((line) => fromCloudEventsJson(line).id);
function startSink(options: object = {}) {
  const parts = sinkParts({ dataFolder: folder });
  const clock = { ...parts.clock, now: () => now };
  return {
    sink: sinkOf(sinkKinds.file, { path: 'archive', ...options }, { ...parts, clock }),
    parts,
  };
}
const deliver = async (sink: ReturnType<typeof sinkOf>, count: number, prefix: string) =>
  await withConnection(sink, async (c) => await c.deliver(readingsOf(count, prefix), endless));

test('a file holds the events of one UTC day, one per line, and is gone on with', async () => {
  const { sink } = startSink();
  await deliver(sink, 3, 'a');
  now = Date.parse('2026-11-20T23:59:59.999Z');
  await deliver(startSink().sink, 2, 'b');
  now = Date.parse('2026-11-21T00:00:00.000Z');
  await deliver(sink, 1, 'c');
  expect(await archived()).toEqual([
    '00000001-20261120T140900Z.ndjson',
    '00000002-20261121T000000Z.ndjson',
  ]);
  expect(await idsOf('00000001-20261120T140900Z.ndjson')).toEqual([
    'a-0',
    'a-1',
    'a-2',
    'b-0',
    'b-1',
  ]);
  expect(await idsOf('00000002-20261121T000000Z.ndjson')).toEqual(['c-0']);
});

test('what a power cut left of a last line is cut off, and a person is told', async () => {
  await deliver(startSink().sink, 3, 'a');
  const [name] = await archived();
  const whole = await textOf(name!);
  const torn = whole + whole.slice(0, 100);
  for (const text of [torn, `${whole}${'x'.repeat(200_000)}`]) {
    await writeFile(join(folder, 'archive', name!), text);
    const { sink, parts } = startSink();
    await deliver(sink, 1, 'b');
    expect((await idsOf(name!)).slice(0, 4)).toEqual(['a-0', 'a-1', 'a-2', 'b-0']);
    expect(parts.log).toMatchObject([
      { level: 'warn', fields: { file: name, bytes: text.length - whole.length } },
    ]);
  }
});

test('a file of nothing but a torn line becomes empty', async () => {
  await mkdir(join(folder, 'archive'));
  await writeFile(join(folder, 'archive', '00000001-20261120T000000Z.ndjson'), '{"specver');
  await deliver(startSink().sink, 1, 'a');
  expect(await idsOf('00000001-20261120T000000Z.ndjson')).toEqual(['a-0']);
});

test('no more files are kept than asked for, and other files are left alone', async () => {
  await mkdir(join(folder, 'archive'));
  await writeFile(join(folder, 'archive', 'notes.txt'), 'mine');
  const { sink, parts } = startSink({ keep: 3, rotate: '1h' });
  for (let hour = 0; hour < 6; hour++) {
    now += 3_600_000;
    await deliver(sink, 1, `h${hour}`);
  }
  expect((await archived()).map((name) => name.slice(0, 8))).toEqual([
    '00000004',
    '00000005',
    '00000006',
    'notes.tx',
  ]);
  expect(parts.log.map(({ fields }) => fields.file)).toHaveLength(3);
});

test('the archive never holds more bytes than asked for', async () => {
  const batches = fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 20 }), passed: fc.nat(90_000_000) }),
    {
      minLength: 1,
      maxLength: 25,
    },
  );
  await fc.assert(
    fc.asyncProperty(batches, fc.integer({ min: 20_000, max: 60_000 }), async (steps, bytes) => {
      await rm(join(folder, 'archive'), { recursive: true, force: true });
      const { sink } = startSink({ keep: `${bytes}B`, rotateSize: 7_000 });
      for (const { count, passed } of steps) {
        now += passed;
        await deliver(sink, count, 'x');
        const sizes = await Promise.all(
          (await archived()).map(async (name) => (await stat(join(folder, 'archive', name))).size),
        );
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(bytes);
      }
    }),
    { numRuns: 20 },
  );
});

test('a clock that was wrong cannot make the newest file pass for the oldest', async () => {
  const { sink } = startSink({ keep: 2 });
  await deliver(sink, 1, 'a');
  now = 10_000;
  await deliver(sink, 1, 'b');
  now = Date.parse('2026-11-22T00:00:00Z');
  await deliver(sink, 1, 'c');
  expect(await archived()).toEqual([
    '00000002-19700101T000010Z.ndjson',
    '00000003-20261122T000000Z.ndjson',
  ]);
});

test('a file never grows beyond rotateSize, however large the batches are', async () => {
  const { sink } = startSink({ rotateSize: '20KiB' });
  await deliver(sink, 1_000, 'a');
  await deliver(sink, 700, 'b');
  const names = await archived();
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(folder, 'archive', name))).size),
  );
  expect(Math.max(...sizes)).toBeLessThanOrEqual(20_480);
  // And none is left much emptier than it need be.
  expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(19_000);
  const ids = (await Promise.all(names.map(idsOf))).flat();
  expect(ids).toEqual([...readingsOf(1_000, 'a'), ...readingsOf(700, 'b')].map(({ id }) => id));
});

test('an event larger than rotateSize has a file of its own', async () => {
  const { sink } = startSink({ rotateSize: '2KiB' });
  const large = { ...readingsOf(1, 'large')[0]!, subject: 'x'.repeat(5_000) };
  const events = [...readingsOf(1, 'a'), large, ...readingsOf(1, 'b')];
  await withConnection(sink, async (c) => await c.deliver(events, endless));
  expect(await Promise.all((await archived()).map(idsOf))).toEqual([['a-0'], ['large-0'], ['b-0']]);
});

test('both lanes of a sink write into one archive, and neither overwrites the other', async () => {
  const { sink } = startSink({ rotateSize: '4KiB' });
  const lanes = [await sink.connect(endless), await sink.connect(endless)];
  await Promise.all(
    Array.from({ length: 20 }, async (_, turn) => {
      await lanes[turn % 2]!.deliver(readingsOf(3, `t${turn}`), endless);
    }),
  );
  for (const lane of lanes) await lane.close();
  const ids = (await Promise.all((await archived()).map(idsOf))).flat();
  expect(ids).toHaveLength(60);
  expect(new Set(ids).size).toBe(60);
});

test('a connection says why the folder cannot be, and what to do', async () => {
  await writeFile(join(folder, 'file'), '');
  for (const path of ['file/archive', '/proc/nope/archive']) {
    const { sink } = startSink({ path });
    const error = await failureOf(sink.connect(endless));
    expect(error).toMatchObject({ code: 'GW_SINK_UNAVAILABLE' });
    expect(error.message).toMatch(/(is not a folder|cannot be created).*choose another path\.$/);
  }
});

describe('on a disk that fails', () => {
  const limits = { rotateMs: 86_400_000, rotateBytes: 1e6, keepFiles: 10, keepBytes: 1e9 };

  /** A real disk that tells what is done to it, and takes half of an append before it fails. */
  const watchedDisk = (done: string[]) => {
    const real = createFileDisk(folder);
    const state = { isFull: false };
    const disk: Disk = {
      ...real,
      async open(path) {
        const file = await real.open(path);
        done.push('open');
        // What is not watched is the real file's.
        return Object.assign(Object.create(file) as typeof file, {
          async append(bytes: Uint8Array) {
            done.push('append');
            if (!state.isFull) return await file.append(bytes);
            await file.append(bytes.subarray(0, bytes.length >> 1));
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          },
          async sync() {
            await file.sync();
            done.push('sync');
          },
        });
      },
      async syncFolder(path) {
        await real.syncFolder(path);
        done.push('syncFolder');
      },
    };
    return { disk, state };
  };

  test('events count as taken only when the bytes and the name of the file are synced', async () => {
    const done: string[] = [];
    const archive = await openArchive(watchedDisk(done).disk, limits, silentLogger);
    await archive.append(Buffer.from('{}\n'), now);
    await archive.append(Buffer.from('{}\n'), now);
    expect(done).toEqual(['open', 'syncFolder', 'append', 'sync', 'append', 'sync']);
    await archive.close();
  });

  test('a full disk throws, and leaves no half line behind for the next connection', async () => {
    const { disk, state } = watchedDisk([]);
    const archive = await openArchive(disk, limits, silentLogger);
    await archive.append(Buffer.from('{"a":1}\n'), now);
    state.isFull = true;
    expect(await failureOf(archive.append(Buffer.from('{"b":2}\n'), now))).toMatchObject({
      code: 'ENOSPC',
    });
    await archive.close();
    state.isFull = false;
    const next = await openArchive(disk, limits, silentLogger);
    await next.append(Buffer.from('{"b":2}\n'), now);
    await next.close();
    const [name] = await readdir(folder);
    expect(await readFile(join(folder, name!), 'utf8')).toBe('{"a":1}\n{"b":2}\n');
  });
});

test('when one lane fails, the other stops too, and both can begin anew', async () => {
  const { sink } = startSink({ rotateSize: 1 });
  const [one, two] = [await sink.connect(endless), await sink.connect(endless)];
  await one.deliver(readingsOf(1, 'a'), endless);
  await rm(join(folder, 'archive'), { recursive: true });
  await writeFile(join(folder, 'archive'), 'not a folder');
  await failureOf(one.deliver(readingsOf(1, 'b'), endless));
  await failureOf(two.deliver(readingsOf(1, 'c'), endless));
  await rm(join(folder, 'archive'));
  await one.close();
  await deliver(sink, 1, 'b');
  await two.close();
  await deliver(sink, 1, 'c');
  expect(await archived()).toHaveLength(2);
});

test.each([
  [{ rotate: '10ms' }, 'must be 1s at least'],
  [{ keep: 0 }, 'keep'],
  [{ keep: 'all' }, 'keep'],
  [{ path: '' }, 'path'],
])('options that cannot work are refused: %j', (options, words) => {
  const parsed = sinkKinds.file.options.safeParse({ path: 'archive', ...options });
  expect(JSON.stringify(parsed.error?.issues)).toContain(words);
});
