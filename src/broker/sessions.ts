import type { Bounds } from './bounds.ts';
import type { DropReason, Giver } from './delivery.ts';
import type { KeptSession, KeptState } from './durable-state.ts';
import type { Journal, JournalRecord, Position, SessionRecord } from './journal.ts';
import { Message } from './message.ts';
import type { WillRequest } from './packets.ts';
import { Router } from './router.ts';
import { forEver, Session, type SessionParts } from './session.ts';
import { shareName } from './subscribing.ts';
import { Wills, willMessage } from './wills.ts';

/** How a client comes to its session. */
export interface Beginning {
  readonly cleanStart: boolean;
  /** Seconds; `forEver` is for ever. */
  readonly expirySeconds: number;
  readonly will: WillRequest | undefined;
}

export interface Begun {
  readonly session: Session;
  /** It was there before [MQTT-3.2.2-2]. */
  readonly isPresent: boolean;
  /** Given when the client may only be told once this has resolved: a session that is over must not return. */
  readonly durable: Promise<unknown> | undefined;
}

/** What the session of a client holds. */
export interface SessionSummary {
  readonly subscriptions: number;
  readonly inFlight: number;
  readonly queued: number;
}

export interface SessionsParts {
  readonly bounds: Bounds;
  readonly connections: number;
  readonly queuedMessages: number;
  /** The monotonic clock. */
  readonly now: () => number;
  /** Resolves when others have had their turn. */
  readonly rest: () => Promise<void>;
  /** Told how many messages a client will not get. */
  readonly lost: (reason: DropReason, messages: number) => void;
  /** What should last could not be made so. */
  readonly failed: (error: unknown) => void;
}

/** Acknowledged messages of one session that are put into the journal at once at the latest. */
const acknowledgedMost = 500;

/** The sessions of all clients, with their subscriptions. */
export class Sessions {
  readonly router: Router;
  readonly wills: Wills;
  #journal: Journal | undefined;
  /** What is durable when this is, so is all before. */
  #lastAppend: Promise<unknown> | undefined;
  /** Those of clients that are away first, the longest away at the front. */
  readonly #sessions = new Map<string, Session>();
  /** With acknowledgements that are not in the journal. */
  readonly #unwritten = new Set<Session>();
  readonly #sessionsMax: number;
  readonly #parts: SessionsParts;
  readonly #sessionParts: SessionParts;

  constructor(parts: SessionsParts) {
    const { bounds, queuedMessages, now, lost, failed } = parts;
    this.#parts = parts;
    this.#sessionsMax = Math.ceil(parts.connections * bounds.sessionsPerConnection);
    this.wills = new Wills(this.#sessionsMax);
    const held = { bytes: 0 };
    this.router = new Router({
      groups: {
        ...{ queuedMessages, queuedBytes: bounds.queuedBytes, held, failed },
        dropped: (messages) => lost('queue_full', messages),
        load: (positions) => this.#load(positions),
      },
      fanOut: { bounds, now, rest: parts.rest },
    });
    this.#sessionParts = {
      ...{ bounds, queuedMessages, now, held, failed, dropped: lost },
      journal: () => this.#journal,
      acknowledged: (session, message, giver) => this.#acknowledged(session, message, giver),
      roomFor: (filter) => this.router.group(filter)?.give(),
    };
  }

  get count(): number {
    return this.#sessions.size;
  }

  get journal(): Journal | undefined {
    return this.#journal;
  }

  get(client: string): Session | undefined {
    return this.#sessions.get(client);
  }

  /** Whether a session is there that the client can take up again. */
  isKept(client: string): boolean {
    return this.#sessions.get(client)?.isKept ?? false;
  }

  summary(client: string): SessionSummary | undefined {
    const session = this.#sessions.get(client);
    if (session === undefined) return undefined;
    const { inFlight, queued } = session.outbox;
    return { subscriptions: session.subscriptions.size, inFlight, queued };
  }

