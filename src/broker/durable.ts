import type { CloudEvent } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';
import type { Bounds } from './bounds.ts';
import { decodePositions, encodePositions, PositionQueue } from './durable-queue.ts';
import { messageRecordOf, sessionData, sessionRecordOf } from './durable-records.ts';
import {
  DurableRetained,
  type KnownMessage,
  type RetainedRow,
  type SavedRow,
} from './durable-retained.ts';
import type { KeptState, KeptSubscription } from './durable-state.ts';
import { DurableSubscriptions } from './durable-subscriptions.ts';
import { ElapsedTime, type SavedTime, type Stamp } from './durable-time.ts';
import type { MessageRecord, Position, SessionRecord } from './journal.ts';
import type { Message } from './message.ts';

/** An event of the log, as the fold takes it. */
export type Recorded = CloudEvent & Stamp & { readonly position: Position };

export interface DurableParts {
  readonly bounds: Pick<Bounds, 'retainedMessages' | 'retainedBytes' | 'inflightMessages'>;
  /** Messages that wait for one session that is away, and for one group. */
  readonly queuedMessages: number;
  /** Retained messages that are in memory already. */
  readonly retainedAt?: KnownMessage;
}

/** What is left over of a will, by when it was left. */
interface Will {
  readonly message: MessageRecord;
  readonly delaySeconds: number;
  leftAt: number | undefined;
}

interface Session {
  expirySeconds: number;
  /** By the time that has elapsed; undefined while connected. */
  leftAt: number | undefined;
  sentUpTo: Position;
  readonly waiting: PositionQueue;
  readonly recorded: Set<Position>;
  readonly received: Set<number>;
}

/** What a session, or a group by its filter, has lost. */
export interface Loss {
  readonly client: string;
  readonly from: Position;
  readonly upTo: Position;
  readonly messages: number;
}

const version = 1;

interface SavedState {
  readonly version: number;
  readonly time: SavedTime;
  readonly sessions: readonly {
    readonly client: string;
    readonly expirySeconds: number;
    readonly leftAt: number | null;
    readonly sentUpTo: Position;
    readonly subscriptions: readonly KeptSubscription[];
    readonly waiting: string;
    readonly recorded: string;
    readonly received: readonly number[];
  }[];
  readonly groups: readonly (readonly [filter: string, waiting: string])[];
  readonly wills: readonly (readonly [
    client: string,
    leftAt: number | null,
    record: ReturnType<typeof willJson>,
  ])[];
  readonly retained: readonly RetainedRow[];
}

/** What becomes a `SavedState` as JSON. */
type Snapshot = Omit<SavedState, 'retained'> & { readonly retained: readonly SavedRow[] };

/**
 * What the broker must not forget, folded from the `message` and `session` events of the log: the
 * state is a function of them, so that it cannot be lost but with the log itself.
 */
export class Durable {
  readonly #parts: DurableParts;
  readonly #time = new ElapsedTime();
  readonly #sessions = new Map<string, Session>();
  readonly #subscriptions = new DurableSubscriptions();
  readonly #wills = new Map<string, Will>();
  readonly #retained: DurableRetained;
  /** Nothing was recorded after the snapshot that this began with: the gateway ended in good order. */
  #isAsSaved = false;

  constructor(parts: DurableParts) {
    this.#parts = parts;
    this.#retained = new DurableRetained(parts.bounds, parts.retainedAt ?? (() => undefined));
  }

