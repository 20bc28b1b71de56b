import type { CombinedShare } from './delivery.ts';
import type { Message } from './message.ts';
import { combine, combinedOf, isOwn, type Session, type Subscription, shareOf } from './session.ts';
import { SharedGroup, type SharedGroupParts } from './shared-group.ts';
import { TopicTree } from './topic-tree.ts';

type Taker = Subscription | SharedGroup;

/** Hands messages to the subscriptions that match (OASIS MQTT 5.0, clauses 3.3.4 and 4.8). */
export class Router {
  readonly #tree = new TopicTree<Taker>();
  readonly #groups = new Map<string, SharedGroup>();
  readonly #groupParts: Omit<SharedGroupParts, 'filter'>;
  #subscriptions = 0;
  #version = 0;
  #sequence = 0;

  constructor(groupParts: Omit<SharedGroupParts, 'filter'>) {
    this.#groupParts = groupParts;
  }

  /** Another number after every change of a subscription. */
  get version(): number {
    return this.#version;
  }

  get subscriptions(): number {
    return this.#subscriptions;
  }

  /** Nothing waits here: what a subscriber does not take is the affair of its outbox. */
  get busy(): boolean {
    return false;
  }

  /** The sequence of the message that was routed last. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether a subscriber may want messages under this topic. */
  wants(topic: string): boolean {
    return this.#tree.match(topic).length > 0;
  }

  /** Whether a session that lasts wants them at QoS 1 or 2. */
  keeps(topic: string): boolean {
    for (const taker of this.#tree.match(topic)) {
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
    this.#version += 1;
    if (before === undefined) this.#subscriptions += 1;
    session.put(subscription);
    if (sharedFilter !== undefined) {
      this.#groupFor(request.filter, sharedFilter).join(subscription);
      return;
    }
    if (before !== undefined) this.#tree.remove(request.filter, (taker) => taker === before);
    this.#tree.add(request.filter, subscription);
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

  route(message: Message): void {
    this.#sequence += 1;
    message.sequence = this.#sequence;
    const takers = this.#tree.match(message.topic);
    if (takers.length === 1) {
      const taker = takers[0]!;
      if (taker instanceof SharedGroup) taker.route(message);
      else if (!isOwn(taker, message)) taker.session.outbox.push(message, shareOf(taker, message));
      return;
    }
    let shares: Map<Session, CombinedShare> | undefined;
    for (const taker of takers) {
      if (taker instanceof SharedGroup) {
        taker.route(message);
        continue;
      }
      if (isOwn(taker, message)) continue;
      const { session } = taker;
      if (session.subscriptions.size === 1) {
        session.outbox.push(message, shareOf(taker, message));
        continue;
      }
      shares ??= new Map();
      const before = shares.get(session);
      if (before === undefined) shares.set(session, combinedOf(shareOf(taker, message)));
      else combine(before, shareOf(taker, message));
    }
    if (shares === undefined) return;
    for (const [session, share] of shares) session.outbox.push(message, share);
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
