import type { Socket } from 'node:net';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { within } from '../platform/within.ts';
import { isKept } from './access.ts';
import { Admission } from './admission.ts';
import { type Broker, type BrokerClient, feed, openAedes } from './aedes.ts';
import type { Bounds } from './bounds.ts';
import { type ClientStatus, Clients } from './clients.ts';
import { Connection } from './connection.ts';
import { broken } from './decode/clauses.ts';
import type { Door } from './door.ts';
import { EnhancedAuthentication } from './enhanced-authentication.ts';
import { FastLane } from './fast-lane.ts';
import { Gate } from './gate.ts';
import { Guard } from './guard.ts';
import type { GuardParts } from './guard-parts.ts';
import { createHooks } from './hooks.ts';
import { Inbound } from './inbound.ts';
import { Intake, type Keep } from './intake.ts';
import type { BrokerOptions } from './options.ts';
import type { Peer } from './peer.ts';
import { Reception } from './reception.ts';
import type { Retained } from './retained.ts';
import type { Sessions } from './sessions.ts';
import { createSilence, createStore } from './store.ts';
import { Subscribing } from './subscribing.ts';
import { Sys } from './sys.ts';
import { TopicTable } from './topic-table.ts';
import type { Verifier } from './verifier.ts';

export interface EmbeddedBrokerParts {
  readonly limits: BrokerOptions['limits'];
  readonly bounds: Bounds;
  readonly verifier: Verifier;
  /** The gateway's. */
  readonly version: string;
  /** Of `$SYS`; 0 for never. */
  readonly sysIntervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What outlives one opening of the broker. */
  readonly sessions: Sessions;
  readonly retained: Retained;
  /** Resolves when the messages are safe; only then are they acknowledged. */
  readonly ingest: Keep;
}

export interface EmbeddedBroker {
  /** Clients that are connected: their CONNECT was accepted. */
  readonly clients: Clients;
  /** The clients that are connected. */
  listClients(): ClientStatus[];
  /** Whether a new connection has a place. */
  admit(socket: Socket, door: Door): boolean;
  connected(socket: Socket, door: Door): void;
  /** Resolves when subscribers that are there have been sent the message. */
  publish(
    topic: string,
    payload: Uint8Array,
    options: { readonly retain: boolean; readonly qos: 0 | 1 | 2 },
  ): Promise<void>;
  /**
   * Users and rights have changed: closes the connections of those who would not be let in any more,
   * and says how many.
   */
  renewRights(): number;
  /** From now on no message comes in; resolves when those that wait have been acknowledged. */
  settle(): Promise<void>;
  /** Resolves when every connection is closed. */
  close(): Promise<void>;
}

/** aedes keeps its own time for these; ours, which the clock can move, is shorter. */
const aedesConnectMs = 120_000;
const sweepMaxMs = 1000;
const closePollMs = 10;

