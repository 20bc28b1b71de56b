import type { Rights } from './access.ts';
import type { Connection } from './connection.ts';
import { broken } from './decode/clauses.ts';
import type { PublishView } from './decode/publish.ts';
import { Refusal } from './decode/refusal.ts';
import { encodeAcknowledgement } from './encode-answers.ts';
import { isSame, type KnownTopic, type TopicTable } from './topic-table.ts';

/** A topic that one client publishes to. */
export interface OwnTopic {
  readonly known: KnownTopic;
  readonly allowed: boolean;
}

/** A device publishes to a few topics again and again. */
const recentMax = 8;

/**
 * What one connection has published: the topics it used last, what its aliases stand for
 * [MQTT5-3.3.2.3.4], and how many of its messages await their acknowledgement [MQTT5-4.9].
 */
export class Publisher {
  /** QoS 1 messages that are not acknowledged. */
  inFlight = 0;
  /** Identifiers of QoS 2 messages that are not released. */
  #open: Set<number> | undefined;
  #last: OwnTopic | undefined;
  #recent: OwnTopic[] | undefined;
  #next = 0;
  #aliases: Map<number, KnownTopic> | undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Messages that await an acknowledgement. */
  get unacknowledged(): number {
    return this.inFlight + (this.#open?.size ?? 0);
  }

  /**
   * Whether a PUBLISH that begins with `first` is one more under way than the client was told it
   * may have [MQTT5-3.3.4-7].
   */
  exceeds(first: number, most: number): boolean {
    // A QoS 2 message that comes again is under way already.
    const again = (first & 0x0c) === 0x0c;
    return (first & 6) !== 0 && !again && this.unacknowledged >= most;
  }

  /** A QoS 2 message has come. */
  opened(id: number): void {
    this.#open ??= new Set();
    this.#open.add(id);
  }

  /** The client has released a QoS 2 message, or was told that it is not taken. */
  released(id: number): void {
    this.#open?.delete(id);
  }

  /** Acknowledges a QoS 1 message. */
  acknowledge(id: number, reason = 0, text = ''): void {
    this.inFlight -= 1;
    this.answer(0x40, id, reason, text);
  }

  /** Acknowledges QoS 1 messages: a part of `ids`, in one piece. */
  acknowledgeAll(ids: ArrayLike<number>, from: number, to: number): void {
    const bytes = Buffer.allocUnsafe(4 * (to - from));
    for (let index = from, at = 0; index < to; index++) {
      const id = ids[index]!;
      bytes[at++] = 0x40;
      bytes[at++] = 2;
      bytes[at++] = id >> 8;
      bytes[at++] = id & 0xff;
    }
    this.inFlight -= to - from;
    this.#connection.traffic.packetsOut += to - from;
    this.#connection.write(bytes);
  }

  /** Writes an acknowledgement; `first` is its first byte. */
  answer(first: number, id: number, reason: number, text = ''): void {
    const connection = this.#connection;
    const encode = (why: string) => encodeAcknowledgement(first, id, reason, why);
    connection.answer(reason > 0 ? connection.fitting(encode, text) : encode(''));
  }

  /** The topic of a message, its alias resolved, or what is wrong with it. */
  topicOf(
    view: PublishView,
    table: TopicTable,
    rights: Rights,
    aliasMaximum: number,
  ): OwnTopic | Refusal {
    const { alias, topicAt, topicEnd, bytes } = view;
    if (alias > aliasMaximum) return broken.aliasTooLarge;
    if (topicAt === topicEnd) {
      const known = this.#aliases?.get(alias);
      return known === undefined ? broken.aliasUnknown : this.#own(known, rights);
    }
    const own = this.#recentOf(bytes, topicAt, topicEnd);
    const known = own === undefined ? table.find(bytes, topicAt, topicEnd) : own.known;
    if (known instanceof Refusal) return known;
    if (alias > 0) {
      this.#aliases ??= new Map();
      this.#aliases.set(alias, known);
    }
    return own ?? this.#own(known, rights);
  }

  /** Others may be allowed from now on. */
  forgetRights(): void {
    this.#last = undefined;
    this.#recent = undefined;
    this.#next = 0;
  }

  #recentOf(bytes: Buffer, from: number, to: number): OwnTopic | undefined {
    const last = this.#last;
    if (last !== undefined && isSame(last.known.bytes, bytes, from, to)) return last;
    const recent = this.#recent;
    if (recent === undefined) return undefined;
    for (const own of recent) {
      if (!isSame(own.known.bytes, bytes, from, to)) continue;
      this.#last = own;
      return own;
    }
    return undefined;
  }

  #own(known: KnownTopic, rights: Rights): OwnTopic {
    if (this.#last?.known === known) return this.#last;
    this.#recent ??= [];
    let own = this.#recent.find((each) => each.known === known);
    if (own === undefined) {
      own = { known, allowed: rights.mayPublish(known.topic) };
      this.#recent[this.#next] = own;
      this.#next = (this.#next + 1) % recentMax;
    }
    this.#last = own;
    return own;
  }
}
