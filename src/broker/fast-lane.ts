import type { PublishView } from './decode/publish.ts';
import type { Arrival, Intake } from './intake.ts';
import type { MessageRecord, Position } from './journal.ts';
import type { PublishedMessage, UserProperties } from './packets.ts';
import type { Peer } from './peer.ts';
import type { OwnTopic } from './publisher.ts';
import type { KnownTopic } from './topic-table.ts';

/** Who may want a message. */
export interface Routing {
  /** Another number after every change of a subscription. */
  readonly version: number;
  wants(topic: string): boolean;
}

export interface LaneParts {
  readonly intake: Intake;
  readonly routing: Routing;
  /** Called when a message is safe, in the order the messages came; with the place of its record. */
  route(message: PublishedMessage, position: Position | undefined): void;
  /** What else is to be kept of a message that a subscriber wants, in the same append. */
  record?(message: PublishedMessage): MessageRecord | undefined;
  /** A client may not publish to that topic. */
  denied(guard: Peer): void;
}

const notAuthorized = 0x87;
const notAllowed = 'not allowed to publish to that topic';

/**
 * The way of most messages: QoS 0 and 1, not retained. From the guard to safety, then acknowledged
 * in the order they came [MQTT-4.6.0-2], then to whoever wants them.
 */
export class FastLane {
  readonly #parts: LaneParts;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** Takes a message that the client may publish. */
  take(guard: Peer, view: PublishView, { known }: OwnTopic): void {
    const { intake, routing } = this.#parts;
    const { id } = view;
    if (id > 0) guard.publisher.inFlight += 1;
    if (known.wantedAt !== routing.version) {
      known.wanted = routing.wants(known.topic);
      known.wantedAt = routing.version;
    }
    if (known.wanted) this.#takeWanted(guard, view, known);
    else if (known.isKept) intake.take(guard, arrivalOf(guard, view, known), id);
    else if (id > 0) intake.acknowledge(guard, id);
  }

  #takeWanted(guard: Peer, view: PublishView, known: KnownTopic): void {
    const { intake, route } = this.#parts;
    const { id } = view;
    const message = messageOf(guard, view, known);
    const settled = (lost: boolean, position?: Position): void => {
      // Without a promise nothing is owed to the log.
      if (lost && id > 0) {
        guard.close();
        return;
      }
      if (id > 0) guard.publisher.acknowledge(id);
      route(message, position);
    };
    const record = this.#parts.record?.(message);
    const arrival = arrivalOf(guard, view, known);
    if (record === undefined && !known.isKept) intake.pass(() => settled(false));
    else if (record === undefined) intake.accept(guard, arrival, settled);
    else if (known.isKept) intake.accept(guard, { ...arrival, record }, settled);
    else intake.accept(guard, { ...arrival, record, recordOnly: true }, settled);
  }

  /**
   * Tells the client in its turn that it may not publish this. Older clients have no code for it:
   * closing would make them send it for ever, so the message is acknowledged and dropped.
   */
  deny(guard: Peer, view: PublishView): void {
    const { intake, denied } = this.#parts;
    const { id, qos } = view;
    denied(guard);
    if (qos === 0) return;
    if (qos === 1) guard.publisher.inFlight += 1;
    const reason = guard.level === 5 ? notAuthorized : 0;
    intake.pass(() => {
      if (qos === 1) guard.publisher.acknowledge(id, reason, notAllowed);
      else guard.publisher.answer(pubrec, id, reason, notAllowed);
    });
  }
}
const pubrec = 0x50;

function arrivalOf(guard: Peer, view: PublishView, { topic }: KnownTopic): Arrival {
  const { receivedAt } = guard;
  const payload = view.bytes.subarray(view.payloadAt, view.end);
  if (!view.hasProperties || view.properties.userProperties === 0) {
    return { topic, payload, receivedAt };
  }
  return { topic, payload, receivedAt, properties: byName(view.properties.pairs()) };
}

/** A name that comes more than once has all its values. */
export function byName(pairs: UserProperties): Record<string, string | string[]> {
  const properties: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of pairs) {
    const before = properties[name];
    if (before === undefined) properties[name] = value;
    else if (typeof before === 'string') properties[name] = [before, value];
    else before.push(value);
  }
  return properties;
}

function messageOf(guard: Peer, view: PublishView, { topic }: KnownTopic): PublishedMessage {
  const properties = view.hasProperties ? view.properties.message() : undefined;
  return {
    topic,
    payload: view.bytes.subarray(view.payloadAt, view.end),
    qos: view.qos,
    retain: false,
    from: guard.client,
    ...(properties !== undefined && { properties }),
  };
}