/** An MQTT broker that acknowledges nothing which is not safe. */
export async function openBroker(parts: EmbeddedBrokerParts): Promise<EmbeddedBroker> {
  const { bounds, clock, limits, logger, metrics, sessions } = parts;
  const ended = new AbortController();
  const guards = new Map<Connection, Guard>();
  const doors = new WeakMap<Connection, Door>();
  const clients = new Clients();
  const unsent = { bytes: 0 };
  let stopping = false;

  const admission = new Admission(limits.connections, bounds.addressShare);
  const { router } = sessions;
  const gate = new Gate({
    ...{ bounds, clock, signal: ended.signal, routing: router },
    messagesPerSecond: limits.messagesPerSecond,
  });
  const intake = new Intake({
    ...{ clock, gate, ingest: parts.ingest },
    failed: (error) => logger.error({ error }, 'Messages could not be kept; their clients go.'),
  });
  const { random, retained } = parts;
  const reception = new Reception({
    ...{ bounds, sessions, isStopping: () => stopping },
    packetBytesOf: ({ connection }) => doors.get(connection)!.packetBytes,
    willDenied: () => metrics.brokerRefused.inc({ reason: 'publish_denied' }),
  });
  const sessionOf = (guard: Peer) => reception.sessionOf(guard);
  const inbound = new Inbound({
    ...{ intake, sessions, retained, sessionOf },
    ...{ monotonic: clock.monotonic, now: clock.now },
  });
  sessions.wills.publish = (client, will) => {
    if (stopping) return;
    void inbound.accept(will, isKept(will.topic));
    sessions.note([{ kind: 'willGone', client }]);
  };
  const subscribing = new Subscribing({
    ...{ bounds, intake, router, retained, sessionOf },
    isCurrent: (session) => sessions.get(session.client) === session,
    isRetaining: (guard) => inbound.isRetaining(guard),
    append: (records) => sessions.journal?.append(records),
    denied: () => metrics.brokerRefused.inc({ reason: 'subscribe_denied' }),
    failed: (error) => logger.error({ error }, 'A subscription could not be kept.'),
  });
  const hooks = createHooks({
    accessOf: (connection) => doors.get(connection)!.access,
    guardOf: (connection) => guards.get(connection)!,
    isStopping: () => stopping,
    newClientId: () => `auto-${randomName(random)}${randomName(random)}`,
    refused(client, reason) {
      metrics.brokerRefused.inc({ reason });
      const { address } = client.conn;
      logger.warn({ address, client: client.id, reason }, 'A client was not let in.');
    },
  });
  const aedes: Broker = await openAedes({
    ...hooks,
    id: randomName(random),
    mq: createSilence(),
    persistence: createStore(),
    connectTimeout: aedesConnectMs,
    drainTimeout: bounds.drainMaxMs,
    maximumPacketSize: limits.packetBytes,
    receiveMaximum: bounds.clientMessages,
    topicAliasMaximum: bounds.topicAliases,
    pendingSessionsLimit: Math.ceil(limits.connections * bounds.sessionsPerConnection),
  });

  aedes.on('client', (client) => {
    // It would close one connection for another in its own time: the reception does.
    delete aedes.clients[client.id];
  });
  aedes.on('connackSent', (packet, client) => {
    // A client may be gone before aedes says so.
    if (!isAccepted(packet) || !guards.has(client.conn)) return;
    // aedes notes that it has answered right after it says so.
    const guard = guards.get(client.conn)!;
    if (client.conn.destroyed) return;
    reception.accept(guard, client, () => {
      queueMicrotask(() => guard.ready());
      clients.accepted(client, guard, doors.get(client.conn)!, clock.now());
      metrics.brokerClients.set(clients.count);
      client.conn.once('close', () => metrics.brokerClients.set(clients.count));
    });
  });
  const failed = (client: BrokerClient, error: Error): void => {
    const fields = { client: client.id, address: client.conn?.address, error };
    logger.debug(fields, 'A client was disconnected for an error.');
  };
  aedes.on('clientError', failed);
  aedes.on('connectionError', failed);
  aedes.on('error', (error) => logger.error({ error }, 'The broker met an error.'));

  const lane = new FastLane({
    ...{ intake, routing: router },
    route: (message, position) => inbound.route(message, position),
    record: (message) => (message.qos > 0 ? inbound.record(message) : undefined),
    denied: () => metrics.brokerRefused.inc({ reason: 'publish_denied' }),
  });
  const enhanced = new EnhancedAuthentication({
    accessOf: (connection) => doors.get(connection)!.access,
    ...{ verifier: parts.verifier, random: parts.random },
  });
  const guardParts: GuardParts = {
    ...{ bounds, clock, gate, packetBytes: limits.packetBytes, unfinished: { bytes: 0 } },
    ...{ lane, topics: new TopicTable() },
    connect(guard, packet) {
      admission.heard(guard.connection.socket);
      doors.get(guard.connection)?.admission?.heard(guard.connection.socket);
      const proceed = (bytes: Uint8Array): void => {
        aedes.handle(guard.connection);
        guard.connection.offer(bytes);
      };
      if (guard.request?.authenticationMethod === undefined) return proceed(packet);
      const kept = Uint8Array.from(packet);
      enhanced.begin(guard, () => proceed(kept));
    },
    authenticate: (guard, packet) => enhanced.received(guard, packet),
    publish: (guard, view, topic) => inbound.publish(guard, view, topic),
    released: (guard, id) => inbound.release(guard, id),
    subscribe: (guard, packet) => subscribing.subscribe(guard, packet),
    unsubscribe: (guard, packet) => subscribing.unsubscribe(guard, packet),
    acknowledged(guard, packet) {
      if (sessionOf(guard)?.outbox.acknowledge(packet) === false) guard.refuse(broken.wrongAnswer);
    },
    packets(guard, bytes) {
      try {
        feed(guard.connection, bytes);
      } catch (error) {
        const { address } = guard.connection;
        logger.debug({ address, error }, 'A packet could not be read.');
        guard.refuse(broken.unread);
      }
    },
    refused(guard, refusal) {
      const { reason } = refusal;
      const clause = refusal.clause(guard.level);
      metrics.brokerRefused.inc({ reason, clause });
      const { address } = guard.connection;
      logger.debug({ address, client: guard.client, reason, clause }, 'A connection was refused.');
    },
  };
  void sweep(guards, sessions, parts, ended.signal);
  const sys = new Sys({
    ...{ clock, version: parts.version, intervalMs: parts.sysIntervalMs },
    figures: () => ({
      ...{ totals: clients.totals(), connections: clients.connections },
      ...{ connected: clients.count, connectedMax: clients.maximum },
      away: Math.max(0, sessions.count - clients.count),
      ...{ subscriptions: router.subscriptions, retained: parts.retained.count },
    }),
    wants: (topic) => router.wants(topic),
    isBehind: () => router.isBehind(undefined),
    subscriptionsVersion: () => router.version,
    publish: (topic, text) => void inbound.route(sysMessage(topic, text)),
  });
  void sys.run(ended.signal);

  return {
    clients,
    listClients: () => clients.list((id) => sessions.summary(id)),
    admit(socket, door) {
      const now = clock.monotonic();
      const problem = stopping
        ? 'stopping'
        : (door.admission?.admit(socket, now) ?? admission.admit(socket, now));
      if (problem === undefined) return true;
      metrics.brokerRefused.inc({ reason: problem });
      const fields = { address: socket.remoteAddress, reason: problem };
      logger.warn(fields, 'A connection was turned away: too many are open.');
      return false;
    },
    connected(socket, door) {
      const connection = new Connection(socket, bounds, clock.monotonic, unsent);
      const guard = new Guard(connection, { ...guardParts, packetBytes: door.packetBytes });
      guards.set(connection, guard);
      doors.set(connection, door);
      clients.opened(connection);
      socket.once('close', () => {
        guard.close();
        guards.delete(connection);
      });
    },
    publish: (topic, payload, options) => inbound.accept({ topic, payload, ...options }, false),
    renewRights() {
      let gone = 0;
      for (const guard of guards.values()) {
        guard.publisher.forgetRights();
        if (guard.rights.isValid?.() !== false) continue;
        guard.refuse(broken.userGone);
        gone += 1;
      }
      return gone;
    },
    async settle() {
      stopping = true;
      gate.close();
      await intake.idle();
      await router.idle();
      // Subscribers are served, and the answers written, in turns of their own.
      for (let turn = 0; turn < 4; turn++) await clock.sleep(0);
    },
    async close() {
      stopping = true;
      reception.closeAll();
      sessions.writeAcknowledged();
      const closed = new Promise<void>((resolve) => aedes.close(resolve));
      const deadline = clock.monotonic() + bounds.stopSendMaxMs;
      await within(closed, bounds.stopSendMaxMs, clock);
      for (const guard of guards.values()) guard.close();
      while (guards.size > 0 && clock.monotonic() < deadline) await clock.sleep(closePollMs);
      for (const { socket } of guards.keys()) socket.destroy();
      ended.abort(new Error('The broker is closed.'));
    },
  };
}

function sysMessage(topic: string, text: string) {
  return { topic, payload: Buffer.from(text), qos: 0, retain: true } as const;
}

function isAccepted(connack: unknown): boolean {
  const { returnCode, reasonCode } = connack as { returnCode?: number; reasonCode?: number };
  return (returnCode ?? reasonCode) === 0;
}

function randomName(random: Random): string {
  return Math.floor(random.next() * 2 ** 48)
    .toString(36)
    .padStart(10, '0');
}

/** Looks at the time of every connection, again and again. */
async function sweep(
  guards: ReadonlyMap<Connection, Guard>,
  sessions: Sessions,
  { bounds, clock }: Pick<EmbeddedBrokerParts, 'bounds' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  const everyMs = Math.min(sweepMaxMs, bounds.connectMaxMs / 4, bounds.drainMaxMs / 4);
  try {
    for (;;) {
      await clock.sleep(everyMs, signal);
      const now = clock.monotonic();
      for (const guard of guards.values()) guard.checkTime(now);
      sessions.check();
    }
  } catch {
    // Only the signal ends it.
  }
}
