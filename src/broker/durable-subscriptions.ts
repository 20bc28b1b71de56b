import { PositionQueue } from './durable-queue.ts';
import type { KeptSubscription } from './durable-state.ts';
import type { MessageRecord } from './journal.ts';
import { TopicTree } from './topic-tree.ts';

/** Who a message waits for: a session by its client, or all the members of a group. */
type Target =
  | { readonly client: string; readonly filter: string; readonly noLocal: boolean }
  | { readonly filter: string; readonly group: PositionQueue };

interface Group {
  /** The QoS of each member; those at QoS 0 are none for whom anything waits. */
  readonly members: Map<string, 0 | 1 | 2>;
  readonly waiting: PositionQueue;
}

const sharedForm = /^\$share\/[^/]+\/(.+)$/s;

/** The subscriptions of sessions that are kept, as far as messages wait for them: at QoS 1 and 2. */
export class DurableSubscriptions {
  readonly #byClient = new Map<string, Map<string, KeptSubscription>>();
  readonly #groups = new Map<string, Group>();
  readonly #tree = new TopicTree<Target>();

  /** Takes the place of one with the same filter. */
  add(client: string, subscription: KeptSubscription): void {
    const { filter, qos, noLocal } = subscription.request;
    const shared = sharedForm.exec(filter)?.[1];
    // What waits for a group outlives a member's asking anew.
    if (shared === undefined) this.remove(client, filter);
    const own = this.#byClient.get(client) ?? new Map<string, KeptSubscription>();
    own.set(filter, subscription);
    this.#byClient.set(client, own);
    if (shared !== undefined) this.#join(filter, shared, client, qos);
    else if (qos > 0) this.#tree.add(filter, { client, filter, noLocal });
  }

  remove(client: string, filter: string): void {
    const own = this.#byClient.get(client);
    if (own?.delete(filter) !== true) return;
    if (own.size === 0) this.#byClient.delete(client);
    if (this.#groups.has(filter)) this.#leave(filter, client);
    else {
      this.#tree.remove(
        filter,
        (it) => it.filter === filter && 'client' in it && it.client === client,
      );
    }
  }

  removeAll(client: string): void {
    for (const filter of [...(this.#byClient.get(client)?.keys() ?? [])])
      this.remove(client, filter);
  }

  get count(): number {
    let count = 0;
    for (const own of this.#byClient.values()) count += own.size;
    return count;
  }

  of(client: string): KeptSubscription[] {
    return [...(this.#byClient.get(client)?.values() ?? [])];
  }

  /** Who wants the message, sessions and groups; sessions may come more than once. */
  wanting({ topic, from }: MessageRecord): { clients: string[]; groups: PositionQueue[] } {
    const clients: string[] = [];
    const groups: PositionQueue[] = [];
    for (const target of this.#tree.match(topic)) {
      if ('group' in target) groups.push(target.group);
      else if (!target.noLocal || target.client !== from) clients.push(target.client);
    }
    return { clients, groups };
  }

  /** In no order that means anything. */
  *groups(): Generator<readonly [filter: string, waiting: PositionQueue]> {
    for (const [filter, { waiting }] of this.#groups) yield [filter, waiting];
  }

  group(filter: string): PositionQueue | undefined {
    return this.#groups.get(filter)?.waiting;
  }

  #join(filter: string, topicFilter: string, client: string, qos: 0 | 1 | 2): void {
    let group = this.#groups.get(filter);
    if (group === undefined) {
      group = { members: new Map(), waiting: new PositionQueue() };
      this.#groups.set(filter, group);
    }
    const wanted = wants(group);
    group.members.set(client, qos);
    if (wanted !== wants(group)) this.#turn(filter, topicFilter, group);
  }

  #leave(filter: string, client: string): void {
    const group = this.#groups.get(filter)!;
    const wanted = wants(group);
    group.members.delete(client);
    if (wanted !== wants(group)) this.#turn(filter, sharedForm.exec(filter)![1]!, group);
    if (group.members.size === 0) this.#groups.delete(filter);
  }

  /** Nothing waits for a group in which nobody is at QoS 1 or 2. */
  #turn(filter: string, topicFilter: string, group: Group): void {
    if (wants(group)) this.#tree.add(topicFilter, { filter, group: group.waiting });
    else {
      this.#tree.remove(topicFilter, (it) => 'group' in it && it.group === group.waiting);
      group.waiting.trim(0);
    }
  }
}

const wants = ({ members }: Group): boolean => [...members.values()].some((qos) => qos > 0);
