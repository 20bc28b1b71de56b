import { brokerPath, cursorsPath } from '../log/cursor-file.ts';
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

const memoryPaths: readonly string[] = [cursorsPath, brokerPath];

/**
 * Says what the log itself has lost, whoever has seen it before; and by the name of the file what
 * readers remembered of events that stood before `first` and cannot be read once more.
 */
export async function recordDamage(
  finding: Finding,
  { id: gateway, clock, first }: { id: string; clock: Clock; first: number },
  log: EventLog,
): Promise<void> {
  const { path, from: offset, setAside = '', lost } = finding;
  // Of what stands there twice.
  if (lost?.length === 0) return;
  const isMemory = memoryPaths.includes(path);
  const reader = isMemory ? path : 'log';
  const { from, to } = isMemory ? { from: 1, to: first - 1 } : (finding.positions ?? { from: 1 });
  if (to === undefined || to < from) return;
  const place = isMemory ? setAside : `${path}.${offset}`;
  await log.append([
    {
      type: 'gap',
      source: `/gateways/${gateway}/${reader}`,
      subject: reader,
      time: clock.now(),
      id: `gap.${reader}.${from}.${to}.${place}`,
      data: { reader, from, to, reason: 'damaged', ...(lost === undefined ? {} : { lost }) },
    },
  ]);
}
