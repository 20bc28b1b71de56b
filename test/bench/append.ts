/**
 * The log by itself, on the real disk: readings of a 120-byte JSON payload, so many to a commit.
 * `node dist/test/bench/append.js` after `npm run build`.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Draft } from '../../src/event/event.ts';
import { BatchWriter } from '../../src/log/batch.ts';
import { EventDecoder } from '../../src/log/event-decoder.ts';
import { type GroupPlace, groupAt } from '../../src/log/group.ts';
import { createKeyring, noKeys } from '../../src/log/keyring.ts';
import type { Entry, EventLog, Position } from '../../src/log/log.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';

type Print = (line: string) => void;

const clock = createSystemClock();
const never = new AbortController().signal;
const devices = 100;

/** What a device sends, about 120 bytes of it. */
const payloadOf = (i: number) => ({
  temperature: Math.round(2_000 + (i % 977)) / 100,
  humidity: 40.2,
  pressure: Math.round(10_132 + (i % 71)) / 10,
  battery: 3.71,
  rssi: -67 - (i % 13),
  uptime: 100_000 + i,
  firmware: '2.14.1',
});
const payloadBytes = JSON.stringify(payloadOf(1)).length;

/** Every message is decoded anew, so nothing is shared but what a mapping shares. */
function draftsOf(count: number): Draft[] {
  const tags = { site: 'north' };
  const time = clock.now();
  return Array.from({ length: count }, (_, i) => ({
    type: 'reading',
    source: '/gateways/greenhouse-pi/broker',
    subject: `gh-${String(i % devices).padStart(2, '0')}`,
    time: time + (i % 50),
    data: { measurement: 'climate', tags, fields: JSON.parse(JSON.stringify(payloadOf(i))) },
  }));
}

const sealed = createKeyring(randomBytes(32));

async function openLog(
  folder: string,
  keys = noKeys,
  commitDelayMs = 0,
): Promise<{ log: EventLog; metrics: Metrics }> {
  const metrics = createMetrics();
  const parts = { disk: createFileDisk(folder), clock, random: systemRandom, metrics, keys };
  const log = await openEventLog(
    { ...parts, logger: silentLogger, readers: () => [] },
    { maxBytes: 2 ** 32, whenFull: 'dropOldest', commitDelayMs },
  );
  return { log, metrics };
}

const writtenBytes = async (metrics: Metrics): Promise<number> =>
  (await metrics.writtenBytes.get()).values[0]?.value ?? 0;

/** Bytes this process has caused to be sent to the disk; whole pages, as the kernel counts. */
const processBytes = (): number =>
  Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1] ?? 0);

async function benchCommits(
  folder: string,
  print: Print,
  sizes: readonly number[],
  keys = noKeys,
): Promise<void> {
  const drafts = draftsOf(20_000);
  const kind = keys === noKeys ? '' : ', encrypted';
  for (const perCommit of sizes) {
    const { log, metrics } = await openLog(join(folder, `commits-${perCommit}${kind}`), keys);
    const commits = Math.min(3_000, Math.ceil(1_000_000 / perCommit));
    let next = 0;
    const commit = async (): Promise<void> => {
      const appends: Promise<Position>[] = [];
      for (let i = 0; i < perCommit; i++) appends.push(log.append([drafts[next++ % 20_000]!]));
      await Promise.all(appends);
    };
    for (let i = 0; i < 200; i++) await commit();
    const [bytes, process] = [await writtenBytes(metrics), processBytes()];
    const begun = clock.monotonic();
    for (let i = 0; i < commits; i++) await commit();
    const ms = clock.monotonic() - begun;
    const payload = commits * perCommit * payloadBytes;
    const rate = Math.round((commits * perCommit * 1_000) / ms).toLocaleString('en');
    const perPayload = ((await writtenBytes(metrics)) - bytes) / payload;
    const pagesPerPayload = (processBytes() - process) / payload;
    print(
      `${String(perCommit).padStart(5)} per commit${kind}: ${rate.padStart(9)} events/s, ` +
        `${((ms * 1_000) / commits).toFixed(0)} µs a commit, written ${perPayload.toFixed(2)} x ` +
        `payload, to the disk ${pagesPerPayload.toFixed(2)} x`,
    );
    await log.close();
  }
}

