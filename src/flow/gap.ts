import type { EventLog } from '../log/log.ts';
import type { Finding } from '../log/quarantine.ts';
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

/** Says what the log itself has lost, whoever has seen it before. */
export async function recordDamage(
  { path, from: offset, positions }: Finding,
  { id: gateway, clock }: { readonly id: string; readonly clock: Clock },
  log: EventLog,
): Promise<void> {
  const { from, to } = positions ?? { from: 1 };
  if (to === undefined || to < from) return;
  await log.append([
    {
      type: 'gap',
      source: `/gateways/${gateway}/log`,
      subject: 'log',
      time: clock.now(),
      id: `gap.log.${from}.${to}.${path}.${offset}`,
      data: { reader: 'log', from, to, reason: 'damaged' },
    },
  ]);
}