  /** About what a snapshot takes as JSON. */
  get bytes(): number {
    let positions = 0;
    for (const { waiting } of this.#sessions.values()) positions += waiting.length;
    for (const [, waiting] of this.#subscriptions.groups()) positions += waiting.length;
    const { count } = this.#subscriptions;
    const rows = this.#sessions.size + count + this.#wills.size;
    return this.#retained.bytes * 1.5 + positions * 3 + rows * 200;
  }

  /** The oldest message that somebody waits for; Infinity when nobody does. */
  get oldest(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { waiting } of this.#sessions.values()) oldest = Math.min(oldest, waiting.oldest);
    for (const [, waiting] of this.#subscriptions.groups()) {
      oldest = Math.min(oldest, waiting.oldest);
    }
    return oldest;
  }

  /** Takes every event of the log, in order. */
  step(event: Recorded): void {
    this.#isAsSaved = false;
    this.#time.step(event);
    if (event.type === 'message') {
      this.#message(event.position, messageRecordOf(event.subject, event.data));
    } else if (event.type === 'session') {
      const record = sessionRecordOf(event.subject, event.data);
      if (record !== undefined) this.#session(record);
    }
  }

  /** What waited and is gone, where `isGone` says so of the oldest. It still has to be recorded. */
  losses(isGone: (position: Position) => boolean): Loss[] {
    const losses: Loss[] = [];
    const look = (client: string, waiting: PositionQueue): void => {
      if (waiting.length === 0 || !isGone(waiting.oldest)) return;
      const gone = waiting.toArray();
      const kept = gone.findIndex((position) => !isGone(position));
      const messages = kept < 0 ? gone.length : kept;
      losses.push({ client, from: gone[0]!, upTo: gone[messages - 1]!, messages });
    };
    for (const [client, { waiting }] of this.#sessions) look(client, waiting);
    for (const [filter, waiting] of this.#subscriptions.groups()) look(filter, waiting);
    return losses;
  }

  /** As sessions are to be taken up, were it now. */
  stateAt(clock: Clock): KeptState {
    const now = this.#time.at(clock);
    const awayMs = (leftAt: number | undefined) => (leftAt === undefined ? 0 : now - leftAt);
    return {
      sessions: [...this.#sessions].map(([client, session]) => {
        const { expirySeconds, leftAt, sentUpTo, waiting, recorded, received } = session;
        return {
          ...{ client, expirySeconds, awayMs: awayMs(leftAt), wasConnected: leftAt === undefined },
          subscriptions: this.#subscriptions.of(client),
          waiting: waiting.toArray(),
          recorded: ascending(recorded),
          // That a client was back, and what it was sent, may not have reached the log.
          sentUpTo: this.#isAsSaved && leftAt !== undefined ? sentUpTo : waiting.newest,
          receivedIds: ascending(received),
        };
      }),
      groups: [...this.#subscriptions.groups()].map(([filter, waiting]) => ({
        ...{ filter, waiting: waiting.toArray() },
      })),
      wills: [...this.#wills].map(([client, { message, delaySeconds, leftAt }]) => ({
        ...{ client, message, delaySeconds, awayMs: awayMs(leftAt) },
      })),
      retained: [...this.#retained.values()].map(({ message, at }) => ({
        ...{ message, ageMs: now - at },
      })),
    };
  }

  /** The broker has this retained message in memory. */
  adoptRetained(
    message: Message,
    isSame = (position: Position) => position === message.position,
  ): void {
    this.#retained.adopt(message, isSame);
  }

  snapshot(): Snapshot {
    const positions = (queue: PositionQueue) => encodePositions(queue.toArray());
    return {
      version,
      time: this.#time.save(),
      sessions: [...this.#sessions].map(([client, session]) => ({
        client,
        expirySeconds: session.expirySeconds,
        leftAt: session.leftAt ?? null,
        sentUpTo: session.sentUpTo,
        subscriptions: this.#subscriptions.of(client),
        waiting: positions(session.waiting),
        recorded: encodePositions(ascending(session.recorded)),
        received: ascending(session.received),
      })),
      groups: [...this.#subscriptions.groups()].map(([f, waiting]) => [f, positions(waiting)]),
      wills: [...this.#wills].map(([client, will]) => [
        client,
        will.leftAt ?? null,
        willJson(will),
      ]),
      retained: this.#retained.save(),
    };
  }

  /**
   * Begins with a snapshot, or anew with anything that is none. What has been folded before stays where
   * the snapshot says nothing of it: records of that may have been lost.
   */
  restore(state: unknown): void {
    const saved = state as SavedState | null;
    if (saved?.version !== version) return;
    this.#isAsSaved = true;
    this.#shift(saved.time.elapsedMs - this.#time.ms);
    this.#time.restore(saved.time);
    const waiting = new Map<string, number[]>();
    for (const [filter, queue] of this.#subscriptions.groups())
      waiting.set(filter, queue.toArray());
    for (const row of saved.sessions) {
      this.#end(row.client);
      const session = newSession(row.expirySeconds);
      session.leftAt = row.leftAt ?? undefined;
      session.sentUpTo = row.sentUpTo;
      for (const position of decodePositions(row.waiting)) session.waiting.add(position);
      for (const position of decodePositions(row.recorded)) session.recorded.add(position);
      for (const id of row.received) session.received.add(id);
      this.#sessions.set(row.client, session);
      for (const subscription of row.subscriptions) {
        this.#subscriptions.add(row.client, subscription);
      }
    }
    for (const [filter, positions] of saved.groups) waiting.set(filter, decodePositions(positions));
    for (const [filter, positions] of waiting) {
      const group = this.#subscriptions.group(filter);
      group?.trim(0);
      for (const position of positions) group?.add(position);
    }
    for (const [client, leftAt, json] of saved.wills) {
      const record = sessionRecordOf(client, { kind: 'will', details: json });
      if (record?.kind === 'will')
        this.#wills.set(client, { ...record, leftAt: leftAt ?? undefined });
    }
    this.#retained.restore(saved.retained);
  }

  /** What was folded from the rest of a log began to count the time where that begins. */
  #shift(ms: number): void {
    for (const session of this.#sessions.values()) {
      if (session.leftAt !== undefined) session.leftAt += ms;
    }
    for (const will of this.#wills.values()) if (will.leftAt !== undefined) will.leftAt += ms;
    this.#retained.shift(ms);
  }

  #message(position: Position, message: MessageRecord): void {
    const { topic, from, to, incomingId, qos } = message;
    if (to !== undefined) {
      const session = this.#sessions.get(to);
      session?.waiting.add(position);
      if (session !== undefined) this.#bound(session);
      return;
    }
    const sender = from === undefined ? undefined : this.#sessions.get(from);
    if (incomingId !== undefined) sender?.received.add(incomingId);
    // What the gateway says itself it says again when it starts.
    if (message.retain && from !== undefined && !topic.startsWith('$')) {
      this.#retained.store(message, this.#time.ms, position);
    }
    if (qos === 0) return;
    const { clients, groups } = this.#subscriptions.wanting(message);
    for (const client of clients) {
      const session = this.#sessions.get(client);
      if (session === undefined) continue;
      session.waiting.add(position);
      this.#bound(session);
    }
    for (const waiting of groups) {
      waiting.add(position);
      waiting.trim(this.#parts.queuedMessages + this.#parts.bounds.inflightMessages);
    }
  }

  #bound({ waiting, leftAt }: Session): void {
    const { queuedMessages, bounds } = this.#parts;
    // What is on its way to a client does not count as waiting.
    const unsettled = leftAt === undefined ? bounds.inflightMessages : 0;
    waiting.trim(queuedMessages + unsettled);
  }

  #session(record: SessionRecord): void {
    const { client } = record;
    if (record.kind === 'began' || (record.kind === 'back' && !this.#sessions.has(client))) {
      this.#end(client);
      this.#sessions.set(client, newSession(record.expirySeconds));
    } else if (record.kind === 'ended') this.#end(client);
    else if (record.kind === 'will') this.#wills.set(client, { ...record, leftAt: undefined });
    else if (record.kind === 'willGone') this.#wills.delete(client);
    else if (record.kind === 'acknowledged') this.#acknowledged(record);
    else if (record.kind === 'lost' && client.startsWith('$share/')) {
      this.#subscriptions.group(client)?.removeUpTo(record.upTo);
    } else {
      const session = this.#sessions.get(client);
      const will = this.#wills.get(client);
      if (record.kind === 'left' && will !== undefined) will.leftAt = this.#time.ms;
      if (session !== undefined) this.#change(session, record);
    }
  }

  #change(session: Session, record: SessionRecord): void {
    const { client } = record;
    switch (record.kind) {
      case 'back':
        session.leftAt = undefined;
        session.expirySeconds = record.expirySeconds;
        break;
      case 'left':
        session.leftAt = this.#time.ms;
        session.expirySeconds = record.expirySeconds;
        session.sentUpTo = record.sentUpTo;
        this.#bound(session);
        break;
      case 'subscribed': {
        const { subscriptionId, requests } = record;
        const id = subscriptionId === undefined ? {} : { subscriptionId };
        for (const request of requests) this.#subscriptions.add(client, { request, ...id });
        break;
      }
      case 'unsubscribed':
        for (const filter of record.filters) this.#subscriptions.remove(client, filter);
        break;
      case 'received':
        session.received.add(record.id);
        break;
      case 'released':
        session.received.delete(record.id);
        break;
      case 'lost':
        settleUpTo(session, record.upTo);
        break;
      case 'recorded':
        this.#recorded(session, client, record.position);
        break;
    }
  }

  /** What came by way of a group is from now on the client's own: only to it may PUBREL be sent. */
  #recorded(session: Session, client: string, position: Position): void {
    for (const { request } of this.#subscriptions.of(client)) {
      this.#subscriptions.group(request.filter)?.remove(position);
    }
    session.waiting.add(position);
    session.recorded.add(position);
  }

  #acknowledged({ client, upTo, beyond, shared }: SessionRecord & { kind: 'acknowledged' }): void {
    const session = this.#sessions.get(client);
    if (session !== undefined) {
      settleUpTo(session, upTo);
      for (const position of beyond) {
        session.waiting.remove(position);
        session.recorded.delete(position);
      }
    }
    for (const [filter, positions] of Object.entries(shared ?? {})) {
      const waiting = this.#subscriptions.group(filter);
      for (const position of positions) waiting?.remove(position);
    }
  }

  #end(client: string): void {
    this.#subscriptions.removeAll(client);
    this.#sessions.delete(client);
  }
}

function newSession(expirySeconds: number): Session {
  return {
    expirySeconds,
    leftAt: undefined,
    sentUpTo: 0,
    waiting: new PositionQueue(),
    recorded: new Set(),
    received: new Set(),
  };
}

function settleUpTo(session: Session, upTo: Position): void {
  session.waiting.removeUpTo(upTo);
  for (const position of session.recorded) if (position <= upTo) session.recorded.delete(position);
}

function willJson({ message, delaySeconds }: Will): Readonly<Record<string, unknown>> {
  return sessionData({ kind: 'will', client: '', delaySeconds, message }).details;
}

const ascending = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
