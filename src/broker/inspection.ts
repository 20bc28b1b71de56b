import { AcknowledgementView, readAcknowledgement } from './decode/acknowledge.ts';
import { broken } from './decode/clauses.ts';
import { disconnectProblem, pingProblem, readAuth } from './decode/ending.ts';
import { bodyOf, isOverlong, packetTypes } from './decode/header.ts';
import { PublishView, readPublish, withoutAlias } from './decode/publish.ts';
import { Refusal } from './decode/refusal.ts';
import { readSubscribe, readUnsubscribe } from './decode/subscribe.ts';
import type { GuardParts } from './guard-parts.ts';
import type { Acknowledgement } from './packets.ts';
import type { Peer } from './peer.ts';

/**
 * What becomes of a packet: it passes to aedes as it is, or in other bytes; it is `taken` by
 * another; it is the `last` that counts; or the connection is refused for it.
 */
export type Verdict = 'pass' | 'taken' | 'last' | Buffer | Refusal;

const { publish, puback, pubrec, pubrel, pubcomp, subscribe, unsubscribe } = packetTypes;
const { connect, pingreq, disconnect, auth } = packetTypes;

/** Whether a message takes the fast lane: QoS 0 or 1, and not retained. */
function isFast(first: number): boolean {
  return (first & 0x05) === 0;
}

/** Whether something is done for the packet at once, so that what came before must pass first. */
export function actsAtOnce(first: number): boolean {
  const type = first >> 4;
  return type !== disconnect;
}

const publishView = new PublishView();
const acknowledgementView = new AcknowledgementView();

/**
 * Checks a whole packet whose header is sound against the specification, and hands it on where it
 * is not for aedes.
 */
export function inspect(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  from: number,
  end: number,
): Verdict {
  const first = bytes[from]!;
  const type = first >> 4;
  const at = bodyOf(bytes, from);
  if (guard.level === 5 && isOverlong(bytes, from + 1, at)) return broken.lengthEncoding;
  if (!guard.isReady) return inspectEarly(guard, parts, bytes, type, at, end);
  switch (type) {
    case publish:
      return inspectPublish(guard, parts, bytes, first, at, end);
    case puback:
    case pubrec:
    case pubrel:
    case pubcomp:
      return inspectAcknowledgement(guard, parts, bytes, type, at, end);
    case subscribe:
    case unsubscribe:
      return inspectFilters(guard, parts, bytes, type, at, end);
    case pingreq: {
      const problem = pingProblem(at, end);
      if (problem !== undefined) return problem;
      guard.connection.traffic.packetsOut += 1;
      guard.connection.write(pingResponse);
      return 'taken';
    }
    case auth:
      return inspectAuth(guard, parts, bytes, at, end);
    case disconnect: {
      const { level, request } = guard;
      const expires = request?.sessionExpiryInterval === 0;
      return disconnectProblem(bytes, at, end, level, expires) ?? 'last';
    }
    default:
      return type === connect ? broken.second : broken.packetType;
  }
}
const pingResponse = Uint8Array.of(0xd0, 0);

/** Between the CONNECT and its answer, while authentication goes on [MQTT5-3.1.2-30]. */
function inspectEarly(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  type: number,
  at: number,
  end: number,
): Verdict {
  if (type === connect) return broken.second;
  if (type === auth) return inspectAuth(guard, parts, bytes, at, end);
  if (type !== disconnect) return broken.beforeAuthenticated;
  const problem = disconnectProblem(bytes, at, end, guard.level, false);
  if (problem === undefined) guard.close();
  return problem ?? 'taken';
}

function inspectPublish(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  first: number,
  at: number,
  end: number,
): Verdict {
  const view = publishView;
  const problem = readPublish(view, bytes, first, at, end, guard.level);
  if (problem !== undefined) return problem;
  const { publisher, connection } = guard;
  connection.traffic.publishesIn += 1;
  connection.traffic.publishBytesIn += end - view.payloadAt + view.topicEnd - view.topicAt;
  const { lane, topics, bounds } = parts;
  const own = publisher.topicOf(view, topics, guard.rights, bounds.topicAliases);
  if (own instanceof Refusal) return own;
  if (!own.allowed) {
    lane.deny(guard, view);
    return 'taken';
  }
  if (isFast(first)) {
    lane.take(guard, view, own);
    return 'taken';
  }
  if (view.qos === 2) publisher.opened(view.id);
  if (parts.publish !== undefined) {
    parts.publish(guard, view, own.known);
    return 'taken';
  }
  return view.alias === 0 ? 'pass' : withoutAlias(view, own.known.bytes);
}

function inspectAcknowledgement(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  type: number,
  at: number,
  end: number,
): Verdict {
  const view = acknowledgementView;
  const problem = readAcknowledgement(view, bytes, type, at, end, guard.level);
  if (problem !== undefined) return problem;
  if (type === pubrel) {
    guard.publisher.released(view.id);
    if (parts.released === undefined) return 'pass';
    parts.released(guard, view.id);
    return 'taken';
  }
  if (parts.acknowledged === undefined) return 'pass';
  parts.acknowledged(guard, view as Acknowledgement);
  return 'taken';
}

function inspectFilters(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  type: number,
  at: number,
  end: number,
): Verdict {
  if (type === subscribe) {
    const packet = readSubscribe(bytes, at, end, guard.level);
    if (packet instanceof Refusal) return packet;
    if (parts.subscribe === undefined) return 'pass';
    parts.subscribe(guard, packet);
    return 'taken';
  }
  const packet = readUnsubscribe(bytes, at, end, guard.level);
  if (packet instanceof Refusal) return packet;
  if (parts.unsubscribe === undefined) return 'pass';
  parts.unsubscribe(guard, packet);
  return 'taken';
}

function inspectAuth(
  guard: Peer,
  parts: GuardParts,
  bytes: Buffer,
  at: number,
  end: number,
): Verdict {
  const packet = readAuth(bytes, at, end);
  if (packet instanceof Refusal) return packet;
  const method = guard.request?.authenticationMethod;
  if (method === undefined || parts.authenticate === undefined) return broken.authUnexpected;
  if (packet.method !== method) return broken.authMethodChanged;
  parts.authenticate(guard, packet);
  return 'taken';
}
