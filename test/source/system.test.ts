import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMachine } from '../../src/platform/machine.ts';
import { systemKind } from '../../src/source/system.ts';
import { eventually } from '../services/child.ts';
import { SimClock } from '../sim/clock.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidegate-machine-'));
});
afterEach(async () => {
  await stopRuns();
  await rm(root, { recursive: true });
});

const write = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
const paths = () => ({ proc: join(root, 'proc'), sys: join(root, 'sys') });

test('what a Raspberry Pi says becomes plain numbers', async () => {
  await write('sys/class/thermal/thermal_zone0/temp', '48312\n');
  await write('sys/devices/platform/soc/soc:firmware/get_throttled', '50005\n');
  await write('proc/loadavg', '0.52 0.58 0.59 1/467 12345\n');
  await write('proc/meminfo', 'MemTotal:  948304 kB\nMemFree: 1 kB\nMemAvailable:   474152 kB\n');
  await write('proc/uptime', '350735.47 234388.90\n');
  await write('proc/stat', 'cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2\n');
  const ask = openMachine(root, paths());
  expect(await ask()).toEqual({
    cpu_temperature: 48.3,
    load_1m: 0.52,
    load_5m: 0.58,
    load_15m: 0.59,
    memory_used: 50,
    memory_available_bytes: 474_152 * 1_024,
    disk_used: expect.any(Number),
    disk_available_bytes: expect.any(Number),
    uptime: 350_735,
    under_voltage: true,
    throttled: true,
    under_voltage_since_boot: true,
    throttled_since_boot: true,
  });
  await write('proc/stat', 'cpu  150 0 125 750 175 0 0 0 0 0\n');
  expect(await ask()).toMatchObject({ cpu_used: 37.5 });
});

test('what the machine does not know is left out', async () => {
  const { disk_used, disk_available_bytes, ...rest } = await openMachine(root, paths())();
  expect(rest).toEqual({});
  expect(disk_used).toBeGreaterThanOrEqual(0);
  expect(disk_available_bytes).toBeGreaterThan(0);
});

test('the machine is asked again and again, at the pace that was wanted', async () => {
  const clock = new SimClock();
  const source = systemKind.create(systemKind.options.parse({ every: '10s' }), {
    ...sourceParts('pi'),
    clock,
    dataFolder: root,
  });
  const run = await runSource(source);
  await eventually(async () => {
    await clock.advance(1_000);
    expect(run.messages).toHaveLength(3);
  });
  const times = run.messages.map(({ receivedAt }) => receivedAt);
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(10_000);
  expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(10_000);
  expect(run.messages[0]).toMatchObject({ topic: 'pi' });
  expect(JSON.parse(String(run.messages[1]!.payload))).toHaveProperty('disk_used');
  await run.stop();
});