/** What waiting for company costs and spares, with so many devices that publish once a second. */
async function benchDelay(folder: string, print: Print): Promise<void> {
  const drafts = draftsOf(20_000);
  const seconds = 5;
  for (const perSecond of [20, 200]) {
    for (const delayMs of [0, 50, 200, 1_000]) {
      const name = `delay-${perSecond}-${delayMs}`;
      const { log, metrics } = await openLog(join(folder, name), noKeys, delayMs);
      const waited: number[] = [];
      const all: Promise<void>[] = [];
      const [bytes, process] = [await writtenBytes(metrics), processBytes()];
      const begun = clock.monotonic();
      for (let i = 0; i < perSecond * seconds; i++) {
        await clock.sleep(begun + (i * 1_000) / perSecond - clock.monotonic());
        const at = clock.monotonic();
        all.push(
          log.append([drafts[i]!]).then(() => {
            waited.push(clock.monotonic() - at);
          }),
        );
      }
      await Promise.all(all);
      waited.sort((a, b) => a - b);
      const payload = perSecond * seconds * payloadBytes;
      const perPayload = ((await writtenBytes(metrics)) - bytes) / payload;
      const toDisk = (processBytes() - process) / payload;
      const of = (share: number): string =>
        waited[Math.floor((waited.length - 1) * share)]!.toFixed(0);
      const commits = (await metrics.commitSeconds.get()).values.find(({ metricName }) =>
        metricName?.endsWith('_count'),
      )!.value;
      print(
        `${perSecond}/s, commitDelayMs ${delayMs}: ${(commits / seconds).toFixed(1)} commits/s, ` +
          `written ${perPayload.toFixed(2)} x payload, to the disk ${toDisk.toFixed(1)} x, ` +
          `answered after ${of(0.5)} ms, 99 of 100 within ${of(0.99)} ms`,
      );
      await log.close();
    }
  }
}

async function benchReading(folder: string, print: Print): Promise<void> {
  const count = 1_000_000;
  const drafts = draftsOf(20_000);
  const { log } = await openLog(folder);
  for (let i = 0; i < count; i += 1_000) {
    const from = i % 20_000;
    await log.append(drafts.slice(from, from + 500));
    await log.append(drafts.slice(from + 500, from + 1_000));
  }
  for (const limit of [500, 500, 5_000]) {
    const reader = log.reader(0 as Position);
    let entries = 0;
    const begun = clock.monotonic();
    while (!reader.caughtUp) entries += (await reader.next(limit, never)).length;
    const ms = clock.monotonic() - begun;
    reader.close();
    print(`read from disk, ${limit} at a time: ${rateOf(entries, ms)} events/s`);
  }
  await log.close();
  const begun = clock.monotonic();
  const opened = await openLog(folder);
  const ms = (clock.monotonic() - begun).toFixed(1);
  print(`open a log of ${opened.log.last.toLocaleString('en')} events: ${ms} ms`);
  await opened.log.close();
}

async function benchTail(folder: string, print: Print): Promise<void> {
  const { log } = await openLog(folder);
  const drafts = draftsOf(20_000);
  const reader = log.reader(0 as Position);
  let entries = 0;
  let ms = 0;
  for (let round = 0; round < 50; round++) {
    await log.append(drafts.slice(0, 10_000));
    const begun = clock.monotonic();
    while (!reader.caughtUp) entries += (await reader.next(500, never)).length;
    ms += clock.monotonic() - begun;
  }
  print(`read from memory, 500 at a time: ${rateOf(entries, ms)} events/s`);
  reader.close();
  await log.close();
}

const rateOf = (count: number, ms: number): string =>
  Math.round((count * 1_000) / ms).toLocaleString('en');

/** No disk: what the processor does for one event, in commits of so many. */
function benchCodec(print: Print, perCommit: number, keys = noKeys): void {
  const logId = 7;
  const drafts = draftsOf(20_000);
  const sealing = keys.current && { key: keys.current, random: systemRandom };
  const writer = new BatchWriter(logId, clock, 1, sealing);
  const decoder = new EventDecoder(logId, keys);
  const resolve = (): void => {};
  let best = { encode: Number.POSITIVE_INFINITY, decode: Number.POSITIVE_INFINITY };
  for (let round = 0; round < 12; round++) {
    const batches: Buffer[] = [];
    let begun = clock.monotonic();
    for (let i = 0; i < drafts.length; ) {
      for (let end = i + perCommit; i < end; i++)
        writer.add({ drafts: [drafts[i]!], resolve, reject: resolve });
      const { bytes, groups } = writer.take();
      let from = 0;
      for (const { end } of groups) {
        batches.push(bytes.subarray(from, end));
        from = end;
      }
    }
    const encode = clock.monotonic() - begun;
    begun = clock.monotonic();
    for (const bytes of batches) {
      const entries: Entry[] = [];
      decoder.open(bytes, groupAt(bytes, 0, logId) as GroupPlace);
      decoder.take(perCommit, 0, entries);
    }
    const decode = clock.monotonic() - begun;
    best = { encode: Math.min(best.encode, encode), decode: Math.min(best.decode, decode) };
  }
  const nsOf = (ms: number): string => ((ms * 1e6) / drafts.length).toFixed(0);
  const kind = keys === noKeys ? 'in plain' : 'encrypted';
  print(
    `${perCommit} per commit ${kind}: encode ${nsOf(best.encode)} ns an event, ` +
      `decode ${nsOf(best.decode)} ns`,
  );
}

export async function run(print: Print): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
  try {
    print(`payload ${payloadBytes} bytes, 7 fields, ${devices} devices`);
    for (const perCommit of [100, 1_000]) {
      benchCodec(print, perCommit);
      benchCodec(print, perCommit, sealed);
    }
    await benchCommits(folder, print, [1, 10, 100, 1_000]);
    await benchCommits(folder, print, [10, 100, 1_000], sealed);
    await benchDelay(folder, print);
    await benchReading(join(folder, 'reading'), print);
    await benchTail(join(folder, 'tail'), print);
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run((line) => process.stdout.write(`${line}\n`));
}
