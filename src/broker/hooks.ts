import type { Access } from './access.ts';
import { isKept } from './access.ts';
import type { AedesHooks, BrokerClient, Callback, Publish } from './aedes.ts';
import { giveOwnMaps } from './aedes.ts';
import type { Bounds } from './bounds.ts';
import type { Connection } from './connection.ts';
import type { Guard } from './guard.ts';
import type { Arrival, Intake } from './intake.ts';
import type { Sessions } from './sessions.ts';
import { filterMatches } from './topic-tree.ts';

export type DropReason = 'slow' | 'too_large_for_subscriber';

export interface HookParts {
  readonly access: Access;
  readonly bounds: Bounds;
  readonly intake: Intake;
  readonly sessions: Sessions;
  readonly now: () => number;
  guardOf(connection: Connection): Guard;
  /** Whether the broker is being stopped. */
  isStopping(): boolean;
  /** Room for one more subscription among all. */
  hasRoomForSubscription(): boolean;
  /** A client was told that it may not do something. */
  denied(reason: 'publish' | 'subscribe'): void;
  /** A subscriber missed a message. */
  dropped(reason: DropReason): void;
  /** Hands a message to subscribers whose publisher is gone. */
  route(packet: Publish): void;
}

/** Characters that have no place in a name: what invalid UTF-8 becomes, and U+0000 [MQTT-1.5.4-2]. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is one of them.
const unsound = /[\u0000\ufffd]/;

/** What the gateway has to say while aedes handles a packet. */
export function createHooks(parts: HookParts): AedesHooks {
  const { access, bounds, sessions } = parts;
  return {
    preConnect(client, packet, done) {
      giveOwnMaps(client);
      const guard = parts.guardOf(client.conn);
      // The guard sees every packet first, so it keeps the time.
      guard.keepAliveMs = packet.keepalive * 1500;
      packet.keepalive = 0;
      const problem = connectProblem(packet);
      done(problem === undefined ? null : new Error(problem), problem === undefined);
    },

    authenticate(client, username, password, done) {
      if (parts.isStopping()) return done(refusal('the broker stops', 3), false);
      if (!access.mayConnect(client.id, username, password)) return done(null, false);
      const resumed = client._cleanStart !== true && sessions.isKept(client.id);
      // A packet identifier of a session that is over means nothing: a device that began anew
      // would be told that its first messages were known.
      if (!resumed) sessions.end(client.id);
      client.conn.sessionPresent = resumed;
      done(null, true);
    },

    authorizePublish(client, packet, done) {
      if (packet.cmd === undefined) acceptWill(parts, client, packet, done);
      else acceptPublish(parts, client, packet, done);
    },

    authorizeSubscribe(client, subscription, done) {
      const { topic } = subscription;
      const room =
        client.subscriptions[topic] !== undefined ||
        (parts.hasRoomForSubscription() &&
          Object.keys(client.subscriptions).length < bounds.clientSubscriptions);
      // aedes would take `$share/…` of older clients for a plain topic, under which nothing comes.
      const allowed = room && !topic.startsWith('$share/') && access.maySubscribe(client.id, topic);
      if (!allowed) parts.denied('subscribe');
      done(null, allowed ? subscription : null);
    },

    authorizeForward(client, packet) {
      // What was queued is sent at the pace of the subscriber, and so is what was retained.
      if (packet.messageId !== undefined) return packet;
      const isRetained = packet.retain && packet.brokerId === null;
      if (!isRetained && client.conn.writableLength > bounds.slowBytes) {
        parts.dropped('slow');
        return null;
      }
      if (client.maximumPacketSize !== undefined && isTooLarge(client.maximumPacketSize, packet)) {
        parts.dropped('too_large_for_subscriber');
        return null;
      }
      if (packet.qos > 0) packet.qos = grantedQos(client, packet);
      return packet;
    },
  };
}

