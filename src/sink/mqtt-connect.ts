/** One connection of the `mqtt` sink: opened, proved, and watched until it breaks. */
import type { IClientOptions, IConnackPacket, MqttClient } from 'mqtt';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';

/** Versions of the protocol as they are numbered in it: 4 is MQTT 3.1.1. */
export type MqttVersion = 4 | 5;

export interface Session {
  readonly client: MqttClient;
  readonly version: MqttVersion;
  /** What the server said when it let us in. */
  readonly connack: IConnackPacket;
  /** Why it can no longer be used. */
  readonly broken: Error | undefined;
  /** Called once, when it breaks. */
  onBroken: (reason: Error) => void;
}

/** The server does not speak this version, as far as one can tell. */
export class VersionRefused extends Error {
  override readonly name = 'VersionRefused';
}

/** Packet identifiers up to this are those of MQTT.js, for the status; those above are ours. */
export const idsOfClient = 16;

/** What MQTT.js gives its own packets. It never has more than one under way. */
function createIds() {
  let last = 0;
  return {
    allocate: (): number => (last = (last % idsOfClient) + 1),
    getLastAllocated: () => (last === 0 ? null : last),
    register: () => true,
    deallocate: () => undefined,
    clear: () => undefined,
  };
}

// [MQTT-3.1.2-2]: 1 in version 3.1.1, 0x84 in version 5.
const unsupportedVersion = new Set([1, 0x84]);
const credentials = new Set([4, 5, 0x86, 0x87]);

/**
 * Connects once. Throws `VersionRefused` when the server answers that it does not speak `version`,
 * or does not answer at all; a `GatewayError` for everything else.
 */
export async function openSession(
  url: string,
  version: MqttVersion,
  options: IClientOptions,
  parts: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Session> {
  const { connect } = await import('mqtt');
  const { clock, timeoutMs, signal } = parts;
  signal.throwIfAborted();
  const client = connect(url, {
    ...options,
    protocolVersion: version,
    // The gateway alone decides when to try again.
    reconnectPeriod: 0,
    connectTimeout: timeoutMs * 2,
    clean: true,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: 'native',
    messageIdProvider: createIds(),
  });
  // Batches end with small packets: waiting to fill larger ones costs 40 ms each time.
  (client.stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
  const session = watched(client, url, version);
  const settled = new AbortController();
  try {
    const connack = await new Promise<IConnackPacket>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { signal: settled.signal });
      session.onBroken = reject;
      client.once('connect', resolve);
      clock.sleep(timeoutMs, settled.signal).then(
        () => reject(session.silence(`no answer within ${timeoutMs} ms`)),
        () => undefined,
      );
    });
    session.onBroken = () => undefined;
    return Object.assign(session, { connack });
  } catch (error) {
    client.end(true);
    throw error;
  } finally {
    settled.abort();
  }
}

/** Listens from before the connection is there until after it is gone, so that no error is unheard. */
function watched(client: MqttClient, url: string, version: MqttVersion) {
  let broken: Error | undefined;
  let isOpen = false;
  let isConnected = false;
  const session = {
    client,
    version,
    get broken() {
      return broken;
    },
    onBroken: (_reason: Error): void => undefined,
    /** What it means that the server says nothing to our first packet. */
    silence: (words: string): Error =>
      isOpen
        ? new VersionRefused(`${url}: ${words}`)
        : new GatewayError('GW_SINK_UNAVAILABLE', `${url}: ${words}`),
  };
  const fail = (reason: Error): void => {
    if (broken !== undefined) return;
    broken = reason;
    session.onBroken(reason);
  };
  const lost = (words: string, cause?: unknown): Error =>
    new GatewayError('GW_SINK_UNAVAILABLE', `${url}: ${words}`, cause);
  client.stream?.once(url.startsWith('mqtts:') ? 'secureConnect' : 'connect', () => {
    isOpen = true;
  });
  client.once('connect', () => {
    isConnected = true;
  });
  client.on('error', (error) => {
    fail(isConnected ? lost('the connection failed', error) : refusalOf(url, error));
  });
  client.on('disconnect', ({ reasonCode }) => {
    const code = (reasonCode ?? 0).toString(16).padStart(2, '0');
    const remedy =
      reasonCode === 0x8e ? ': another client uses the same clientId; give each its own' : '';
    fail(lost(`the server ended the connection with reason 0x${code}${remedy}`));
  });
  client.on('close', () => {
    fail(
      isConnected
        ? lost('the connection was lost')
        : session.silence('the server closed the connection without an answer'),
    );
  });
  return session;
}

function refusalOf(url: string, error: Error): Error {
  const code = (error as { readonly code?: unknown }).code;
  if (typeof code !== 'number') {
    return new GatewayError('GW_SINK_UNAVAILABLE', `${url}: ${messageOf(error)}`, error);
  }
  if (unsupportedVersion.has(code)) return new VersionRefused(`${url}: ${error.message}`);
  const remedy = credentials.has(code)
    ? ': check username, password and the rights of this client'
    : code === 0x9a
      ? ': it keeps no retained messages; set status and retain to false'
      : '';
  return new GatewayError('GW_SINK_REFUSED', `${url}: ${error.message}${remedy}`);
}
