import { toCloudEventsJson } from '../event/cloudevents-json.ts';
import type { CloudEvent, Draft } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import { rejectedIdOf } from '../event/redelivery.ts';
import type { Entry, EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Connection, Rejection, Sink } from '../sink/sink.ts';
import type { Tally } from './account.ts';
import { appendAll } from './append.ts';
import {
  type BatchSize,
  type CatchUp,
  createBatchSize,
  createGiveWay,
  createPace,
  type GiveWay,
  isFarBehind,
} from './catch-up.ts';
import { ageMsOf } from './clock.ts';
import { type Batch, openGathering, type Told } from './follow.ts';
import { recordGap } from './gap.ts';
import type { LanePart, LanePlace } from './lane.ts';
import { type Retry, supervise } from './supervise.ts';

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
}

/** One of the two places of a lane, and how it is delivered from. */
interface Run {
  readonly lane: Lane;
  readonly parts: DeliverParts;
  readonly signal: AbortSignal;
  readonly part: LanePart;
  readonly isHistorical: boolean;
  readonly told: Told;
  readonly batchSize: Pick<BatchSize, 'events'>;
  readonly connection: () => Promise<Connection>;
  /** Lets whoever goes first go first, then delivers. */
  readonly inTurn: (events: number, work: () => Promise<Tally>) => Promise<Tally>;
  readonly onTaken: () => void;
  readonly attempt: () => number;
}

/**
 * Brings every event the lane accepts to its sink, at least once, until aborted: in order, or, far
 * behind, in two orders beside each other, that of what is new and that of what was missed.
 */
export async function deliver(lane: Lane, parts: DeliverParts, signal: AbortSignal): Promise<void> {
  const giveWay = createGiveWay(parts.clock);
  await Promise.all([
    deliverLive(lane, parts, signal, giveWay),
    deliverBacklogs(lane, parts, signal, giveWay).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    }),
  ]);
}

async function deliverLive(
  lane: Lane,
  parts: DeliverParts,
  signal: AbortSignal,
  giveWay: GiveWay,
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
    inTurn: async (_events: number, work: () => Promise<Tally>) => {
      giveWay.live();
      return await work();
    },
  };
  await attempts.supervise(run, first);
}

