import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { onAbort } from './aborting.ts';
import type { Clock, ClockQuality } from './clock.ts';

/** Longer delays overflow the timers of Node and would fire at once. */
const timerMaxMs = 2 ** 31 - 1;
const qualityEveryMs = 1_000;
const stepMs = 1_000;
/** Midnight of 1 January 2026: no clock that shows an earlier time has been set. */
const earliestTime = 1_767_225_600_000;
const timesyncFolder = '/run/systemd/timesync';

/**
 * The clocks of this machine. `monotonic` counts from its boot, so it goes on where it was when the
 * process starts again. `sleep(0)` resolves as soon as the input that is ready has been handled.
 */
export function createSystemClock(): Clock {
  // Both count CLOCK_MONOTONIC, but reading `performance.now` is several times faster.
  const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  const monotonic = (): number => performance.now() + offsetMs;
  let quality: ClockQuality = qualityOf();
  let qualityAt = monotonic();
  let startedAt = Date.now() - qualityAt;
  return {
    now: Date.now,
    monotonic,
    boot: bootId(),
    quality() {
      const now = monotonic();
      const wall = Date.now();
      // Who sets the clock most often steps it: that is seen at once, and costs no look at a file.
      if (now - qualityAt >= qualityEveryMs || Math.abs(wall - now - startedAt) > stepMs) {
        quality = qualityOf();
        qualityAt = now;
        startedAt = wall - now;
      }
      return quality;
    },
    sleep,
  };
}

/**
 * `unsynchronised` before 2026, and while systemd-timesyncd runs and has not set the clock, which it
 * is the only one to say in a file. Whoever else keeps the clock (chrony, ntpd, a container's host)
 * is believed: `unknown`.
 */
function qualityOf(): ClockQuality {
  if (Date.now() < earliestTime) return 'unsynchronised';
  if (existsSync(`${timesyncFolder}/synchronized`)) return 'synchronised';
  return existsSync(timesyncFolder) ? 'unsynchronised' : 'unknown';
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return randomUUID();
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    let stop: () => void;
    const settled =
      signal &&
      onAbort(signal, () => {
        stop();
        reject(signal.reason);
      });
    const wait = (leftMs: number): void => {
      if (leftMs > timerMaxMs) {
        const timer = setTimeout(wait, timerMaxMs, leftMs - timerMaxMs);
        stop = () => clearTimeout(timer);
        return;
      }
      const done = (): void => {
        settled?.();
        resolve();
      };
      if (leftMs > 0) {
        const timer = setTimeout(done, leftMs);
        stop = () => clearTimeout(timer);
      } else {
        const immediate = setImmediate(done);
        stop = () => clearImmediate(immediate);
      }
    };
    wait(ms);
  });
}
