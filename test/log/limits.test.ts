/** Limits that no test of their own part holds. `docs/operating.md` lists all of them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createDisplay } from '../../src/command/display.ts';
import type { CloudEvent } from '../../src/event/event.ts';
import { added, createAccount, dropsMax } from '../../src/flow/account.ts';
import { createAnnouncer } from '../../src/flow/announce.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import type { Entry } from '../../src/log/log.ts';
import { createTail } from '../../src/log/tail.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createBoots, type Stamped } from '../../src/projection/boots.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { createHeard, openLog, positionOf, readAll, readingOf, watch } from './opened.ts';

test('every limit that is documented names tests that exist', () => {
  const text = readFileSync(join(root, 'docs/operating.md'), 'utf8');
  const section = text.slice(text.indexOf('\n## Limits'), text.indexOf('\n**A long backlog'));
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| what/.test(line));
  expect(rows.length).toBeGreaterThan(40);
  for (const row of rows) {
    const cells = row.split('|').map((cell) => cell.trim());
    const names = [...cells.at(-2)!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    expect(names.length, row).toBeGreaterThan(0);
    for (const name of names) {
      const path = join(root, 'test', name);
      const found = ['', '.test.ts', '.sim.test.ts', '.ts'].some((end) => existsSync(path + end));
      expect(found, `${name} in ${row}`).toBe(true);
    }
  }
});
const root = join(import.meta.dirname, '../..');

test('a display counts devices up to a number, and says that there are more', async () => {
  const clock = new SimClock();
  let text = '';
  const out = { isTerminal: true, columns: 200, write: (more: string) => (text += more) };
  const display = createDisplay({ out, clock, color: false, tellParent: () => {} });
  display.started({ addresses: [], admin: 'http://127.0.0.1:1', dataDir: '/data' });
  for (let n = 0; n < 12_000; n++) {
    const reading = readingOf(1);
    display.event({ ...reading, subject: `device-${n}` } as unknown as CloudEvent);
  }
  await clock.advance(5_000);
  expect(text).toMatch(/10\D?000\+ devices/);
  display.stopped({ received: 0, stored: 0, delivered: 0 });
});

const entriesFrom = (first: number, count: number): Entry[] =>
  Array.from({ length: count }, (_, i) => ({ position: first + i }) as Entry);

test('what is kept in memory for readers is bounded by its size and by its count', () => {
  const byBytes = createTail(0, 1_000_000);
  for (let first = 1; first <= 100_000; first += 100) {
    byBytes.push(entriesFrom(first, 100), 100 * 250);
  }
  // Some 1,400 bytes of heap for an entry of 250 bytes on disk.
  expect(byBytes.last - byBytes.first).toBeLessThan(800);
  const byCount = createTail(0, Number.POSITIVE_INFINITY);
  for (let first = 1; first <= 200_000; first += 1_000) {
    byCount.push(entriesFrom(first, 1_000), 1_000);
  }
  expect([byCount.last, byCount.last - byCount.first + 1]).toEqual([200_000, 65_536]);
});

test('cursors of readers that are gone are kept up to a number, the newest of them', async () => {
  let disk = new SimDisk();
  const clock = new SimClock();
  for (let life = 0; life < 3; life++) {
    const parts = { disk, clock, logger: createHeard(), metrics: createMetrics() };
    const cursors = await openCursorStore({ ...parts, random: seededRandom(1) });
    for (let n = 0; n < 80; n++) {
      const cursor = cursors.open(`sink-${life}-${n}`, () => positionOf(0));
      cursor.begin();
      cursor.commit(positionOf(life * 100 + n));
    }
    await cursors.close();
    disk = disk.restart();
  }
  const lines = Buffer.from(disk.bytesOf('cursors')).toString().trimEnd().split('\n').slice(1);
  expect(lines).toHaveLength(180);
  expect(lines.filter((line) => line.includes('"sink-2-'))).toHaveLength(80);
  expect(lines.filter((line) => line.includes('"sink-1-'))).toHaveLength(80);
  expect(lines.some((line) => line.includes('"sink-0-79"'))).toBe(true);
  expect(lines.some((line) => line.includes('"sink-0-59"'))).toBe(false);
});

test('alerts that are announced are bounded in topics and in incidents of one', () => {
  const retained = new Map<string, string>();
  const announcer = createAnnouncer((topic, payload) => {
    if (payload === '') retained.delete(topic);
    else retained.set(topic, payload);
  }, createMetrics());
  const fire = (subject: string, incident: string): void => {
    const data = {
      ...{ rule: 'hot', state: 'firing', incident, severity: 'warning' },
      ...{ since: '2026-11-20T12:00:00.000Z', summary: '' },
    };
    const event = {
      type: 'alert',
      id: incident,
      source: '/x',
      subject,
      time: 1,
      recordedTime: 1,
      data,
    };
    announcer.step(event as unknown as Entry);
  };
  for (let n = 0; n < 10_100; n++) fire(`device-${n}`, `i-${n}`);
  expect(retained.size).toBe(10_000);
  for (let n = 0; n < 300; n++) fire('device-10099', `more-${n}`);
  expect(announcer.snapshot()).toHaveLength(9_999 + 100);
});

test('boots of a machine whose clock is never right are bounded', () => {
  const boots = createBoots();
  for (let n = 0; n < 500; n++) {
    const stamp = { boot: `boot-${n}`, monotonic: 1, clock: 'unsynchronised', position: n + 1 };
    const event = { type: 'heartbeat', recordedTime: 5, time: 5, data: { lag: {} }, ...stamp };
    boots.step(event as unknown as Stamped);
  }
  expect((boots.snapshot() as unknown as { boots: unknown[] }).boots.length).toBeLessThanOrEqual(
    64,
  );
});

test('the books of a lane name a bounded number of places, however often something is dropped', () => {
  let account = createAccount(0);
  for (let n = 0; n < 1_000; n++) {
    account = added(account, { dropped: 1 }, { from: n * 10, to: n * 10 });
  }
  expect([account.dropped, account.drops.length]).toEqual([1_000, dropsMax]);
});

test('what waits to be written is encoded up to a limit, and no reader sees it meanwhile', async () => {
  const disk = new SimDisk();
  const { log, clock } = await openLog(disk, { waitingBytes: 2_000 });
  disk.full = true;
  const appends = Array.from({ length: 500 }, (_, n) => watch(log.append([readingOf(n)])));
  await clock.advance(5_000);
  expect(appends.some(({ settled }) => settled)).toBe(false);
  expect(await readAll(log)).toEqual([]);
  disk.full = false;
  await clock.advance(2_000);
  expect(appends.map(({ value }) => value)).toEqual(appends.map((_, n) => n + 1));
});
