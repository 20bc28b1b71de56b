import { isKept } from './access.ts';
import type { PublishView } from './decode/publish.ts';
import { encodeAcknowledgement } from './encode-answers.ts';
import { byName } from './fast-lane.ts';
import { printOf } from './incoming.ts';
import type { Arrival, Intake } from './intake.ts';
import type { MessageRecord, Position } from './journal.ts';
import { Message, type MessageContent } from './message.ts';
import type { Peer } from './peer.ts';
import type { Retained } from './retained.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { KnownTopic } from './topic-table.ts';

export interface InboundParts {
  readonly intake: Intake;
  readonly sessions: Sessions;
  readonly retained: Retained;
  /** The monotonic clock. */
  readonly monotonic: () => number;
  /** The wall clock. */
  readonly now: () => number;
  sessionOf(guard: Peer): Session | undefined;
}

const pubrec = 0x50;
const pubcomp = 0x70;
const identifierNotFound = 0x92;

/**
 * The way of messages that do not take the fast lane: retained ones, QoS 2, wills, and those of the
 * gateway itself. What is to last is in the log before anybody is told.
 */
export class Inbound {
  readonly #parts: InboundParts;
  /** Retained messages of a connection that are not safe yet. */
  readonly #retaining = new Map<Peer, number>();

  constructor(parts: InboundParts) {
    this.#parts = parts;
  }

  /** A message that the client may publish. */
  publish(guard: Peer, view: PublishView, { topic }: KnownTopic): void {
    const { id, qos, retain, dup } = view;
    const properties = view.hasProperties ? view.properties.message() : undefined;
    const content: MessageContent = {
      ...{ topic, payload: view.bytes.subarray(view.payloadAt, view.end) },
      ...{ qos, retain, from: guard.client },
      ...(properties !== undefined && { properties }),
    };
    if (qos === 2) this.#publishTwo(guard, content, id, dup);
    else {
      if (qos === 1) guard.publisher.inFlight += 1;
      this.#keep(guard, content, guard.receivedAt, undefined, (lost) => {
        if (lost && qos === 1) guard.close();
        else if (qos === 1) guard.publisher.acknowledge(id);
        return !lost || qos === 0;
      });
    }
  }

  /** Whether a retained message of the connection is on its way. */
  isRetaining(guard: Peer): boolean {
    return this.#retaining.has(guard);
  }

  /** PUBREL: the identifier is free again, and that is durable before it is said. */
  release(guard: Peer, id: number): void {
    const { sessions, sessionOf } = this.#parts;
    const session = sessionOf(guard);
    if (session === undefined) return;
    const { client } = session;
    const isKnown = session.knownIncoming?.release(id) ?? false;
    const answer = (): void => {
      const reason = isKnown || guard.level !== 5 ? 0 : identifierNotFound;
      guard.connection.answer(encodeAcknowledgement(pubcomp, id, reason));
    };
    const durable =
      isKnown && session.isJournaled
        ? sessions.journal?.append([{ kind: 'released', client, id }])
        : undefined;
    session.answers.take(durable, answer, () => guard.close());
  }

  /** A will, or a message of the gateway itself. Resolves when it has been routed. */
  async accept(content: MessageContent, isIngested: boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const settled = (lost: boolean, position?: Position): void => {
        const routed = lost ? undefined : this.route(content, position);
        if (routed === undefined) queueMicrotask(resolve);
        else void routed.then(resolve);
      };
      const record = this.record(content);
      const arrival = arrivalOf(content, this.#parts.now());
      const { intake } = this.#parts;
      if (record === undefined && !isIngested) settled(false);
      else if (record === undefined) intake.accept(undefined, arrival, settled);
      else if (isIngested) intake.accept(undefined, { ...arrival, record }, settled);
      else intake.accept(undefined, { ...arrival, record, recordOnly: true }, settled);
    });
  }

  /** Hands a message that is safe to its subscribers, and keeps it if it is to be retained. */
  route(content: MessageContent, position?: Position): Promise<void> | undefined {
    const { monotonic, retained, sessions } = this.#parts;
    const place = position === undefined || position === 0 ? -1 : position;
    const message = new Message(content, monotonic(), place);
    if (!message.retain) return sessions.router.route(message);
    return sessions.router.route(message, () => retained.store(message));
  }

  /** What is to be kept in the log of a message, besides what it tells. */
  record(content: MessageContent, incomingId?: number): MessageRecord | undefined {
    const { sessions } = this.#parts;
    const { topic, qos, retain, from } = content;
    if (sessions.journal === undefined || topic.startsWith('$SYS/')) return undefined;
    const isWanted =
      (retain && from !== undefined) ||
      (qos > 0 && sessions.router.keeps(topic)) ||
      incomingId !== undefined;
    if (!isWanted) return undefined;
    return { kind: 'message', ...content, ...(incomingId !== undefined && { incomingId }) };
  }

  #publishTwo(guard: Peer, content: MessageContent, id: number, dup: boolean): void {
    const { intake, sessionOf } = this.#parts;
    const session = sessionOf(guard);
    if (session === undefined) return;
    const { incoming } = session;
    const answer = (): void => {
      guard.connection.answer(encodeAcknowledgement(pubrec, id));
    };
    if (!incoming.arrive(id, dup, printOf(content.topic, content.payload))) {
      // In its turn: the first of them is safe by then.
      intake.pass(() => (incoming.has(id) ? answer() : guard.close()));
      return;
    }
    const incomingId = session.isJournaled ? id : undefined;
    this.#keep(guard, content, guard.receivedAt, incomingId, (lost) => {
      if (lost) {
        incoming.release(id);
        guard.close();
      } else answer();
      return !lost;
    });
  }

  #retained(guard: Peer): void {
    const left = this.#retaining.get(guard)! - 1;
    if (left === 0) this.#retaining.delete(guard);
    else this.#retaining.set(guard, left);
  }

  /** `settled` says whether the message goes on. */
  #keep(
    guard: Peer | undefined,
    content: MessageContent,
    receivedAt: number,
    incomingId: number | undefined,
    settled: (lost: boolean) => boolean,
  ): void {
    const { intake } = this.#parts;
    const record = this.record(content, incomingId);
    const from = content.retain ? guard : undefined;
    if (from !== undefined) this.#retaining.set(from, (this.#retaining.get(from) ?? 0) + 1);
    const act = (lost: boolean, position?: Position): void => {
      if (from !== undefined) this.#retained(from);
      if (settled(lost)) void this.route(content, position);
    };
    const arrival = arrivalOf(content, receivedAt);
    const isIngested = isKept(content.topic);
    if (record === undefined && !isIngested) intake.pass(act);
    else if (record === undefined) intake.accept(guard, arrival, act);
    else if (isIngested) intake.accept(guard, { ...arrival, record }, act);
    else intake.accept(guard, { ...arrival, record, recordOnly: true }, act);
  }
}

function arrivalOf({ topic, payload, properties }: MessageContent, receivedAt: number): Arrival {
  const pairs = properties?.userProperties;
  if (pairs === undefined) return { topic, payload, receivedAt };
  return { topic, payload, receivedAt, properties: byName(pairs) };
}
