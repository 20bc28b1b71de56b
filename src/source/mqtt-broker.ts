import { type Access, type AuthFiles, createAccess } from '../broker/access.ts';
import { Admission, isLoopback } from '../broker/admission.ts';
import { type Bounds, defaultBounds } from '../broker/bounds.ts';
import { type EmbeddedBroker, openBroker } from '../broker/broker.ts';
import type { ClientStatus } from '../broker/clients.ts';
import type { Door } from '../broker/door.ts';
import { Durable } from '../broker/durable.ts';
import { createJournal } from '../broker/durable-journal.ts';
import {
  type Listener,
  type ListenerAddress,
  listenerName,
  openListener,
} from '../broker/listener.ts';
import { Message } from '../broker/message.ts';
import type { AuthOptions, BrokerOptions, ListenerOptions } from '../broker/options.ts';
import { Retained } from '../broker/retained.ts';
import { Sessions } from '../broker/sessions.ts';
import { offlineOf, statusTopic } from '../broker/status.ts';
import { Verifier } from '../broker/verifier.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secrets.ts';
import { openSocketFiles, type SocketFiles } from '../platform/socket-file.ts';
import { within } from '../platform/within.ts';
import type { Memory, Source } from './source.ts';

export interface BrokerSourceParts {
  /** The gateway's id. */
  readonly gateway: string;
  readonly version: string;
  /**
   * What `tidegate/status` says of the gateway, without state and lag. The broker publishes it only
   * when it is told to end, as offline; that it is online is for the gateway to say.
   */
  readonly status?: Readonly<Record<string, unknown>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly secrets: Secrets;
  /** The users and rights that the options name: what is in those files, by their names. */
  readonly authFiles?: AuthFileContents;
  /** Where unix sockets are made. Default: relative to the working directory. */
  readonly socketFiles?: SocketFiles;
  /** Other bounds than the usual, where they need not be what a real gateway has. */
  readonly bounds?: Partial<Bounds>;
}

/** By the name that the options have for the file. */
export interface AuthFileContents {
  readonly passwords: ReadonlyMap<string, NonNullable<AuthFiles['passwords']>>;
  readonly acls: ReadonlyMap<string, NonNullable<AuthFiles['acl']>>;
}

export interface PublishOptions {
  readonly retain: boolean;
  readonly qos: 0 | 1 | 2;
}

/** The embedded MQTT broker: what clients publish is ingested, and goes to local subscribers. */
export interface BrokerSource extends Source {
  /**
   * Publishes for the gateway itself; never ingested. Resolves when subscribers have been sent it.
   * While the broker is not open, only a retained message is kept for those who come.
   */
  publish(topic: string, payload: Uint8Array | string, options: PublishOptions): Promise<void>;
  /** Where clients can connect; empty while the broker is not open. */
  readonly addresses: readonly ListenerAddress[];
  /** Clients that are connected. */
  readonly clients: number;
  listClients(): ClientStatus[];
  /**
   * From now on these users and rights count, for those who are connected, too. Returns how many of
   * them were disconnected because their user is gone or has another password.
   */
  renewAuth(files: AuthFileContents): number;
  /** Ends the connection of a client; false when there is none. */
  disconnect(id: string): boolean;
}

/**
 * `run` throws GW_LISTEN_IN_USE, GW_LISTEN_FORBIDDEN, GW_LISTEN_FAILED or GW_SECRET_MISSING when a
 * listener cannot be opened. It may be called again when it has ended; sessions and retained
 * messages are then still there.
 */
