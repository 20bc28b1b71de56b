/** One connection of the `mqtt` sink: opened, proved, and watched until it breaks. */
import type { IClientOptions, IConnackPacket, MqttClient } from 'mqtt';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';

/** Versions of the protocol as they are numbered in it: 4 is MQTT 3.1.1. */
export type MqttVersion = 4 | 5;

export interface Session {
  readonly client: MqttClient;
  readonly version: MqttVersion;
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
  });
  const settled = new AbortController();
  let stop: () => void = () => undefined;
  try {
    const connack = await new Promise<IConnackPacket>((resolve, reject) => {
      let isOpen = false;
      client.stream?.once(url.startsWith('mqtts:') ? 'secureConnect' : 'connect', () => {
        isOpen = true;
      });
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      client.once('connect', resolve);
      client.once('error', (error) => reject(refusalOf(url, error)));
      client.once('close', () => {
        const words = `${url}: the server closed the connection without an answer`;
        reject(isOpen ? new VersionRefused(words) : new GatewayError('GW_SINK_UNAVAILABLE', words));
      });
      clock.sleep(timeoutMs, settled.signal).then(
        () => reject(new VersionRefused(`${url}: no answer within ${timeoutMs} ms`)),
        () => undefined,
      );
    });
    return watched(client, version, connack);
  } catch (error) {
    client.on('error', () => undefined);
    client.end(true);
    throw error;
  } finally {
    settled.abort();
    signal.removeEventListener('abort', stop);
  }
}

function watched(client: MqttClient, version: MqttVersion, connack: IConnackPacket): Session {
  let broken: Error | undefined;
  const session: Session = {
    client,
    version,
    connack,
    get broken() {
      return broken;
    },
    onBroken: () => undefined,
  };
  const end = (words: string, cause?: unknown): void => {
    if (broken !== undefined) return;
    broken = new GatewayError('GW_SINK_UNAVAILABLE', words, cause);
    session.onBroken(broken);
  };
  client.removeAllListeners('error');
  client.removeAllListeners('close');
  client.on('error', (error) => end('The connection failed', error));
  client.on('disconnect', ({ reasonCode }) => {
    const code = (reasonCode ?? 0).toString(16).padStart(2, '0');
    const remedy =
      reasonCode === 0x8e ? ': another client uses the same clientId; give each its own' : '';
    end(`The server ended the connection with reason 0x${code}${remedy}`);
  });
  client.on('close', () => end('The connection was lost'));
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
