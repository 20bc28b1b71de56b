import { httpTransport } from './http.ts';
import type { Transport } from './link.ts';
import { mqttTransport } from './mqtt.ts';
import { serialOptionsOf, serialTransport } from './serial.ts';
import type { TlsOptions } from './stream.ts';

export interface ConnectOptions extends TlsOptions {
  readonly protocol?: 4 | 5 | undefined;
  readonly qos?: 0 | 1 | 2 | undefined;
  readonly windowMessages?: number | undefined;
  readonly username?: string | undefined;
  /** Of the MQTT connection, or the token of HTTP. */
  readonly password?: string | undefined;
  readonly keepaliveSeconds?: number | undefined;
}

const defined = <T extends object>(given: T): { [K in keyof T]-?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;

/** The way to an address: mqtt, mqtts, ws, wss, http, https or serial. Throws with the remedy. */
export function transportTo(url: string, given: ConnectOptions = {}): Transport {
  const { protocol = 4, qos = 1, windowMessages = 20, ...rest } = given;
  const scheme = /^(\w+):/.exec(url)?.[1] ?? '';
  if (scheme === 'serial') return serialTransport(serialOptionsOf(url));
  if (!URL.canParse(url) || !/^\w+:\/\/./.test(url)) throw new Error(problemOf(url));
  if (scheme === 'http' || scheme === 'https') {
    const { password: token, ca, cert, key, rejectUnauthorized } = rest;
    return httpTransport(defined({ url, token, ca, cert, key, rejectUnauthorized }) as never);
  }
  if (!/^(mqtts?|wss?|tcp)$/.test(scheme)) throw new Error(problemOf(url));
  return mqttTransport({ url, protocol, qos, windowMessages, ...(defined(rest) as object) });
}

const problemOf = (url: string): string =>
  `${url} is not an address such as mqtt://127.0.0.1:1883, mqtts://…, ws://…, http://127.0.0.1:8080 or serial:/dev/ttyUSB0`;
