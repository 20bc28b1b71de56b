import type { Cursor } from '../log/cursor.ts';
import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { type Boots, clockReasons, createBoots, type Stamped } from '../projection/boots.ts';
import { createTiming, type Timing, type WaitingTiming } from './clock.ts';
import { recordGap } from './gap.ts';
import { project } from './project.ts';

const pollMs = 20;
const restlessMs = 1_000;
const restfulMs = 10_000;
const stepMs = 1_000;

export interface TimekeepingParts {
  readonly gateway: string;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How long deliveries wait for the clock to be set. */
  readonly waitForClockMs: number;
}

export interface Timekeeping {
  readonly timing: Timing;
  /** Whether no clock was ever unset or stepped: then the log is in the order of time. */
  isSteady(): boolean;
  /** Reads corrections and records new ones, until aborted; then rejects. */
  run(signal: AbortSignal): Promise<unknown>;
}

/** What the log knows of the wall clock, read with that cursor, and what becomes of it from now on. */
export function openTimekeeping(cursor: Cursor, parts: TimekeepingParts): Timekeeping {
  const { clock, log } = parts;
  const { last } = log;
  const boots = createBoots();
  boots.restore(cursor.state);
  const isCurrent = (): boolean => cursor.position >= last;
  const timing = createTiming(boots, { clock, isCurrent });
  const projection = {
    accepts: (entry: unknown) => boots.accepts(entry as Stamped),
    step: timing.step,
    snapshot: boots.snapshot,
  };
  const onHole = (hole: Parameters<typeof recordGap>[0]) =>
    recordGap(hole, { ...parts, reader: cursor.name });
  return {
    timing,
    isSteady: () => isCurrent() && boots.isSteady,
    run: (signal) =>
      Promise.all([
        project(projection, cursor, { log, clock, onHole }, signal),
        watchClock({ ...parts, boots, timing, isCurrent }, signal),
      ]),
  };
}

interface WatchParts extends TimekeepingParts {
  readonly boots: Boots;
  readonly timing: WaitingTiming;
  readonly isCurrent: () => boolean;
}

/**
 * Records in the log what becomes of the wall clock: that it was set, stepped by more than a second,
 * or not set in time. Looks once a second while it is not set, else every ten. Runs until aborted.
 */
async function watchClock(parts: WatchParts, signal: AbortSignal): Promise<never> {
  const { clock, boots, isCurrent } = parts;
  while (!isCurrent()) await clock.sleep(pollMs, signal);
  void giveUpInTime(parts, signal).catch(() => {});
  let was = look(clock);
  for (;;) {
    const now = look(clock);
    const movedMs = Math.round(now.startedAt - was.startedAt);
    // Also when the clock was set while the gateway was not running.
    if (now.isSet && boots.isUnknown(clock.boot)) await record(clockReasons.set, movedMs, parts);
    else if (Math.abs(movedMs) > stepMs) await record(clockReasons.stepped, movedMs, parts);
    was = now;
    await clock.sleep(now.isSet ? restfulMs : restlessMs, signal);
  }
}

function look(clock: Clock) {
  return {
    startedAt: clock.now() - clock.monotonic(),
    isSet: clock.quality() !== 'unsynchronised',
  };
}

async function giveUpInTime(parts: WatchParts, signal: AbortSignal): Promise<void> {
  const { clock, boots, timing } = parts;
  if (boots.isGivenUp(clock.boot)) return;
  await clock.sleep(parts.waitForClockMs, signal);
  if (clock.quality() !== 'unsynchronised') return;
  timing.giveUp();
  if (parts.waitForClockMs > 0) await record(clockReasons.givenUp, 0, parts);
}

async function record(reason: string, offsetMs: number, parts: WatchParts): Promise<void> {
  const { gateway, clock, log, logger } = parts;
  logger.warn({ offsetMs, boot: clock.boot }, `Clock: ${reason}.`);
  await log.append([
    {
      type: 'clock',
      source: `/gateways/${gateway}`,
      subject: gateway,
      time: clock.now(),
      data: { boot: clock.boot, offsetMs, reason },
    },
  ]);
}
