import type { Socket } from 'node:net';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { within } from '../platform/within.ts';
import { openAccess } from './access.ts';
import { Admission } from './admission.ts';
import { type Broker, type BrokerClient, feed, openAedes, type Publish } from './aedes.ts';
import type { Bounds } from './bounds.ts';
import { Connection } from './connection.ts';
import { Gate } from './gate.ts';
import { Guard, type GuardParts } from './guard.ts';
import { createHooks } from './hooks.ts';
import { type Arrival, Intake } from './intake.ts';
import type { BrokerOptions } from './options.ts';
import type { Retained } from './retained.ts';
import { Router } from './router.ts';
import type { Sessions } from './sessions.ts';
import { createStore } from './store.ts';

export interface EmbeddedBrokerParts {
  readonly limits: BrokerOptions['limits'];
  readonly bounds: Bounds;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What outlives one opening of the broker. */
  readonly sessions: Sessions;
  readonly retained: Retained;
  /** Resolves when the messages are safe; only then are they acknowledged. */
  readonly ingest: (messages: readonly Arrival[]) => Promise<void>;
}

export interface EmbeddedBroker {
  /** Clients that are connected: their CONNECT was accepted. */
  readonly clients: number;
  /** Whether a new connection has a place. */
  admit(socket: Socket): boolean;
  connected(socket: Socket): void;
  /** Resolves when subscribers that are there have been sent the message. */
  publish(
    topic: string,
    payload: Uint8Array,
    options: { readonly retain: boolean; readonly qos: 0 | 1 | 2 },
  ): Promise<void>;
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
  /** The connection a client identifier belongs to; the newest, when one takes over another. */
  const owners = new Map<string, Connection>();
  let ready = 0;
  let stopping = false;

  const admission = new Admission(limits.connections, bounds.addressShare);
  const router = new Router(bounds, () => metrics.brokerDropped.inc({ reason: 'routing_full' }));
  const gate = new Gate({
    ...{ bounds, clock, signal: ended.signal, routing: router },
    messagesPerSecond: limits.messagesPerSecond,
  });
  const intake = new Intake({
    ...{ clock, gate, ingest: parts.ingest },
    failed: (error) => logger.error({ error }, 'Messages could not be kept; their clients go.'),
  });
  const hooks = createHooks({
    ...{ access: openAccess, bounds, intake, sessions, now: clock.now },
    guardOf: (connection) => guards.get(connection)!,
    isStopping: () => stopping,
    hasRoomForSubscription: () => router.subscriptions < bounds.totalSubscriptions,
    denied: (what) => metrics.brokerRefused.inc({ reason: `${what}_denied` }),
    dropped: (reason) => metrics.brokerDropped.inc({ reason }),
    route: (packet) => aedes.publish(messageOf(packet), ignore),
  });
  const aedes: Broker = await openAedes({
    ...hooks,
    id: brokerId(parts.random),
    mq: router,
    persistence: createStore(sessions, parts.retained),
    connectTimeout: aedesConnectMs,
    drainTimeout: bounds.drainMaxMs,
    maximumPacketSize: limits.packetBytes,
    receiveMaximum: bounds.clientMessages,
    pendingSessionsLimit: Math.ceil(limits.connections * bounds.sessionsPerConnection),
  });

  aedes.on('client', (client) => {
    owners.set(client.id, client.conn);
    sessions.attach(client.id, !client.clean);
  });
  aedes.on('clientDisconnect', (client) => {
    const isOwner = owners.get(client.id) === client.conn;
    if (isOwner) owners.delete(client.id);
    if (isOwner) sessions.detach(client.id, !client.clean);
  });
  aedes.on('connackSent', (packet, client) => {
    // A client may be gone before aedes says so.
    if (!isAccepted(packet) || !guards.has(client.conn)) return;
    // aedes notes that it has answered right after it says so.
    queueMicrotask(() => guards.get(client.conn)?.ready());
    ready += 1;
    metrics.brokerClients.set(ready);
    client.conn.once('close', () => {
      ready -= 1;
      metrics.brokerClients.set(ready);
    });
  });
  const failed = (client: BrokerClient, error: Error): void => {
    const fields = { client: client.id, address: client.conn?.address, error };
    logger.debug(fields, 'A client was disconnected for an error.');
  };
  aedes.on('clientError', failed);
  aedes.on('connectionError', failed);
  aedes.on('error', (error) => logger.error({ error }, 'The broker met an error.'));

  const guardParts: GuardParts = {
    ...{ bounds, clock, gate, packetBytes: limits.packetBytes, unfinished: { bytes: 0 } },
    connect(guard, packet) {
      admission.heard(guard.connection.socket);
      aedes.handle(guard.connection);
      guard.connection.offer(packet);
    },
    packets(guard, bytes) {
      try {
        feed(guard.connection, bytes);
      } catch (error) {
        const { address } = guard.connection;
        logger.debug({ address, error }, 'A packet could not be read.');
        guard.refuse('malformed');
      }
    },
    refused(guard, reason) {
      metrics.brokerRefused.inc({ reason });
      const { address } = guard.connection;
      logger.debug({ address, reason }, 'A connection was refused.');
    },
  };
  void sweep(guards, parts, ended.signal);

  return {
    get clients() {
      return ready;
    },
    admit(socket) {
      const problem = stopping ? 'stopping' : admission.admit(socket, clock.monotonic());
      if (problem === undefined) return true;
      metrics.brokerRefused.inc({ reason: problem });
      const fields = { address: socket.remoteAddress, reason: problem };
      logger.warn(fields, 'A connection was turned away: too many are open.');
      return false;
    },
    connected(socket) {
      const connection = new Connection(socket, bounds, clock.monotonic);
      const guard = new Guard(connection, guardParts);
      guards.set(connection, guard);
      socket.once('close', () => {
        guard.close();
        guards.delete(connection);
      });
    },
    publish: (topic, payload, { retain, qos }) =>
      new Promise((resolve, reject) => {
        const packet = { cmd: 'publish', topic, payload, qos, retain } as const;
        aedes.publish(packet, (error) => (error ? reject(error) : resolve()));
      }),
    async settle() {
      stopping = true;
      gate.close();
      await intake.idle();
      // Subscribers are served, and the answers written, in turns of their own.
      for (let turn = 0; turn < 4; turn++) await clock.sleep(0);
    },
    async close() {
      stopping = true;
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

const ignore = (): void => {};

function messageOf({ topic, payload, qos, retain }: Publish) {
  return { cmd: 'publish', topic, payload, qos, retain } as const;
}

function isAccepted(connack: unknown): boolean {
  const { returnCode, reasonCode } = connack as { returnCode?: number; reasonCode?: number };
  return (returnCode ?? reasonCode) === 0;
}

function brokerId(random: Random): string {
  return Math.floor(random.next() * 2 ** 48)
    .toString(36)
    .padStart(10, '0');
}

/** Looks at the time of every connection, again and again. */
async function sweep(
  guards: ReadonlyMap<Connection, Guard>,
  { bounds, clock }: Pick<EmbeddedBrokerParts, 'bounds' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  const everyMs = Math.min(sweepMaxMs, bounds.connectMaxMs / 4, bounds.drainMaxMs / 4);
  try {
    for (;;) {
      await clock.sleep(everyMs, signal);
      const now = clock.monotonic();
      for (const guard of guards.values()) guard.checkTime(now);
    }
  } catch {
    // Only the signal ends it.
  }
}