/** What was missed drains, oldest first, on a connection of its own while there is any. */
async function deliverBacklogs(
  lane: Lane,
  parts: DeliverParts,
  signal: AbortSignal,
  giveWay: GiveWay,
): Promise<void> {
  const { place, sink, catchUp } = lane;
  const { clock } = parts;
  const attempts = createAttempts(lane, parts, signal);
  const pace = createPace(catchUp?.rate, clock);
  const batchSize = createBatchSize(lane.batch.events, catchUp?.rate);
  let tookMs = 0;
  const inTurn = async (events: number, work: () => Promise<Tally>): Promise<Tally> => {
    await pace(events, signal);
    await giveWay.rest(tookMs, signal);
    const begunMs = clock.monotonic();
    const tally = await work();
    tookMs = clock.monotonic() - begunMs;
    batchSize.took(events, tookMs);
    return tally;
  };
  for (;;) {
    await place.untilBacklog(signal);
    const waiting = place.waiting(parts.log.last);
    parts.logger.info(
      { sink: sink.name, events: waiting },
      'Delivery goes on with what is new; what was missed follows beside it, oldest first.',
    );
    for (let part = place.backlog; part !== undefined; part = place.backlog) {
      await attempts.supervise({ part, isHistorical: true, batchSize, inTurn });
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
      run: Pick<Run, 'part' | 'isHistorical' | 'batchSize' | 'inTurn'>,
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
            await deliverUntilItFails({
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

/** Resolves at the end of the part. */
async function deliverUntilItFails(run: Run): Promise<void> {
  const { lane, parts, part, signal } = run;
  const { log, clock } = parts;
  const open = () =>
    openGathering(log, part.position, part.end, {
      ...{ signal, clock, accepts: lane.accepts, batchSize: run.batchSize },
      ...{ batchBytes: lane.batch.bytes, bytesOf: aboutBytesOf, delayMs: lane.batch.delayMs },
      told: run.told,
    });
  let gathering = open();
  let mayBeFarBehind = !run.isHistorical;
  try {
    while (part.position < part.end) {
      const batch = await gathering.next();
      const oldest = batch.entries[0];
      if (mayBeFarBehind && oldest !== undefined) {
        mayBeFarBehind = false;
        if (await isLeftToBacklog(oldest, run)) {
          gathering.close();
          gathering = open();
          continue;
        }
      }
      await settle(batch, run);
    }
  } finally {
    gathering.close();
  }
}

/** Only when the far side is there again: until then more is missed. */
async function isLeftToBacklog(oldest: Entry, run: Run): Promise<boolean> {
  const { lane, parts } = run;
  if (!isFarBehind(oldest, parts.log.last, lane.catchUp, parts.clock)) return false;
  await run.connection();
  return await lane.place.split(parts.log.last);
}

/** Delivers a batch, or names the hole in its place, and moves on. */
async function settle(batch: Batch, run: Run): Promise<void> {
  const { lane, parts, part } = run;
  const { position, unwanted, hole, missing } = batch;
  if (hole !== undefined) {
    await recordGap(hole, { ...parts, reader: lane.place.name });
    const { from, to } = hole;
    part.commit(position, { dropped: to - from + 1 }, { from, to });
    return;
  }
  const { fresh, expired } = splitByAge(batch.entries, lane, parts);
  const { length } = fresh;
  const tally =
    length === 0 ? {} : await run.inTurn(length, async () => await handOver(fresh, run));
  if (expired > 0)
    parts.metrics.dropped.inc({ reader: lane.place.name, reason: 'expired' }, expired);
  if (missing > 0) {
    parts.metrics.dropped.inc({ reader: lane.place.name, reason: 'thinned' }, missing);
  }
  part.commit(position, { ...tally, expired, unwanted, dropped: missing });
}

async function handOver(entries: readonly Entry[], run: Run): Promise<Tally> {
  const { lane, parts } = run;
  const sink = lane.sink.name;
  const connection = await run.connection();
  const rejections = await connection.deliver(outgoingOf(entries, run), run.signal);
  const unrecorded = await recordRejections(rejections, sink, run.attempt(), parts);
  run.onTaken();
  const delivered = entries.length - rejections.length;
  parts.metrics.delivered.inc({ sink }, delivered);
  return { delivered, rejected: rejections.length, unrecorded };
}

/** The events as they go out; whatever changes on the way, their ids do not. */
function outgoingOf(entries: readonly Entry[], { isHistorical }: Run): readonly CloudEvent[] {
  return isHistorical ? entries.map(asHistorical) : entries;
}

const historical = { historical: 'true' };

function asHistorical(entry: Entry): Entry {
  const { extensions } = entry;
  return {
    ...entry,
    extensions: extensions === undefined ? historical : { ...extensions, ...historical },
  };
}

function splitByAge(
  entries: readonly Entry[],
  lane: Lane,
  parts: DeliverParts,
): { fresh: readonly Entry[]; expired: number } {
  if (lane.expireMs === undefined) return { fresh: entries, expired: 0 };
  const { expireMs } = lane;
  const fresh = entries.filter((entry) => ageMsOf(entry, parts.clock) <= expireMs);
  return { fresh, expired: entries.length - fresh.length };
}

/** Resolves with how many there is no event of. */
export async function recordRejections(
  rejections: readonly Rejection[],
  sink: string,
  attempt: number,
  parts: Omit<DeliverParts, 'random'>,
): Promise<number> {
  if (rejections.length === 0) return 0;
  const { event, reason } = rejections[0]!;
  parts.logger.warn(
    { sink, events: rejections.length, reason, device: event.subject, id: event.id },
    'A sink refused events for good; they are kept as rejected events.',
  );
  // A refused refusal is not news: recording it would feed the log with its own echo.
  const news = rejections.filter((rejection) => rejection.event.type !== 'rejected');
  const time = parts.clock.now();
  const drafts = news.map((each) => rejectionOf(each, sink, attempt, time, parts.gateway));
  await appendAll(drafts, parts.log, withoutData);
  parts.metrics.rejected.inc({ sink }, rejections.length);
  return rejections.length - news.length;
}

function rejectionOf(
  { event, reason }: Rejection,
  sink: string,
  attempt: number,
  time: number,
  gateway: string,
): Draft {
  const id = rejectedIdOf(sink, event);
  return {
    type: 'rejected',
    source: `/gateways/${gateway}/sinks/${sink}`,
    subject: event.subject,
    time,
    ...(id === undefined ? {} : { id }),
    extensions: { causationid: event.id },
    data: {
      sink,
      reason,
      attempt: Number(event.extensions?.redriveattempt ?? attempt),
      event: toCloudEventsJson(event),
    },
  };
}

/** What is kept of a refused event that fills a record alone: all but its data. */
function withoutData(draft: Draft, error: Error): Draft {
  if (draft.type !== 'rejected') return draft;
  const { data: _left, ...event } = draft.data.event;
  const reason = `${draft.data.reason} (The data is not kept: ${error.message}.)`;
  return { ...draft, data: { ...draft.data, reason, event } };
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
  if (entry.type === 'undecodable') return 400 + entry.data.payload.length;
  // The event that was refused is inside: rare, so its size may cost something.
  if (entry.type === 'rejected') return 400 + toLosslessJson(entry.data.event).length;
  return 600;
}
