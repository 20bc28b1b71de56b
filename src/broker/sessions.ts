import type { Bounds } from './bounds.ts';
import { Incoming } from './incoming.ts';
import { ownBytes, type StoredPacket, type StoredSubscription, sizeOf } from './stored.ts';
import { TopicTree } from './topic-tree.ts';

/** One client's session: OASIS MQTT 5.0, clause 4.1. */
interface Session {
  /** Kept when the client goes away. */
  kept: boolean;
  connected: boolean;
  readonly subscriptions: Map<string, StoredSubscription>;
  /** What awaits an acknowledgement or the client's return, oldest first. */
  queue: Queued[];
  queuedBytes: number;
  readonly incoming: Incoming;
}

interface Queued {
  packet: StoredPacket;
  /** Sent before: the next time it is a repeat [MQTT-3.3.1-1]. */
  sent: boolean;
  readonly bytes: number;
}

/** Who gets a message when it is not there to take it. */
export interface Wanting {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

export type SessionLoss = 'queue_full' | 'session_evicted';

const noneWanting: readonly Wanting[] = Object.freeze([]);

/** The sessions of all clients. In memory only: none outlives the process. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  /** Subscriptions of kept sessions with QoS 1 and 2. */
  readonly #wanting = new TopicTree<Wanting>();
  readonly #bounds: Bounds;
  readonly #sessionsMax: number;
  readonly #queuedMax: number;
  readonly #lost: (reason: SessionLoss, messages: number) => void;
  #queuedBytes = 0;

  constructor(parts: {
    readonly bounds: Bounds;
    readonly connections: number;
    readonly queuedMessages: number;
    /** Told how many messages a client will not get. */
    readonly lost: (reason: SessionLoss, messages: number) => void;
  }) {
    this.#bounds = parts.bounds;
    this.#sessionsMax = Math.ceil(parts.connections * parts.bounds.sessionsPerConnection);
    this.#queuedMax = parts.queuedMessages;
    this.#lost = parts.lost;
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** Whether a session is kept that the client can take up again. */
  isKept(id: string): boolean {
    return this.#sessions.get(id)?.kept ?? false;
  }

  attach(id: string, keep: boolean): void {
    const session = this.#of(id);
    session.kept = keep;
    session.connected = true;
    session.incoming.resume();
    // To the end of the order in which sessions are given up.
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
  }

  detach(id: string, keep: boolean): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.connected = false;
    session.kept = keep;
    if (!keep) this.end(id);
  }

  /** The session is over: nothing of it is left. */
  end(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.unsubscribe(id, [...session.subscriptions.keys()]);
    this.#queuedBytes -= session.queuedBytes;
    this.#sessions.delete(id);
    if (!session.connected) return;
    // aedes clears what a client had before it goes on with it.
    this.#of(id).connected = true;
    this.#of(id).kept = session.kept;
  }

  incoming(id: string): Incoming {
    return this.#of(id).incoming;
  }

  subscribe(id: string, subscriptions: readonly StoredSubscription[]): void {
    const session = this.#of(id);
    for (const subscription of subscriptions) {
      this.unsubscribe(id, [subscription.topic]);
      session.subscriptions.set(subscription.topic, subscription);
      const { topic, qos } = subscription;
      if (qos > 0) this.#wanting.add(topic, { clientId: id, topic, qos });
    }
  }

  unsubscribe(id: string, filters: readonly string[]): void {
    const session = this.#sessions.get(id);
    for (const filter of filters) {
      const subscription = session?.subscriptions.get(filter);
      if (subscription === undefined) continue;
      session!.subscriptions.delete(filter);
      if (subscription.qos > 0) this.#wanting.remove(filter, ({ clientId }) => clientId === id);
    }
  }

