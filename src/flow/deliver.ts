import { toCloudEventsJson } from '../event/cloudevents-json.ts';
import type { CloudEvent, Draft } from '../event/event.ts';
import type { Cursor } from '../log/cursor.ts';
import type { Entry, EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Connection, Rejection, Sink } from '../sink/sink.ts';
import { follow } from './follow.ts';
import { recordGap } from './gap.ts';
import { type Retry, supervise } from './supervise.ts';

/**
 * One way of a sink through the log: a cursor with a filter. A sink has one for readings and one
 * for everything else, so that an alert never waits behind a backlog of readings.
 */
export interface Lane {
  readonly sink: Sink;
  readonly cursor: Cursor;
  readonly accepts: (entry: Entry) => boolean;
  readonly batch: { readonly events: number; readonly bytes: number; readonly delayMs: number };
  readonly retry: Retry;
  /** Age in milliseconds after which an event is no longer worth sending. */
  readonly expireMs?: number;
}

export interface DeliverParts {
  readonly gateway: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Brings every event the lane accepts to its sink, in order, at least once, until aborted. */
export async function deliver(lane: Lane, parts: DeliverParts, signal: AbortSignal): Promise<void> {
  const { sink } = lane;
  const up = parts.metrics.sinkUp.labels({ sink: sink.name });
  const failures = parts.metrics.deliveryFailures.labels({ sink: sink.name });
  let attempt = 1;
  const onFailure = (error: unknown, waitMs: number, inARow: number): void => {
    attempt = inARow + 1;
    up.set(0);
    failures.inc();
    parts.logger.warn(
      { sink: sink.name, reader: lane.cursor.name, error: messageOf(error), waitMs },
      'Delivery failed; it will be tried again.',
    );
  };
  // Before there is anything to deliver, so that a sink that cannot be reached is known at once.
  let first: Connection | undefined = await sink.connect(signal).catch((error: unknown) => {
    if (!signal.aborted) onFailure(error, 0, 0);
    return undefined;
  });
  if (first !== undefined) up.set(1);
  await supervise(
    async (healthy) => {
      const connection = createLazyConnection(sink, signal, first);
      first = undefined;
      try {
        await deliverUntilItFails(
          lane,
          parts,
          signal,
          connection.get,
          () => {
            if (attempt > 1) parts.logger.info({ sink: sink.name }, 'Delivery works again.');
            attempt = 1;
            up.set(1);
            healthy();
          },
          () => attempt,
        );
      } finally {
        await connection.close();
      }
    },
    { retry: lane.retry, clock: parts.clock, random: parts.random, signal, onFailure },
  );
}

/** A lane that wants nothing of what passes needs no connection to move on. */
function createLazyConnection(sink: Sink, signal: AbortSignal, first: Connection | undefined) {
  let connection = first;
  return {
    get: async () => (connection ??= await sink.connect(signal)),
    close: async () => await connection?.close(),
  };
}

async function deliverUntilItFails(
  lane: Lane,
  parts: DeliverParts,
  signal: AbortSignal,
  connection: () => Promise<Connection>,
  onTaken: () => void,
  attempt: () => number,
): Promise<void> {
  const { sink, cursor } = lane;
  const delivered = parts.metrics.delivered.labels({ sink: sink.name });
  const reader = cursor.name;
  await follow(
    parts.log,
    cursor,
    async (entries) => {
      const events = worthSending(entries, lane, parts);
      if (events.length === 0) return;
      const rejections = await (await connection()).deliver(events, signal);
      delivered.inc(events.length - rejections.length);
      onTaken();
      if (rejections.length > 0) await recordRejections(rejections, sink.name, attempt(), parts);
    },
    {
      signal,
      clock: parts.clock,
      accepts: lane.accepts,
      batchEvents: lane.batch.events,
      batchBytes: lane.batch.bytes,
      bytesOf: aboutBytesOf,
      delayMs: lane.batch.delayMs,
      onHole: (hole) => recordGap(hole, { ...parts, reader }),
    },
  );
}

function worthSending(
  entries: readonly Entry[],
  lane: Lane,
  parts: DeliverParts,
): readonly Entry[] {
  if (lane.expireMs === undefined) return entries;
  const oldest = parts.clock.now() - lane.expireMs;
  const fresh = entries.filter((entry) => entry.recordedTime >= oldest);
  const expired = entries.length - fresh.length;
  if (expired > 0) {
    parts.metrics.dropped.inc({ reader: lane.cursor.name, reason: 'expired' }, expired);
  }
  return fresh;
}

async function recordRejections(
  rejections: readonly Rejection[],
  sink: string,
  attempt: number,
  parts: DeliverParts,
): Promise<void> {
  parts.metrics.rejected.inc({ sink }, rejections.length);
  const { event, reason } = rejections[0]!;
  parts.logger.warn(
    { sink, events: rejections.length, reason, device: event.subject, id: event.id },
    'A sink refused events for good; they are kept as rejected events.',
  );
  // A refused refusal is not news: recording it would feed the log with its own echo.
  const news = rejections.filter((rejection) => rejection.event.type !== 'rejected');
  if (news.length === 0) return;
  const time = parts.clock.now();
  await parts.log.append(news.map((each) => rejectionOf(each, sink, attempt, time, parts.gateway)));
}

function rejectionOf(
  { event, reason }: Rejection,
  sink: string,
  attempt: number,
  time: number,
  gateway: string,
): Draft {
  return {
    type: 'rejected',
    source: `/gateways/${gateway}/sinks/${sink}`,
    subject: event.subject,
    time,
    // The same after a crash between the refusal and the cursor's save.
    id: `rejected.${sink}.${event.id}`,
    extensions: { causationid: event.id },
    data: { sink, reason, attempt, event: toCloudEventsJson(event) },
  };
}

/** Near enough to keep a batch within what a server takes, and cheap. */
function aboutBytesOf(entry: CloudEvent): number {
  if (entry.type === 'reading') {
    let bytes = 120;
    for (const name in entry.data.fields) {
      const value = entry.data.fields[name];
      bytes += name.length + (typeof value === 'string' ? value.length : 10);
    }
    return bytes;
  }
  return entry.type === 'undecodable' ? 400 + entry.data.payload.length : 600;
}