export function createBrokerSource(options: BrokerOptions, parts: BrokerSourceParts): BrokerSource {
  const { clock, logger, metrics } = parts;
  const { limits } = options;
  const bounds: Bounds = { ...defaultBounds, ...parts.bounds };
  const { gateway, version } = parts;
  const offline = offlineOf(parts.status ?? { gateway, version });
  const dropped = (reason: string, messages = 1): void =>
    metrics.brokerDropped.inc({ reason }, messages);
  const sessions = new Sessions({
    ...limits,
    bounds,
    now: clock.monotonic,
    rest: () => clock.sleep(0),
    lost: dropped,
    failed: (error) => logger.error({ error }, 'The state of a session could not be kept.'),
  });
  const retained = new Retained(bounds, clock.monotonic, () => dropped('retained_full'));
  const verifier = new Verifier(parts);
  let authFiles = parts.authFiles;
  /** Of the listeners that are open. */
  let accesses: { readonly access: Access; readonly auth: AuthOptions }[] = [];
  const accessBy = (auth: AuthOptions): Access => {
    const access = createAccess(
      { ...filesFor(auth, authFiles), anonymous: isOpen(auth) },
      verifier,
    );
    accesses.push({ access, auth });
    return access;
  };
  const socketFiles = parts.socketFiles ?? openSocketFiles('.');
  const memory = brokerMemory(sessions, retained, { bounds, clock, ...limits });
  let broker: EmbeddedBroker | undefined;
  let addresses: readonly ListenerAddress[] = [];

  const publish: BrokerSource['publish'] = async (topic, payload, { retain, qos }) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    if (broker !== undefined) return await broker.publish(topic, bytes, { retain, qos });
    if (!retain) return;
    retained.store(new Message({ topic, payload: bytes, qos, retain }, clock.monotonic()));
  };

  const listen = async (on: EmbeddedBroker, failed: (error: Error) => void) => {
    const listeners: Listener[] = [];
    accesses = [];
    try {
      for (const listener of options.listeners) {
        const access = accessBy(listener.auth ?? options.auth);
        const door = doorOf(listener, limits, bounds, access);
        const { packetBytes } = door;
        const opened = await openListener(listener, {
          ...{ failed, packetBytes, socketFiles, secrets: parts.secrets },
          handshakeMaxMs: bounds.connectMaxMs,
          unfinishedBytes: bounds.unfinishedBytes,
          admit: (socket) => on.admit(socket, door),
          connected: (socket) => on.connected(socket, door),
        });
        listeners.push(opened);
        warnIfOpen(listener, options.auth, opened.address.port, logger);
      }
    } catch (error) {
      for (const listener of listeners) listener.close();
      await on.close();
      throw error;
    }
    return listeners;
  };

  const run: BrokerSource['run'] = async (ingest, signal, opened) => {
    if (signal.aborted) return;
    let end!: (error?: Error) => void;
    const ended = new Promise<Error | undefined>((resolve) => {
      end = resolve;
    });
    const on = await openBroker({
      verifier,
      ...parts,
      sysIntervalMs: options.sysInterval,
      ...{ bounds, sessions, retained, ingest },
      limits,
    });
    const listeners = await listen(on, end);
    broker = on;
    addresses = listeners.map((listener) => listener.address);
    logger.info({ listeners: addresses }, 'The broker is open.');
    signal.addEventListener('abort', () => end(), { once: true });
    if (signal.aborted) end();
    else opened();

    const error = await ended;
    for (const listener of listeners) listener.close();
    await within(on.settle(), bounds.stopAckMaxMs, clock);
    if (error === undefined) await publish(statusTopic, offline, { retain: true, qos: 0 });
    broker = undefined;
    addresses = [];
    await on.close();
    if (error !== undefined) throw error;
  };

  return {
    name: 'broker',
    memory,
    run,
    publish,
    get addresses() {
      return addresses;
    },
    get clients() {
      return broker?.clients.count ?? 0;
    },
    listClients: () => broker?.listClients() ?? [],
    renewAuth(files) {
      // All of them, before any of them counts.
      const renewed = accesses.map(({ access, auth }) => [access, filesFor(auth, files)] as const);
      authFiles = files;
      for (const [access, own] of renewed) access.renew(own);
      return broker?.renewRights() ?? 0;
    },
    disconnect: (id) => broker?.clients.disconnect(id) ?? false,
  };
}

function doorOf(
  listener: ListenerOptions,
  limits: BrokerOptions['limits'],
  bounds: Bounds,
  access: Access,
): Door {
  const own = listener.limits;
  const packetBytes = Math.min(limits.packetBytes, own?.packetBytes ?? limits.packetBytes);
  const door = { name: listenerName(listener, listener.port), access, packetBytes };
  if (own?.connections === undefined) return door;
  return { ...door, admission: new Admission(own.connections, bounds.addressShare) };
}

function filesFor(
  { passwordFile, aclFile }: AuthOptions,
  files: AuthFileContents | undefined,
): AuthFiles {
  const auth: { passwords?: AuthFiles['passwords']; acl?: AuthFiles['acl'] } = {};
  if (passwordFile !== undefined) auth.passwords = files?.passwords.get(passwordFile);
  if (aclFile !== undefined) auth.acl = files?.acls.get(aclFile);
  const isMissing =
    (passwordFile !== undefined && auth.passwords === undefined) ||
    (aclFile !== undefined && auth.acl === undefined);
  // Whoever forgets to read them must not have opened the gates.
  if (isMissing) throw new Error('The files of users and rights have not been read.');
  return auth as AuthFiles;
}

const isOpen = ({ anonymous, passwordFile }: AuthOptions): boolean =>
  anonymous ?? passwordFile === undefined;

function warnIfOpen(
  listener: ListenerOptions,
  common: AuthOptions,
  port: number,
  logger: Logger,
): void {
  const { host, path, tls, auth = common } = listener;
  if (path !== undefined || isLoopback(host) || tls?.clientCa !== undefined) return;
  if (auth.passwordFile !== undefined && auth.anonymous !== true) return;
  logger.warn(
    { listener: `${host}:${port}` },
    'Anybody who reaches this listener may publish and subscribe. Set host to 127.0.0.1, let a firewall choose who reaches it, ask for passwords with broker.auth.passwordFile, or for client certificates with tls.clientCa.',
  );
}

/** What lasts of sessions and retained messages: folded from the log, and taken up from there. */
function brokerMemory(
  sessions: Sessions,
  retained: Retained,
  parts: { readonly bounds: Bounds; readonly queuedMessages: number; readonly clock: Clock },
): Memory {
  const durable = new Durable({
    ...parts,
    retainedAt: (topic, position) => retained.at(topic, position),
  });
  // The same message comes from both sides, in either order.
  retained.onStored = (message) => durable.adoptRetained(message);
  return {
    restore: (state) => durable.restore(state),
    step: (entry) => durable.step(entry),
    snapshot: () => durable.snapshot(),
    get bytes() {
      return durable.bytes;
    },
    get oldest() {
      return durable.oldest;
    },
    losses: (isGone) => durable.losses(isGone),
    begin(ledger) {
      const state = durable.stateAt(parts.clock);
      const now = parts.clock.monotonic();
      for (const { message, ageMs } of state.retained) {
        const taken = new Message(message, now, -1, ageMs);
        retained.store(taken);
        durable.adoptRetained(taken, () => true);
      }
      sessions.restore(state, createJournal(ledger, parts.clock));
      // Nobody has said so while the gateway was down.
      sessions.note(
        state.sessions
          .filter(({ wasConnected }) => wasConnected)
          .map(({ client, expirySeconds, sentUpTo }) => ({
            ...{ kind: 'left', client, expirySeconds, sentUpTo },
          })),
      );
    },
  };
}
