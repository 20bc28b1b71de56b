import { messageOf } from '../platform/errors.ts';
import type { Connection, Sink } from '../sink/sink.ts';
import {
  type BatchSize,
  createBatchSize,
  createGiveWay,
  createPace,
  type GiveWay,
} from './catch-up.ts';
import type { DeliverParts, Lane } from './delivery.ts';
import type { Told } from './follow.ts';
import { deliverPart, type Run } from './hand-over.ts';
import { supervise } from './supervise.ts';

export type { DeliverParts, Lane } from './delivery.ts';
export { recordRejections } from './rejections.ts';

/**
 * Brings every event the lane accepts to its sink, at least once, until aborted: in order, or, far
 * behind, in two orders beside each other, that of what is new and that of what was missed.
 */
export async function deliver(lane: Lane, parts: DeliverParts, signal: AbortSignal): Promise<void> {
  const { batch, catchUp, place } = lane;
  const { log } = parts;
  const isLivePending = (): boolean => log.isAppending || place.live.position < log.last;
  const giveWay = createGiveWay(parts.clock, isLivePending);
  const batchSize = createBatchSize(batch.events, catchUp?.rate, giveWay.isLive);
  await Promise.all([
    deliverLive(lane, parts, signal, { giveWay, batchSize }),
    deliverBacklogs(lane, parts, signal, { giveWay, batchSize }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    }),
  ]);
}

/** How the two places of a lane get along. */
interface Sharing {
  readonly giveWay: GiveWay;
  readonly batchSize: BatchSize;
}

async function deliverLive(
  lane: Lane,
  parts: DeliverParts,
  signal: AbortSignal,
  { giveWay, batchSize }: Sharing,
): Promise<void> {
  const attempts = createAttempts(lane, parts, signal);
  // Before there is anything to deliver, so that a sink that cannot be reached is known at once.
  const first = await lane.sink.connect(signal).catch((error: unknown) => {
    if (!signal.aborted) attempts.onFailure(error, 0, 0);
    return undefined;
  });
  if (first !== undefined) attempts.up();
  const run = {
    part: lane.place.live,
    isHistorical: false,
    batchSize: { events: lane.batch.events },
    turn: {
      begin: async () => giveWay.liveBegins(),
      took: (_events: number, ms: number) => batchSize.liveTook(ms, giveWay.liveEnds()),
    },
  };
  await attempts.supervise(run, first);
}

/** What was missed drains, oldest first, on a connection of its own while there is any. */
async function deliverBacklogs(
  lane: Lane,
  parts: DeliverParts,
  signal: AbortSignal,
  { giveWay, batchSize }: Sharing,
): Promise<void> {
  const { place, sink, catchUp } = lane;
  const { clock } = parts;
  const attempts = createAttempts(lane, parts, signal);
  const pace = createPace(catchUp?.rate, clock);
  const turn = {
    async begin(events: number, idle: () => Promise<void>) {
      await pace(events, signal);
      // One at a time while somebody else waits for what one takes.
      if (giveWay.isLive()) await idle();
      await giveWay.rest(signal);
      giveWay.backlogBegins();
    },
    took: (_events: number, ms: number) => giveWay.backlogEnds(ms),
  };
  for (;;) {
    await place.untilBacklog(signal);
    giveWay.backlogArises();
    const waiting = place.waiting(parts.log.last);
    parts.logger.info(
      { sink: sink.name, events: waiting },
      'Delivery goes on with what is new; what was missed follows beside it, oldest first.',
    );
    for (let part = place.backlog; part !== undefined; part = place.backlog) {
      await attempts.supervise({ part, isHistorical: true, batchSize, turn });
      signal.throwIfAborted();
      await place.splitting;
    }
    parts.logger.info({ sink: sink.name }, 'All that was missed has been delivered.');
  }
}

/** What all attempts of one place have in common: connections, failures in a row, the gauges. */
function createAttempts(lane: Lane, parts: DeliverParts, signal: AbortSignal) {
  const { sink, place } = lane;
  const { clock, random, logger, metrics } = parts;
  const gauge = metrics.sinkUp.labels({ sink: sink.name });
  const failures = metrics.deliveryFailures.labels({ sink: sink.name });
  let attempt = 1;
  const onFailure = (error: unknown, waitMs: number, inARow: number): void => {
    attempt = inARow + 1;
    gauge.set(0);
    failures.inc();
    logger.warn(
      { sink: sink.name, reader: place.name, error: messageOf(error), waitMs },
      'Delivery failed; it will be tried again.',
    );
  };
  const up = (): void => {
    if (attempt > 1) logger.info({ sink: sink.name }, 'Delivery works again.');
    attempt = 1;
    gauge.set(1);
  };
  return {
    onFailure,
    up,
    /** Delivers from one place to its end, however often that fails. */
    async supervise(
      run: Pick<Run, 'part' | 'isHistorical' | 'batchSize' | 'turn'>,
      first?: Connection,
    ): Promise<void> {
      let opened = first;
      const told: Told = { to: 0 };
      await supervise(
        async (healthy) => {
          const connection = createLazyConnection(sink, signal, opened);
          opened = undefined;
          const onTaken = (): void => {
            up();
            healthy();
          };
          try {
            await deliverPart({
              ...{ ...run, told, lane, parts, signal, onTaken },
              connection: connection.get,
              attempt: () => attempt,
            });
          } finally {
            await connection.close();
          }
        },
        { retry: lane.retry, clock, random, signal, onFailure },
      );
    },
  };
}

/** A lane that wants nothing of what passes needs no connection to move on. */
function createLazyConnection(sink: Sink, signal: AbortSignal, first: Connection | undefined) {
  let connection = first;
  return {
    get: async () => (connection ??= await sink.connect(signal)),
    close: async () => await connection?.close(),
  };
}
