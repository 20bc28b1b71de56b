import { isLoopback } from '../broker/admission.ts';
import { type Bounds, defaultBounds } from '../broker/bounds.ts';
import { type EmbeddedBroker, openBroker } from '../broker/broker.ts';
import { type Listener, type ListenerAddress, openListener } from '../broker/listener.ts';
import type { BrokerOptions, ListenerOptions } from '../broker/options.ts';
import { Retained } from '../broker/retained.ts';
import { Sessions } from '../broker/sessions.ts';
import { offlineOf, statusTopic } from '../broker/status.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secrets.ts';
import { within } from '../platform/within.ts';
import type { Source } from './source.ts';

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
  /** Other bounds than the usual, where they need not be what a real gateway has. */
  readonly bounds?: Partial<Bounds>;
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
    lost: dropped,
  });
  const retained = new Retained(bounds, () => dropped('retained_full'));
  let broker: EmbeddedBroker | undefined;
  let addresses: readonly ListenerAddress[] = [];

  const publish: BrokerSource['publish'] = async (topic, payload, { retain, qos }) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    if (broker !== undefined) return await broker.publish(topic, bytes, { retain, qos });
    if (!retain) return;
    retained.store({ cmd: 'publish', topic, payload: bytes, qos, retain, dup: false });
  };

  const listen = async (on: EmbeddedBroker, failed: (error: Error) => void) => {
    const listeners: Listener[] = [];
    const { admit, connected } = on;
    const handshakeMaxMs = bounds.connectMaxMs;
    try {
      for (const listener of options.listeners) {
        const { secrets } = parts;
        listeners.push(
          await openListener(listener, { admit, connected, failed, secrets, handshakeMaxMs }),
        );
        warnIfOpen(listener, listeners.at(-1)!.address.port, logger);
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
    const on = await openBroker({ ...parts, ...{ bounds, sessions, retained, ingest }, limits });
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
    run,
    publish,
    get addresses() {
      return addresses;
    },
    get clients() {
      return broker?.clients ?? 0;
    },
  };
}

function warnIfOpen({ host, tls }: ListenerOptions, port: number, logger: Logger): void {
  if (isLoopback(host) || tls?.clientCa !== undefined) return;
  logger.warn(
    { listener: `${host}:${port}` },
    'Anybody who reaches this listener may publish and subscribe. Set host to 127.0.0.1, let a firewall choose who reaches it, or ask for client certificates with tls.clientCa.',
  );
}
