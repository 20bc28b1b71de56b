import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Hole } from './follow.ts';

/** Says by name what a reader will never see: in the log, in the metrics and in words. */
export async function recordGap(
  hole: Hole,
  parts: {
    readonly reader: string;
    readonly gateway: string;
    readonly log: EventLog;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly metrics: Metrics;
  },
): Promise<void> {
  const { from, toldTo: to, before, reason } = hole;
  parts.metrics.dropped.inc({ reader: parts.reader, reason }, hole.to - from + 1);
  parts.logger.error({ reader: parts.reader, from, to, reason }, 'Events were lost to a reader.');
  await parts.log.append([
    {
      type: 'gap',
      source: `/gateways/${parts.gateway}/readers/${parts.reader}`,
      subject: parts.reader,
      time: parts.clock.now(),
      // Made from the hole and what stands behind it: saying it again after a crash is a repeat.
      id: `gap.${parts.reader}.${from}.${before.id}`,
      data: { reader: parts.reader, from, to, reason },
    },
  ]);
}