  /**
   * The session of a client that connects, and whether it was there before [MQTT-3.2.2-2]. The
   * connection it had before has left it.
   */
  begin(client: string, beginning: Beginning): Begun {
    const { cleanStart, expirySeconds, will } = beginning;
    this.#endIfDue(this.#sessions.get(client), this.#parts.now());
    const before = this.#sessions.get(client);
    const isOver = before?.isKept === true && (cleanStart || expirySeconds === 0);
    if (cleanStart && before !== undefined) this.end(before);
    const isPresent = !cleanStart && before !== undefined;
    if (isPresent && this.wills.cancel(client)) this.note([{ kind: 'willGone', client }]);
    const session = this.#sessions.get(client) ?? this.#create(client);
    const records: SessionRecord[] = [];
    if (expirySeconds > 0) {
      records.push({ kind: isPresent ? 'back' : 'began', client, expirySeconds });
    } else if (session.isKept) {
      records.push({ kind: 'ended', client });
    }
    session.expirySeconds = expirySeconds;
    session.isConnected = true;
    session.will = will;
    session.knownIncoming?.resume();
    if (will !== undefined) {
      const { delaySeconds } = will;
      const message = new Message(willMessage(client, will), this.#parts.now()).record();
      records.push({ kind: 'will', client, delaySeconds, message });
    }
    this.note(records);
    // To the end of the order in which sessions are given up.
    this.#sessions.delete(client);
    this.#sessions.set(client, session);
    const isNew = !isPresent && expirySeconds > 0;
    return { session, isPresent, durable: isNew || isOver ? this.#lastAppend : undefined };
  }

  /** The client is gone; `isProper` says that its will is not to be sent [MQTT-3.1.2-10]. */
  leave(session: Session, expirySeconds: number, isProper: boolean): void {
    const { client, will } = session;
    const now = this.#parts.now();
    session.isConnected = false;
    session.expirySeconds = expirySeconds;
    session.leftAt = now;
    session.will = undefined;
    session.outbox.detach();
    if (expirySeconds === 0) {
      this.#unwritten.delete(session);
      this.#write(session, []);
    } else {
      const { sentUpTo } = session.outbox;
      this.#write(session, [{ kind: 'left', client, expirySeconds, sentUpTo }]);
    }
    if (will !== undefined && isProper) this.note([{ kind: 'willGone', client }]);
    else if (will !== undefined) {
      const delaySeconds = Math.min(will.delaySeconds, expirySeconds);
      this.wills.due(client, willMessage(client, will), delaySeconds, now);
    }
    if (expirySeconds === 0) this.end(session);
  }

  /** The session is over: nothing of it is left. Returns how many messages its client misses. */
  end(session: Session): number {
    const { client } = session;
    const missed = session.outbox.end();
    for (const filter of [...session.subscriptions.keys()]) this.router.remove(session, filter);
    this.#sessions.delete(client);
    this.#unwritten.delete(session);
    if (session.isKept) this.note([{ kind: 'ended', client }]);
    this.wills.sessionEnded(client);
    return missed;
  }

  /** Sees to what time brings. */
  check(): void {
    const now = this.#parts.now();
    this.wills.check(now);
    for (const session of this.#sessions.values()) this.#endIfDue(session, now);
    this.writeAcknowledged();
  }

  /** Puts into the journal what has been acknowledged. */
  writeAcknowledged(): void {
    for (const session of this.#unwritten) this.#write(session, []);
    this.#unwritten.clear();
  }

  /** Puts records into the journal; nobody waits for them. */
  note(records: readonly JournalRecord[]): void {
    if (records.length === 0 || this.#journal === undefined) return;
    this.#lastAppend = this.#journal.append(records);
    this.#lastAppend.catch(this.#parts.failed);
  }

  /** Takes up what the log says, and goes on in it. */
  restore(state: KeptState, journal: Journal): void {
    const now = this.#parts.now();
    this.#journal = journal;
    for (const kept of state.sessions) this.#restoreSession(kept, now);
    for (const { filter, waiting } of state.groups) this.router.group(filter)?.restore(waiting);
    this.wills.restore(state.wills, now);
  }

  #restoreSession(kept: KeptSession, now: number): void {
    const session = this.#create(kept.client);
    session.expirySeconds = kept.expirySeconds;
    session.leftAt = now - kept.awayMs;
    for (const { request, subscriptionId } of kept.subscriptions) {
      const sharedFilter = shareName(request.filter);
      this.router.add({ session, request, subscriptionId, sharedFilter });
    }
    for (const id of kept.receivedIds) session.incoming.arrive(id, true);
    session.outbox.restore(kept.waiting, kept.recorded, kept.sentUpTo);
  }

  #create(client: string): Session {
    if (this.#sessions.size >= this.#sessionsMax) this.#evict();
    const session = new Session(client, this.#sessionParts);
    this.#sessions.set(client, session);
    return session;
  }

  #evict(): void {
    for (const session of this.#sessions.values()) {
      if (session.isConnected) continue;
      const missed = this.end(session);
      if (missed > 0) this.#parts.lost('session_evicted', missed);
      return;
    }
  }

  #endIfDue(session: Session | undefined, now: number): void {
    if (session === undefined || session.isConnected || session.expirySeconds === forEver) return;
    if (now - session.leftAt >= session.expirySeconds * 1000) this.end(session);
  }

  #acknowledged(session: Session, message: Message, giver: Giver | undefined): void {
    const { position } = message;
    if (this.#journal === undefined) return;
    if (giver !== undefined) {
      session.acknowledgedShared ??= new Map();
      const before = session.acknowledgedShared.get(giver.filter);
      if (before === undefined) session.acknowledgedShared.set(giver.filter, [position]);
      else before.push(position);
    }
    if (session.isKept) session.acknowledgedPositions.push(position);
    else if (giver === undefined) return;
    this.#unwritten.add(session);
    if (session.acknowledgedPositions.length >= acknowledgedMost) this.#write(session, []);
  }

  #write(session: Session, more: readonly SessionRecord[]): void {
    const { client, outbox, acknowledgedPositions, acknowledgedShared } = session;
    if (acknowledgedPositions.length === 0 && acknowledgedShared === undefined) {
      this.note(more);
      return;
    }
    const { lowest, highest } = outbox;
    const settled = Math.min(lowest < 0 ? highest : lowest - 1, this.router.routedUpTo - 1);
    const upTo = session.isKept ? Math.max(0, settled) : 0;
    const beyond = acknowledgedPositions.filter((position) => position > upTo);
    const shared = acknowledgedShared && Object.fromEntries(acknowledgedShared);
    session.acknowledgedPositions = [];
    session.acknowledgedShared = undefined;
    const record = {
      kind: 'acknowledged',
      client,
      upTo,
      beyond,
      ...(shared && { shared }),
    } as const;
    this.note([record, ...more]);
  }

  async #load(positions: readonly Position[]): Promise<Message[]> {
    const found = (await this.#journal?.messages(positions)) ?? [];
    const now = this.#parts.now();
    return found.map(({ position, record, ageMs }) => new Message(record, now, position, ageMs));
  }
}
