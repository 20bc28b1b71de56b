import type { CombinedShare, Giver, Share } from './delivery.ts';
import { Incoming } from './incoming.ts';
import type { Position } from './journal.ts';
import type { Message } from './message.ts';
import { Outbox } from './outbox.ts';
import type { FilterRequest, WillRequest } from './packets.ts';
import type { OutboxParts, Recipient } from './recipient.ts';
import { filterMatches } from './topic-tree.ts';
import { Turns } from './turns.ts';

export const forEver = 0xffff_ffff;

/** One client's wish for messages. */
export interface Subscription {
  readonly session: Session;
  readonly request: FilterRequest;
  readonly subscriptionId: number | undefined;
  /** Given when it is shared with others: what stands behind the name. */
  readonly sharedFilter: string | undefined;
  /** The sequence of the last message that was published before it. */
  since?: number;
}

/** What happens to acknowledgements of messages that are in the log. */
export type Acknowledged = (session: Session, message: Message, giver: Giver | undefined) => void;

export interface SessionParts extends OutboxParts {
  readonly acknowledged: Acknowledged;
  /** A member of the shared subscription under this whole filter has room. */
  roomFor(filter: string): void;
}

const noSubscriptions: ReadonlyMap<string, Subscription> = new Map();

/** One client's session (OASIS MQTT 5.0, clause 4.1). */
export class Session implements Recipient {
  readonly client: string;
  /** For how long it outlives its connection, in seconds; `forEver` is for ever. */
  expirySeconds = 0;
  isConnected = false;
  /** When the client went, on the monotonic clock. */
  leftAt = 0;
  will: WillRequest | undefined;
  /** New filters that are granted once that is durable. */
  filtersPending = 0;
  /** Positions acknowledged since that was last put into the journal. */
  acknowledgedPositions: Position[] = [];
  /** The same, of shared subscriptions. */
  acknowledgedShared: Map<string, Position[]> | undefined;
  readonly outbox: Outbox;
  #subscriptions: Map<string, Subscription> | undefined;
  /** Of those, the filters that are shared. */
  #shared: Set<string> | undefined;
  #incoming: Incoming | undefined;
  #answers: Turns | undefined;
  readonly #parts: SessionParts;

  constructor(client: string, parts: SessionParts) {
    this.client = client;
    this.#parts = parts;
    this.outbox = new Outbox(this, parts);
  }

  get isKept(): boolean {
    return this.expirySeconds > 0;
  }

  get isJournaled(): boolean {
    return this.expirySeconds > 0 && this.#parts.journal() !== undefined;
  }

  get subscriptions(): ReadonlyMap<string, Subscription> {
    return this.#subscriptions ?? noSubscriptions;
  }

  /** Packet identifiers of messages that the client sends. */
  get incoming(): Incoming {
    this.#incoming ??= new Incoming();
    return this.#incoming;
  }

  /** Answers that must be durable before they leave: in the order of what they answer. */
  get answers(): Turns {
    this.#answers ??= new Turns();
    return this.#answers;
  }

  /** Undefined when there never were any. */
  get knownIncoming(): Incoming | undefined {
    return this.#incoming;
  }

  put(subscription: Subscription): void {
    this.#subscriptions ??= new Map();
    const { filter } = subscription.request;
    this.#subscriptions.set(filter, subscription);
    if (subscription.sharedFilter === undefined) return;
    this.#shared ??= new Set();
    this.#shared.add(filter);
  }

  remove(filter: string): void {
    this.#subscriptions?.delete(filter);
    this.#shared?.delete(filter);
  }

  shareOf(message: Message): Share | undefined {
    let share: CombinedShare | undefined;
    for (const [filter, subscription] of this.subscriptions) {
      if (subscription.sharedFilter !== undefined || !filterMatches(filter, message.topic))
        continue;
      if (isOwn(subscription, message)) continue;
      const next = shareOf(subscription, message);
      if (share === undefined) share = combinedOf(next);
      else combine(share, next);
    }
    return share;
  }

  acknowledged(message: Message, giver: Giver | undefined): void {
    this.#parts.acknowledged(this, message, giver);
  }

  hasRoom(): void {
    if (this.#shared === undefined) return;
    for (const filter of this.#shared) this.#parts.roomFor(filter);
  }
}

const noIds: readonly number[] = Object.freeze([]);

/** Whether the client asked not to get what it published itself [MQTT5-3.8.3-3]. */
export function isOwn({ request, session }: Subscription, { from }: Message): boolean {
  return request.noLocal && from === session.client;
}

/** What a subscription makes of a message. */
export function shareOf({ request, subscriptionId }: Subscription, message: Message): Share {
  return {
    qos: Math.min(message.qos, request.qos) as 0 | 1 | 2,
    retain: request.retainAsPublished && message.retain,
    subscriptionIds: subscriptionId === undefined ? noIds : [subscriptionId],
  };
}

export function combinedOf({ qos, retain, subscriptionIds }: Share): CombinedShare {
  return { qos, retain, subscriptionIds: [...subscriptionIds] };
}

/** Of overlapping subscriptions a client gets one copy [MQTT-3.3.5-1], with what all have asked. */
export function combine(share: CombinedShare, more: Share): void {
  share.qos = Math.max(share.qos, more.qos) as 0 | 1 | 2;
  share.retain ||= more.retain;
  for (const id of more.subscriptionIds) share.subscriptionIds.push(id);
}
