import type { CloudEvent } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import type { Entry } from '../log/log.ts';
import type { Connection } from '../sink/sink.ts';
import type { Tally } from './account.ts';
import { isFarBehind } from './catch-up.ts';
import { ageMsOf } from './clock.ts';
import type { DeliverParts, Lane } from './delivery.ts';
import { type Batch, type Hole, openGathering, type Told } from './follow.ts';
import { recordGap } from './gap.ts';
import type { LanePart } from './lane.ts';
import { recordRejections } from './rejections.ts';

/** When a batch may go, and how long it took. */
export interface Turn {
  /** Resolves once a batch of so many may go; `idle` waits until nothing is under way. */
  begin(events: number, idle: () => Promise<void>): Promise<void>;
  took(events: number, ms: number): void;
}

/** One of the two places of a lane, and how it is delivered from. */
export interface Run {
  readonly lane: Lane;
  readonly parts: DeliverParts;
  readonly signal: AbortSignal;
  readonly part: LanePart;
  readonly isHistorical: boolean;
  readonly told: Told;
  readonly batchSize: { readonly events: number };
  readonly connection: () => Promise<Connection>;
  readonly turn: Turn;
  readonly onTaken: () => void;
  readonly attempt: () => number;
}

/**
 * Delivers from a part to its end; throws when the sink does. While what the sink has been given is
 * under way the next batch is gathered, and given to it, too, if it says that it takes several.
 * The part moves on over what is settled without a gap before it.
 */
export async function deliverPart(run: Run): Promise<void> {
  const { lane, parts, part, signal } = run;
  const { log, clock } = parts;
  const ahead = parts.readAhead.open();
  const batchSize = {
    get events() {
      return Math.min(run.batchSize.events, ahead.events);
    },
  };
  ahead.isBehind = hasMore(part.position, run);
  // What has been gathered and not been told is told by the next attempt.
  const open = () =>
    openGathering(log, part.position, part.end, {
      ...{ signal, clock, accepts: lane.accepts, batchSize },
      ...{ batchBytes: lane.batch.bytes, bytesOf: aboutBytesOf, delayMs: lane.batch.delayMs },
      told: { to: run.told.to },
    });
  const underWay = createUnderWay(run);
  let gathering = open();
  let mayBeFarBehind = !run.isHistorical;
  let position: number = part.position;
  try {
    while (position < part.end) {
      const batch = await gathering.next();
      const oldest = batch.entries[0];
      if (mayBeFarBehind && oldest !== undefined) {
        mayBeFarBehind = false;
        const goOnBehind = (): void => {
          gathering.close();
          gathering = open();
          position = part.position;
          ahead.isBehind = hasMore(position, run);
        };
        if (await isLeftToBacklog(oldest, run, goOnBehind)) continue;
      }
      await underWay.add(batch);
      position = batch.position;
      // Who wants nothing of what it passes holds none of it.
      ahead.isBehind = oldest !== undefined && hasMore(position, run);
      // At the end of the log what comes meanwhile makes the next batch, and that a larger one.
      if (mayBeFarBehind || !hasMore(position, run)) await underWay.idle();
    }
    await underWay.idle();
  } finally {
    underWay.abandon();
    gathering.close();
    ahead.close();
  }
}

/** Whether behind that position a whole batch waits. */
const hasMore = (position: number, { parts, batchSize }: Run): boolean =>
  parts.log.last - position >= batchSize.events;

/** Only when the far side is there again: until then more is missed. */
async function isLeftToBacklog(
  oldest: Entry,
  { lane, parts, connection }: Run,
  goOnBehind: () => void,
): Promise<boolean> {
  const { log, clock } = parts;
  if (!isFarBehind(oldest, log.last, lane.catchUp, clock)) return false;
  await connection();
  // What comes until the split is durable stays in memory: live delivery begins with it.
  const comes = log.reader(log.last);
  try {
    if (!(await lane.place.split(log.last))) return false;
    goOnBehind();
    return true;
  } finally {
    comes.close();
  }
}

/** Batches that were handed over and are not settled; they are settled in their order. */
function createUnderWay(run: Run) {
  const { lane, parts, signal } = run;
  const { clock } = parts;
  const waiting: Promise<void>[] = [];
  let last: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  let isAbandoned = false;
  let settledMs = Number.NEGATIVE_INFINITY;

  const enqueue = (settle: () => Promise<void>): void => {
    const mine = last.then(async () => {
      if (!isAbandoned) await settle();
    });
    last = mine;
    waiting.push(mine);
    mine
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => void waiting.shift());
  };
  const fewerThan = async (count: number): Promise<void> => {
    while (failure === undefined && waiting.length >= count) {
      await waiting[0]!.catch(() => undefined);
    }
    if (failure !== undefined) throw failure.error;
  };
  const idle = async (): Promise<void> => await fewerThan(1);
  const move = (batch: Batch, tally: Tally, expired = 0): void => {
    if (isAbandoned) return;
    const { missing, unwanted } = batch;
    const count = (reason: string, events: number): void => {
      if (events > 0) parts.metrics.dropped.inc({ reader: lane.place.name, reason }, events);
    };
    count('expired', expired);
    count('thinned', missing);
    run.part.commit(batch.position, { ...tally, expired, unwanted, dropped: missing });
  };
  const handOver = async (batch: Batch, fresh: readonly Entry[], expired: number) => {
    const connection = await run.connection();
    await fewerThan(Math.max(1, connection.depth ?? 1));
    await run.turn.begin(fresh.length, idle);
    const begunMs = clock.monotonic();
    const answer = connection.deliver(outgoingOf(fresh, run), signal);
    answer.catch(() => undefined);
    enqueue(async () => {
      const rejections = await answer;
      const now = clock.monotonic();
      run.turn.took(fresh.length, now - Math.max(begunMs, settledMs));
      settledMs = now;
      const sink = lane.sink.name;
      const unrecorded = await recordRejections(rejections, sink, run.attempt(), parts);
      run.onTaken();
      const delivered = fresh.length - rejections.length;
      parts.metrics.delivered.inc({ sink }, delivered);
      move(batch, { delivered, rejected: rejections.length, unrecorded }, expired);
    });
  };
  return {
    /** Hands a batch over, or names the hole in its place, when there is room. */
    async add(batch: Batch): Promise<void> {
      if (batch.hole !== undefined) {
        await idle();
        await tell(batch, batch.hole, run);
        return;
      }
      const { fresh, expired } = splitByAge(batch.entries, lane, parts);
      if (fresh.length > 0) await handOver(batch, fresh, expired);
      else enqueue(async () => move(batch, {}, expired));
    },
    /** Resolves when nothing is under way, throws what any of it threw. */
    idle,
    /** What is still under way counts for nothing. */
    abandon(): void {
      isAbandoned = true;
    },
  };
}

async function tell(batch: Batch, hole: Hole, { lane, parts, part, told }: Run): Promise<void> {
  await recordGap(hole, { ...parts, reader: lane.place.name });
  const { from, to, toldTo } = hole;
  told.to = Math.max(told.to, toldTo);
  part.commit(batch.position, { dropped: to - from + 1 }, { from, to });
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
