import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { openLog } from '../log/opened.ts';
import { runCommand, startCommand } from './command-line.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-log-command-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const run = (...given: string[]) =>
  runCommand(['log', ...given, '--data', folder], { cwd: folder });
const open = () => openLog(createFileDisk(folder), {}, createSystemClock());

function reading(n: number, device = `d${n % 2}`): Draft {
  return {
    type: 'reading',
    source: '/gateways/g/broker',
    subject: device,
    time: Date.parse('2026-11-20T14:09:00Z') + n,
    data: { measurement: 'climate', tags: { site: 'north hall' }, fields: { n, on: true } },
  };
}
const alert: Draft = {
  type: 'alert',
  source: '/gateways/g/rules/hot',
  subject: 'd\u001b[31m1',
  time: Date.parse('2026-11-20T14:09:01Z'),
  data: {
    rule: 'hot',
    state: 'firing',
    incident: 'i1',
    severity: 'warning',
    since: '2026-11-20T14:09:00Z',
    summary: 'd1 is hot',
  },
};

/** A closed log with ten readings and an alert. */
async function write(): Promise<void> {
  const { log } = await open();
  await log.append(Array.from({ length: 10 }, (_, n) => reading(n)));
  await log.append([alert]);
  await log.close();
}

/** Names, sizes and times of all that is in the data folder. */
function state(): unknown {
  return readdirSync(folder, { recursive: true })
    .map((name) => [name, statSync(join(folder, String(name)))] as const)
    .map(([name, { size, mtimeMs }]) => [name, size, mtimeMs]);
}

test('stat says how much there is and since when', async () => {
  await write();
  const table = await run('stat');
  expect(table.status).toBe(0);
  expect(table.out).toContain(`folder  ${folder}\n`);
  expect(table.out).toContain('events  11, at positions 1 to 11\n');
  const { out } = await run('stat', '--json');
  expect(JSON.parse(out)).toMatchObject({ folder, events: 11, first: 1, last: 11, segments: 1 });
  expect(Date.parse(JSON.parse(out).lastTime)).toBeLessThanOrEqual(Date.now());
});

test('stat of a gateway that has recorded nothing says so', async () => {
  const { status, out } = await run('stat');
  expect([status, out]).toEqual([0, expect.stringContaining('events  none\n')]);
});

test('export is one CloudEvent per line, in order', async () => {
  await write();
  const { status, out, err } = await run('export');
  expect([status, err]).toEqual([0, '']);
  const events = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events).toHaveLength(11);
  expect(events[3]).toMatchObject({
    specversion: '1.0',
    type: 'io.tidegate.reading.v1',
    subject: 'd1',
    data: { fields: { n: 3 } },
  });
  expect(events[10].type).toBe('io.tidegate.alert.v1');
});

test('export and tail leave out what was not asked for', async () => {
  await write();
  const lines = async (...given: string[]) =>
    (await run('export', ...given)).out.split('\n').filter((line) => line !== '').length;
  expect(await lines('--type', 'alert')).toBe(1);
  expect(await lines('--type', 'io.tidegate.alert.v1,reading')).toBe(11);
  expect(await lines('--type', 'gap')).toBe(0);
  expect(await lines('--device', 'd0')).toBe(5);
  expect(await lines('--device', 'd?')).toBe(10);
  expect(await lines('--device', 'd0', '--type', 'alert')).toBe(0);
  expect(await lines('--from', '1h')).toBe(11);
  expect(await lines('--to', '1h')).toBe(0);
  expect(await lines('--from', '2100-01-01')).toBe(0);
});

test('tail shows the newest, then what comes, until Ctrl-C', async () => {
  await write();
  const { log } = await open();
  const tail = startCommand(['log', 'tail', '-n', '2', '--data', folder], { cwd: folder });
  await vi.waitFor(() => expect(tail.out().split('\n')).toHaveLength(3), { timeout: 5_000 });
  const [newest, last] = tail.out().split('\n');
  expect(newest).toBe(
    '10 2026-11-20T14:09:00.009Z reading d1 climate n=9 on=true site="north hall"',
  );
  // What a device calls itself must not steer the terminal.
  expect(last).toBe(
    '11 2026-11-20T14:09:01.000Z alert d\\u001b[31m1 firing warning hot: d1 is hot',
  );
  await log.append([reading(20), reading(21)]);
  await vi.waitFor(() => expect(tail.out()).toContain('13 2026-11-20T14:09:00.021Z reading'), {
    timeout: 5_000,
  });
  await log.append([reading(22)]);
  await vi.waitFor(() => expect(tail.out()).toContain('14 2026-11-20T14:09:00.022Z reading'), {
    timeout: 5_000,
  });
  tail.stop();
  expect(await tail.status).toBe(0);
  expect(tail.out().trimEnd().split('\n')).toHaveLength(5);
  await log.close();
});

test('tail can speak JSON, begin with nothing, and end at a time', async () => {
  await write();
  const ended = await run('tail', '--json', '--from', '1h', '--to', '0s');
  expect(ended.status).toBe(0);
  expect(
    ended.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).specversion),
  ).toEqual(new Array(11).fill('1.0'));
  expect((await run('tail', '-n', '0', '--to', '0s')).out).toBe('');
});

test('looking changes nothing', async () => {
  await write();
  const before = state();
  for (const command of ['stat', 'export', 'verify']) expect((await run(command)).status).toBe(0);
  expect(state()).toEqual(before);
});

test('verify is 0 for a whole log, and 1 with the place of what is damaged', async () => {
  await write();
  const whole = await run('verify');
  expect([whole.status, whole.out]).toEqual([0, '']);
  expect(whole.err).toBe('Nothing is damaged: 11 events in 1 segment.\n');
  const [segment] = readdirSync(join(folder, 'log'));
  const path = join(folder, 'log', segment!);
  const bytes = readFileSync(path);
  bytes[100]! ^= 0xff;
  writeFileSync(path, bytes);
  const damaged = await run('verify');
  expect(damaged.status).toBe(1);
  expect(damaged.out).toMatch(new RegExp(`^log/${segment}: byte \\d+: .*damaged`));
  const json = await run('verify', '--json');
  expect(JSON.parse(json.out.split('\n')[0]!)).toMatchObject({ path: `log/${segment}` });
});

test('the data folder is that of the configuration, unless --data names another', async () => {
  const data = join(folder, 'kept');
  const { log } = await openLog(createFileDisk(data), {}, createSystemClock());
  await log.append([reading(1)]);
  await log.close();
  writeFileSync(join(folder, 'tidegate.yaml'), 'data: { dir: kept }\n');
  const { out } = await runCommand(['log', 'stat', '--json'], { cwd: folder });
  expect(JSON.parse(out)).toMatchObject({ folder: data, events: 1 });
});

test('a data folder that is not there is an error, not an empty log', async () => {
  const missing = runCommand(['log', 'stat', '--data', 'nowhere'], { cwd: folder });
  await expect(missing).rejects.toMatchObject({ code: 'GW_DATA_UNREADABLE' });
  await expect(missing).rejects.toThrow(`${join(folder, 'nowhere')} does not exist`);
});
