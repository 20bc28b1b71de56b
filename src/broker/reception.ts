import type { BrokerClient } from './aedes.ts';
import type { Bounds } from './bounds.ts';
import { encodeConnack, encodeDisconnect } from './encode-answers.ts';
import { Link } from './link.ts';
import type { ConnectRequest } from './packets.ts';
import type { Peer } from './peer.ts';
import { forEver, type Session } from './session.ts';
import type { Sessions } from './sessions.ts';

export interface ReceptionParts {
  readonly bounds: Bounds;
  readonly sessions: Sessions;
  /** Whether the broker is being stopped. */
  isStopping(): boolean;
  /** The largest packet that the client may send. */
  packetBytesOf(guard: Peer): number;
  /** A client may not publish its will. */
  willDenied(guard: Peer): void;
}

/** DISCONNECT (OASIS MQTT 5.0, clause 3.14.2.1). */
const takenOver = [0x8e, 'another connection has this client identifier'] as const;
const shuttingDown = [0x8b, 'the broker stops'] as const;

/**
 * Brings clients that were let in together with their sessions. A client identifier has one
 * connection at any time: the last [MQTT-3.1.4-3].
 */
export class Reception {
  readonly #guards = new Map<string, Peer>();
  readonly #sessions = new Map<Peer, Session>();
  readonly #parts: ReceptionParts;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** The session of a connection; undefined once it has lost that. */
  sessionOf(guard: Peer): Session | undefined {
    return this.#sessions.get(guard);
  }

  /**
   * Answers a CONNECT that is accepted, what waits for the client behind it, and calls `answered`:
   * when it is durable that a session has begun or ended.
   */
  accept(guard: Peer, client: BrokerClient, answered: () => void): void {
    const request = guard.request!;
    const before = this.#guards.get(client.id);
    if (before !== undefined) this.#close(before, takenOver);
    guard.client = client.id;
    const { session, isPresent, durable } = this.#parts.sessions.begin(client.id, {
      cleanStart: request.cleanStart,
      expirySeconds: this.#expiryOf(request.level, request.sessionExpiryInterval),
      will: this.#willOf(guard, request),
    });
    this.#guards.set(client.id, guard);
    this.#sessions.set(guard, session);
    guard.connection.once('end', () => this.#leave(guard));
    const answer = (): void => {
      if (this.sessionOf(guard) !== session) return;
      this.#answer(guard, request, session, isPresent);
      answered();
    };
    session.answers.take(durable, answer, () => guard.close());
  }

  #answer(guard: Peer, request: ConnectRequest, session: Session, isPresent: boolean): void {
    const { connection } = guard;
    connection.isMuted = false;
    const connack = this.#connack(guard, request, isPresent, false);
    const isTerse = connack.length > connection.maximumPacketSize;
    connection.answer(isTerse ? this.#connack(guard, request, isPresent, true) : connack);
    if (guard.isClosed) return;
    session.outbox.attach(
      new Link({
        ...{ connection, version: request.level, receiveMaximum: request.receiveMaximum },
        maximumPacketSize: request.maximumPacketSize,
        topicAliasMaximum: Math.min(request.topicAliasMaximum, this.#parts.bounds.topicAliases),
      }),
    );
    session.hasRoom();
  }

  /** The broker ends. */
  closeAll(): void {
    for (const guard of [...this.#guards.values()]) this.#close(guard, shuttingDown);
  }

  #close(guard: Peer, [code, why]: typeof takenOver | typeof shuttingDown): void {
    if (guard.level === 5) guard.connection.explain((text) => encodeDisconnect(code, text), why);
    guard.close();
    this.#leave(guard);
  }

  #leave(guard: Peer): void {
    const session = this.#sessions.get(guard);
    if (session === undefined) return;
    this.#sessions.delete(guard);
    this.#guards.delete(guard.client);
    // aedes has read the DISCONNECT, if there was one.
    const { _disconnected, sessionExpiryInterval } = guard.connection.client as BrokerClient;
    // When the gateway goes away, the device has not.
    const isProper = _disconnected || this.#parts.isStopping();
    const expirySeconds = this.#expiryOf(guard.request!.level, sessionExpiryInterval);
    this.#parts.sessions.leave(session, expirySeconds, isProper);
  }

  #connack(guard: Peer, request: ConnectRequest, isPresent: boolean, isTerse: boolean): Uint8Array {
    const { bounds } = this.#parts;
    const { level, sessionExpiryInterval } = request;
    const expiry = this.#expiryOf(level, sessionExpiryInterval);
    const { authentication } = guard.connection;
    return encodeConnack(level, isPresent, {
      isTerse,
      receiveMaximum: bounds.receiveMaximum,
      maximumPacketSize: this.#parts.packetBytesOf(guard),
      topicAliasMaximum: bounds.topicAliases,
      ...(expiry !== sessionExpiryInterval && { sessionExpiryInterval: expiry }),
      ...(request.clientId === '' && { assignedClientId: guard.client }),
      ...(request.requestResponseInformation && {
        responseInformation: `$response/${guard.client.replace(/[+#]/g, '_')}`,
      }),
      ...(authentication !== undefined && { authentication }),
    });
  }

  /** An older client cannot be told of a limit, and has asked for ever. */
  #expiryOf(level: number, seconds: number): number {
    if (level !== 5) return seconds === 0 ? 0 : forEver;
    return Math.min(seconds, this.#parts.bounds.sessionExpirySeconds);
  }

  #willOf(guard: Peer, { will }: ConnectRequest): ConnectRequest['will'] {
    if (will === undefined || guard.rights.mayPublish(will.topic)) return will;
    this.#parts.willDenied(guard);
    return undefined;
  }
}