function connectProblem(packet: {
  readonly clientId: string;
  readonly will?: { readonly topic: string; readonly qos: number };
}): string | undefined {
  const { clientId, will } = packet;
  if (unsound.test(clientId)) return 'the client identifier is not valid UTF-8';
  if (will === undefined) return undefined;
  if (will.qos > 2) return 'the QoS of the will is 3';
  const valid = will.topic !== '' && !unsound.test(will.topic) && !/[+#]/.test(will.topic);
  return valid ? undefined : 'the topic of the will is not valid';
}

function acceptPublish(
  parts: HookParts,
  client: BrokerClient,
  packet: Publish,
  done: Callback,
): void {
  const { access, intake, sessions } = parts;
  const { topic, qos } = packet;
  const guard = parts.guardOf(client.conn);
  if (!access.mayPublish(client.id, topic)) {
    parts.denied('publish');
    // In its turn: acknowledgements leave in the order of their messages [MQTT-4.6.0-2].
    intake.pass(() => deny(client, packet, done));
    return;
  }
  if (!isKept(topic)) {
    intake.pass(() => done());
    return;
  }
  const message = arrivalOf(packet, guard.receivedAt);
  if (qos === 0) {
    intake.accept(guard, message, undefined);
    done();
  } else if (qos === 1) {
    intake.accept(guard, message, (lost) => {
      if (lost) guard.close();
      else if (guard.isClosed) parts.route(packet);
      else done();
    });
  } else {
    const settle = sessions.incoming(client.id).arrive(packet.messageId!, packet.dup);
    if (settle !== undefined) {
      intake.accept(guard, message, (lost) => {
        settle(lost);
        if (lost) guard.close();
      });
    }
    // The store waits for it, and answers a repeat.
    done();
  }
}

/**
 * MQTT 5 has a code for it. Older clients have none: closing would make them send it for ever, so
 * the message is acknowledged and dropped.
 */
function deny(client: BrokerClient, packet: Publish, done: Callback): void {
  if (client.version === 5) {
    done(new Error('this topic is reserved'));
    return;
  }
  packet._notAuthorized = true;
  const id = packet.messageId ?? 0;
  if (packet.qos === 1) client.conn.write(Uint8Array.of(0x40, 2, id >> 8, id & 0xff));
  if (packet.qos === 2) client.conn.write(Uint8Array.of(0x50, 2, id >> 8, id & 0xff));
  done();
}

function acceptWill(parts: HookParts, client: BrokerClient, will: Publish, done: Callback): void {
  if (parts.isStopping()) {
    // The gateway goes away, not the device.
    done(new Error('the broker stops'));
  } else if (!parts.access.mayPublish(client.id, will.topic)) {
    parts.denied('publish');
    done(new Error('this topic is reserved'));
  } else if (!isKept(will.topic)) {
    done();
  } else {
    parts.intake.accept(undefined, arrivalOf(will, parts.now()), (lost) =>
      done(lost ? new Error('the will could not be kept') : null),
    );
  }
}

function arrivalOf(packet: Publish, receivedAt: number): Arrival {
  const properties = packet.properties?.userProperties;
  const { topic, payload } = packet;
  return properties === undefined
    ? { topic, payload, receivedAt }
    : { topic, payload, receivedAt, properties };
}

/** aedes lowers the QoS only for a subscription to that very topic [MQTT-3.8.4-8]. */
function grantedQos(client: BrokerClient, packet: Publish): 0 | 1 | 2 {
  let granted: 0 | 1 | 2 = 0;
  for (const filter in client.subscriptions) {
    const qos = client.subscriptions[filter]!.qos ?? 0;
    if (qos > granted && filterMatches(filter, packet.topic)) granted = qos;
    if (granted >= packet.qos) return packet.qos;
  }
  return granted;
}

/** An upper bound of the packet's size is compared, but for properties [MQTT-3.1.2-24]. */
function isTooLarge(maximum: number, packet: Publish): boolean {
  return 9 + Buffer.byteLength(packet.topic) + packet.payload.length > maximum;
}

function refusal(message: string, returnCode: number): Error & { returnCode: number } {
  return Object.assign(new Error(message), { returnCode });
}
