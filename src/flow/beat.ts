import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';

/**
 * Appends a heartbeat at a steady pace: the clock of the rules, every reader's lag on record, and,
 * once durable, the proof that the log is alive. Runs until aborted.
 */
export async function beat(
  parts: {
    readonly gateway: string;
    readonly log: EventLog;
    readonly clock: Clock;
    readonly everyMs: number;
    readonly lag: () => Readonly<Record<string, number>>;
    /** Called once the heartbeat is durable, and while the log says itself why it cannot be. */
    readonly onBeat: () => void;
  },
  signal: AbortSignal,
): Promise<void> {
  let waiting = false;
  for (;;) {
    await parts.clock.sleep(parts.everyMs, signal);
    if (waiting) {
      // A full disk is weather: the log lives, only the beat cannot be written down.
      if (parts.log.blocked !== undefined) parts.onBeat();
      continue;
    }
    waiting = true;
    void parts.log
      .append([
        {
          type: 'heartbeat',
          source: `/gateways/${parts.gateway}`,
          subject: parts.gateway,
          time: parts.clock.now(),
          data: { lag: parts.lag() },
        },
      ])
      .then(() => {
        waiting = false;
        parts.onBeat();
      });
  }
}