  subscriptions(id: string): StoredSubscription[] {
    return [...(this.#sessions.get(id)?.subscriptions.values() ?? [])];
  }

  /** The sessions that want a message, each once, at the highest QoS it asked for. */
  wanting(topic: string): readonly Wanting[] {
    const found = this.#wanting.match(topic);
    if (found.length < 2) return found.length === 0 ? noneWanting : found;
    const best = new Map<string, Wanting>();
    for (const candidate of found) {
      const other = best.get(candidate.clientId);
      if (other === undefined || other.qos < candidate.qos) best.set(candidate.clientId, candidate);
    }
    return [...best.values()];
  }

  /** Keeps a message for each; a session that is full misses it. */
  enqueue(wanting: readonly { clientId: string; qos?: 0 | 1 | 2 }[], packet: StoredPacket): void {
    const bytes = sizeOf(packet);
    const payload = wanting.length === 0 ? packet.payload : ownBytes(packet.payload);
    for (const { clientId, qos } of wanting) {
      const session = this.#of(clientId);
      if (this.#isFull(session, bytes)) {
        // A client that is connected gets it all the same, only not a second time.
        if (!session.connected) this.#lost('queue_full', 1);
        continue;
      }
      const lowered = Math.min(packet.qos, qos ?? packet.qos) as 0 | 1 | 2;
      const kept = { ...packet, payload, qos: lowered, messageId: undefined };
      session.queue.push({ packet: kept, sent: false, bytes });
      session.queuedBytes += bytes;
      this.#queuedBytes += bytes;
    }
  }

  /** Notes that a message was sent under its packet identifier, or that a PUBREL stands for it. */
  sent(id: string, packet: StoredPacket): void {
    const queue = this.#sessions.get(id)?.queue ?? [];
    const isRelease = packet.cmd === 'pubrel';
    const found = queue.find((queued) =>
      isRelease ? queued.packet.messageId === packet.messageId : isSame(queued.packet, packet),
    );
    if (found === undefined) return;
    found.sent = true;
    found.packet.messageId = packet.messageId;
    if (isRelease && found.packet.cmd !== 'pubrel') {
      found.packet = { ...found.packet, cmd: 'pubrel', topic: '', payload: '' };
    }
  }

  /** Forgets what the client has acknowledged, and returns it. */
  done(id: string, packet: StoredPacket): StoredPacket | undefined {
    const session = this.#sessions.get(id);
    const index = session?.queue.findIndex((queued) =>
      packet.messageId === undefined
        ? isSame(queued.packet, packet)
        : queued.packet.messageId === packet.messageId,
    );
    if (session === undefined || index === undefined || index < 0) return undefined;
    const [queued] = session.queue.splice(index, 1);
    session.queuedBytes -= queued!.bytes;
    this.#queuedBytes -= queued!.bytes;
    return queued!.packet;
  }

  /** What waits for the client, as it is to be sent now. */
  queued(id: string): StoredPacket[] {
    const queue = this.#sessions.get(id)?.queue ?? [];
    return queue.map(({ packet, sent }) => ({ ...packet, dup: sent && packet.cmd === 'publish' }));
  }

  #of(id: string): Session {
    let session = this.#sessions.get(id);
    if (session === undefined) {
      if (this.#sessions.size >= this.#sessionsMax) this.#evict();
      session = {
        kept: false,
        connected: false,
        subscriptions: new Map(),
        queue: [],
        queuedBytes: 0,
        incoming: new Incoming(),
      };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #isFull(session: Session, bytes: number): boolean {
    const { queuedBytes, queuedBytesTotal } = this.#bounds;
    return (
      session.queue.length >= this.#queuedMax ||
      session.queuedBytes + bytes > queuedBytes ||
      this.#queuedBytes + bytes > queuedBytesTotal
    );
  }

  #evict(): void {
    for (const [id, session] of this.#sessions) {
      if (session.connected) continue;
      this.#lost('session_evicted', session.queue.length);
      this.end(id);
      return;
    }
  }
}

function isSame(a: StoredPacket, b: StoredPacket): boolean {
  return a.brokerCounter === b.brokerCounter && a.brokerId === b.brokerId;
}
