import { FanOut, type FanOutParts, Shares, type Taker } from './fan-out.ts';
import type { Position } from './journal.ts';
import type { Message } from './message.ts';
import { isOwn, type Session, type Subscription, shareOf } from './session.ts';
import { SharedGroup, type SharedGroupParts } from './shared-group.ts';
import { TopicTree } from './topic-tree.ts';

export interface RouterParts {
  readonly groups: Omit<SharedGroupParts, 'filter'>;
  readonly fanOut: FanOutParts;
}

/** Hands messages to the subscriptions that match (OASIS MQTT 5.0, clauses 3.3.4 and 4.8). */
export class Router {
  readonly #tree = new TopicTree<Taker>();
  readonly #groups = new Map<string, SharedGroup>();
  readonly #groupParts: Omit<SharedGroupParts, 'filter'>;
  readonly #fanOut: FanOut;
  #subscriptions = 0;
  #version = 0;
  #sequence = 0;

  constructor({ groups, fanOut }: RouterParts) {
    this.#groupParts = groups;
    this.#fanOut = new FanOut(fanOut);
  }

  /** Another number after every change of a subscription. */
  get version(): number {
    return this.#version;
  }

  get subscriptions(): number {
    return this.#subscriptions;
  }

  /** The sequence of the message that was routed last. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether so much of what the client has published is still on its way that it is to wait. */
  isBehind(client: string | undefined): boolean {
    return this.#fanOut.isBehind(client);
  }

  /** What is below here has been handed to those who want it; Infinity for everything. */
  get routedUpTo(): Position {
    return this.#fanOut.lowest;
  }

  /** Whether a subscriber may want messages under this topic. */
  wants(topic: string): boolean {
    return this.#tree.matchFew(topic, fewTakers)?.length !== 0;
  }

  /** Whether a session that lasts may want them at QoS 1 or 2. */
  keeps(topic: string): boolean {
    const takers = this.#tree.matchFew(topic, askedTakers);
    // Not worth a look at all of them: somebody will.
    if (takers === undefined) return true;
    for (const taker of takers) {
      const subscriptions = taker instanceof SharedGroup ? taker.members : [taker];
      if (subscriptions.some(({ request, session }) => request.qos > 0 && session.isKept)) {
        return true;
      }
    }
    return false;
  }

  group(filter: string): SharedGroup | undefined {
    return this.#groups.get(filter);
  }

  /** Takes the place of the subscription that the session had under the same filter. */
  add(subscription: Subscription): void {
    const { session, request, sharedFilter } = subscription;
    const before = session.subscriptions.get(request.filter);
    subscription.since = before?.since ?? this.#sequence;
    this.#version += 1;
    if (before === undefined) this.#subscriptions += 1;
    session.put(subscription);
    if (sharedFilter !== undefined) {
      this.#groupFor(request.filter, sharedFilter).join(subscription);
      return;
    }
    // In this order: a message on its way must find one of them.
    this.#tree.add(request.filter, subscription);
    if (before !== undefined) this.#tree.remove(request.filter, (taker) => taker === before);
  }

  /** False when there was none. */
  remove(session: Session, filter: string): boolean {
    const subscription = session.subscriptions.get(filter);
    if (subscription === undefined) return false;
    this.#version += 1;
    this.#subscriptions -= 1;
    session.remove(filter);
    const { sharedFilter } = subscription;
    if (sharedFilter === undefined) {
      this.#tree.remove(filter, (taker) => taker === subscription);
    } else {
      const group = this.#groups.get(filter)!;
      if (group.leave(session.client)) {
        this.#groups.delete(filter);
        this.#tree.remove(sharedFilter, (taker) => taker === group);
      }
    }
    return true;
  }

  /**
   * Hands a message to all who want it, and calls `matched` when it is decided who that is. Where
   * they are many, others have a turn meanwhile: it then returns what resolves when all have it.
   */
  route(message: Message, matched?: () => void): Promise<void> | undefined {
    const begin = (): void => {
      this.#sequence += 1;
      message.sequence = this.#sequence;
    };
    const takers = this.#fanOut.mustWait(message)
      ? undefined
      : this.#tree.matchFew(message.topic, fewTakers);
    if (takers !== undefined) {
      begin();
      handOut(message, takers);
      matched?.();
      return undefined;
    }
    return this.#fanOut.add(message, () => {
      begin();
      matched?.();
      return this.#tree.walk(message.topic);
    });
  }

  /** Resolves when everything has been handed out. */
  async idle(): Promise<void> {
    await this.#fanOut.idle();
  }

  #groupFor(filter: string, sharedFilter: string): SharedGroup {
    let group = this.#groups.get(filter);
    if (group === undefined) {
      group = new SharedGroup({ ...this.#groupParts, filter });
      this.#groups.set(filter, group);
      this.#tree.add(sharedFilter, group);
    }
    return group;
  }
}

/** A message for no more than these is handed out in one go: that takes about one turn. */
const fewTakers = 256;
/** So many are asked whether a message is to last; that takes far less. */
const askedTakers = 4096;

function handOut(message: Message, takers: readonly Taker[]): void {
  if (takers.length === 0) return;
  if (takers.length === 1) {
    const taker = takers[0]!;
    if (taker instanceof SharedGroup) taker.route(message);
    else if (!isOwn(taker, message)) taker.session.outbox.push(message, shareOf(taker, message));
    return;
  }
  const shares = new Shares(message);
  for (const taker of takers) shares.add(taker);
  for (const [session, share] of shares.combined) session.outbox.push(message, share);
}
