import type { Entry, EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Sink } from '../sink/sink.ts';
import type { CatchUp } from './catch-up.ts';
import type { LanePlace } from './lane.ts';
import type { ReadAhead } from './read-ahead.ts';
import type { Retry } from './supervise.ts';

/**
 * One way of a sink through the log: a place with a filter. A sink has one for readings and one
 * for everything else, so that an alert never waits behind a backlog of readings.
 */
export interface Lane {
  readonly sink: Sink;
  readonly place: LanePlace;
  readonly accepts: (entry: Entry) => boolean;
  readonly batch: { readonly events: number; readonly bytes: number; readonly delayMs: number };
  readonly retry: Retry;
  /** Age in milliseconds after which an event is no longer worth sending. */
  readonly expireMs?: number;
  /** Without it what was missed is delivered before what is new. */
  readonly catchUp?: CatchUp;
}

export interface DeliverParts {
  readonly gateway: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What all lanes share. */
  readonly readAhead: ReadAhead;
}
