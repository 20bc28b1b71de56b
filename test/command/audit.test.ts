import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AuditReport, tableOf } from '../../src/command/audit-table.ts';
import type { Draft } from '../../src/event/event.ts';
import type { Tally } from '../../src/flow/account.ts';
import { openLane } from '../../src/flow/lane.ts';
import type { Position } from '../../src/log/log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { openLog } from '../log/opened.ts';
import { runCommand } from './command-line.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-audit-command-'));
  writeFileSync(
    join(folder, 'tidegate.yaml'),
    `data: { dir: data }
admin: { listen: '127.0.0.1:1' }
sinks:
  record: { kind: file, path: archive, select: { type: [reading, alert] } }
`,
  );
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const run = (...given: string[]) => runCommand(['audit', ...given], { cwd: folder });

const drafts = (count: number): Draft[] =>
  Array.from({ length: count }, (_, n) => ({
    type: 'reading',
    source: '/gateways/g/broker',
    subject: 'd1',
    time: Date.parse('2026-11-20T14:09:00Z') + n,
    data: { measurement: 'climate', tags: {}, fields: { n } },
  }));

/** Twelve readings and a heartbeat; the readings' lane has done with the first six. */
async function write(tally: Tally, segmentBytes = 1_000_000): Promise<void> {
  const disk = createFileDisk(join(folder, 'data'));
  const { log, cursors } = await openLog(disk, { segmentBytes }, createSystemClock());
  const start = () => 0 as Position;
  const readings = openLane(cursors.open('record/readings', start), log.last);
  const alerts = openLane(cursors.open('record/alerts', start), log.last);
  for (const draft of drafts(12)) await log.append([draft]);
  await log.append([
    { type: 'heartbeat', source: '/gateways/g', subject: 'g', time: 0, data: { lag: {} } },
  ]);
  readings.live.commit(6 as Position, tally);
  alerts.live.commit(13 as Position, { unwanted: 13 });
  await cursors.close();
  await log.close();
}

test('books that balance are a table, and exit status 0', async () => {
  await write({ delivered: 5, rejected: 1, unrecorded: 1 });
  const { status, out } = await run();
  expect(status, out).toBe(0);
  expect(out).toBe(
    `sink    received  delivered  waiting  rejected  expired  dropped  difference
record        12          5        6         1        0        0           0
total         12          5        6         1        0        0           0
`,
  );
  const json = JSON.parse((await run('--json')).out);
  expect(json).toMatchObject({ isRunning: false, first: 1, last: 13 });
  expect(json.total).toMatchObject({ received: 12, waiting: 6, difference: 0 });
  expect(json.sinks[0].lanes).toHaveLength(2);
});

test('an event that nobody accounts for is exit status 1', async () => {
  await write({ delivered: 5 });
  const { status, out } = await run();
  expect(status).toBe(1);
  expect(out).toContain('record/readings: the books do not balance by 1 events.');
});

test('what should wait in the log and is not there is named by position', async () => {
  await write({ delivered: 6 }, 300);
  const files = readdirSync(join(folder, 'data/log')).sort();
  const gone = files.findIndex((name) => Number.parseInt(name, 10) > 6);
  const [from, behind] = [gone, gone + 1].map((at) => Number.parseInt(files[at]!, 10));
  rmSync(join(folder, 'data/log', files[gone]!));
  const { status, out } = await run();
  expect(status).toBe(1);
  const lost = behind! - from!;
  const where = lost === 1 ? `position ${from}` : `positions ${from} to ${behind! - 1}`;
  expect(out).toContain(`record/readings: ${where} (${lost} event`);
  expect(out).toContain('MISSING');
  expect(out.split('\n')[1]).toMatch(new RegExp(` ${lost}$`));
});

test('--recount finds a rejection that there is no event of', async () => {
  await write({ delivered: 5, rejected: 1 });
  expect((await run()).status).toBe(0);
  const { status, out } = await run('--recount');
  expect(status).toBe(1);
  expect(out).toContain('record: the books say 1 rejected, the log says 0.');
});

test('--recount of books that the log agrees with says so', async () => {
  await write({ delivered: 6 });
  const { status, out } = await run('--recount');
  expect([status, out]).toEqual([0, expect.stringContaining('Counted again from the log: it')]);
});

test('an audit changes nothing', async () => {
  await write({ delivered: 6 });
  const state = () =>
    readdirSync(join(folder, 'data'), { recursive: true })
      .map((name) => [name, statSync(join(folder, 'data', String(name)))] as const)
      .map(([name, { size, mtimeMs }]) => [name, size, mtimeMs]);
  const before = state();
  await run('--recount');
  expect(state()).toEqual(before);
});

test('where sinks received different numbers after a loss, it is said why, and where', () => {
  const none = { waiting: 0, rejected: 0, expired: 0, difference: 0, backlog: 0, missing: [] };
  const lost = { ...none, received: 110, delivered: 80, dropped: 30 };
  const whole = { ...none, received: 100, delivered: 100, dropped: 0, drops: [] };
  const report = {
    ...{ folder: 'data', isRunning: false, first: 1, last: 120, total: { ...lost, received: 210 } },
    unread: [],
    sinks: [
      { ...lost, sink: 'cloud', drops: [{ from: 41, to: 70 }], lanes: [] },
      { ...whole, sink: 'archive', lanes: [] },
    ],
  };
  const lines = tableOf(report as unknown as AuditReport).split('\n');
  expect(lines).toContain(
    'cloud: positions 41 to 70 (30 events) dropped: no longer in the log when their turn came.',
  );
  expect(lines.join('\n')).toContain('What was dropped counts as received');
  const even = { ...report, sinks: [report.sinks[1], { ...report.sinks[1], sink: 'other' }] };
  expect(tableOf(even as unknown as AuditReport)).not.toContain('counts as received');
});

test('a lane whose cursor is damaged is named, and the books without it are no success', async () => {
  await write({ delivered: 5, rejected: 1, unrecorded: 1 });
  const path = join(folder, 'data', 'cursors');
  const bytes = readFileSync(path);
  const at = bytes.indexOf('"delivered":5');
  bytes[at + 3]! ^= 1;
  writeFileSync(path, bytes);
  const { status, out } = await run();
  expect(status).toBe(1);
  expect(out).toContain(
    'record/readings: its cursor could not be read (the file cursors is damaged). The books are INCOMPLETE.',
  );
  expect(out).not.toContain('record/alerts: its cursor');
  const json = JSON.parse((await run('--json')).out);
  expect(json.unread).toEqual(['record/readings']);
});

test('damage to a cursor that no books are in leaves the books whole', async () => {
  await write({ delivered: 5, rejected: 1, unrecorded: 1 });
  const path = join(folder, 'data', 'cursors');
  const [heading, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n');
  const more = `${heading!.replace(/\d+$/, (count) => `${Number(count) + 1}`)}\n`;
  writeFileSync(
    path,
    `${more}${lines.join('\n')}\n00000000 {"name":"rules","position":1,"state":null}\n`,
  );
  expect((await run()).status).toBe(0);
  expect(JSON.parse((await run('--json')).out).unread).toEqual([]);
});
