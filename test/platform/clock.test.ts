import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { SimClock } from '../sim/clock.ts';

test('the monotonic clock counts from the boot, in every process alike', () => {
  const clock = createSystemClock();
  const before = clock.monotonic();
  const other = execFileSync(process.execPath, ['-p', 'Number(process.hrtime.bigint()) / 1e6']);
  const after = clock.monotonic();
  expect(Number(other)).toBeGreaterThanOrEqual(before - 1);
  expect(Number(other)).toBeLessThanOrEqual(after + 1);
});

test('the boot has the name that the system gives it', () => {
  const path = '/proc/sys/kernel/random/boot_id';
  const { boot } = createSystemClock();
  if (existsSync(path)) expect(boot).toBe(readFileSync(path, 'utf8').trim());
  expect(boot).toMatch(/^[0-9a-f-]{36}$/);
});

test('sleeping takes its time and ends at once when it is aborted, with one listener for all', async () => {
  const clock = createSystemClock();
  const stop = new AbortController();
  const before = clock.monotonic();
  await clock.sleep(20, stop.signal);
  expect(clock.monotonic() - before).toBeGreaterThanOrEqual(19);
  for (let n = 0; n < 100; n++) await clock.sleep(0, stop.signal);
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
  const long = [1e12, 60_000, 0].map((ms) => clock.sleep(ms, stop.signal));
  stop.abort(new Error('enough'));
  for (const each of long) await expect(each).rejects.toThrow('enough');
  await expect(clock.sleep(5, stop.signal)).rejects.toThrow('enough');
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
});

test('simulated time passes only when told, and wakes sleepers in order, one at a time', async () => {
  const clock = new SimClock(1_000_000);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number, again = 0): Promise<void> => {
    await clock.sleep(ms);
    woken.push(`${name} ${clock.monotonic()}`);
    if (again > 0) await sleeper(`${name}'`, again);
  };
  void sleeper('late', 30);
  void sleeper('early', 10, 5);
  void sleeper('never', 101);
  await clock.settle();
  expect(woken).toEqual([]);
  clock.jump(-500_000);
  await clock.advance(100);
  expect(woken).toEqual(['early 10', "early' 15", 'late 30']);
  expect([clock.now(), clock.monotonic(), clock.sleeping]).toEqual([500_100, 100, 1]);
  const { boot } = clock;
  clock.reboot();
  expect([clock.monotonic(), clock.sleeping, clock.boot === boot]).toEqual([0, 0, false]);
});

test('a simulated sleep that is aborted rejects with the reason and is forgotten', async () => {
  const clock = new SimClock();
  const stop = new AbortController();
  const sleeping = clock.sleep(10, stop.signal);
  stop.abort(new Error('enough'));
  await expect(sleeping).rejects.toThrow('enough');
  expect(clock.sleeping).toBe(0);
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
});
