/**
 * aedes, and what the gateway relies on that aedes 2.0.0-beta.1 does not promise. With another
 * version, read this file against `lib/client.js` and `lib/handlers/` of that version.
 */
import { Aedes } from 'aedes';
import mqttPacket from 'mqtt-packet';
import type { Connection } from './connection.ts';

// Else the first packet makes a buffer of every number of 16 bits, and keeps all 65,536: 10 MB.
(mqttPacket.writeToStream as unknown as { cacheNumbers: boolean }).cacheNumbers = false;

export interface BrokerClient {
  readonly id: string;
  readonly version: 3 | 4 | 5;
  readonly conn: Connection;
  /** Whether the session ends with the connection. */
  readonly clean: boolean;
  readonly closed: boolean;
  readonly maximumPacketSize?: number;
  /** By filter and by broker. A plain object knows `constructor` without having been told. */
  subscriptions: Record<string, { readonly qos?: 0 | 1 | 2 }>;
  duplicates: Record<string, number>;
  /** The client asked for a new session. */
  readonly _cleanStart?: boolean;
  readonly _parser: { parse(bytes: Uint8Array): number };
  disconnect(options: { readonly reasonCode: number }, done?: () => void): void;
  close(done?: () => void): void;
}

export interface ConnectPacket {
  readonly clientId: string;
  readonly protocolVersion: number;
  readonly will?: { readonly topic: string; readonly qos: number };
  /** aedes keeps no time for a client when this is 0. */
  keepalive: number;
}

export interface Publish {
  /** Not set on a will. */
  readonly cmd?: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly messageId?: number;
  readonly brokerId?: string | null;
  readonly properties?: {
    readonly userProperties?: Readonly<Record<string, string | readonly string[]>>;
  };
  /** Makes aedes drop the message without an answer. */
  _notAuthorized?: boolean;
}

export type Callback = (error?: Error | null) => void;

export interface AedesHooks {
  preConnect(
    client: BrokerClient,
    packet: ConnectPacket,
    done: (error: Error | null, ok: boolean) => void,
  ): void;
  authenticate(
    client: BrokerClient,
    username: string | undefined,
    password: Uint8Array | undefined,
    done: (error: (Error & { returnCode?: number }) | null, ok: boolean) => void,
  ): void;
  authorizePublish(client: BrokerClient, packet: Publish, done: Callback): void;
  authorizeSubscribe<S extends { readonly topic: string }>(
    client: BrokerClient,
    subscription: S,
    done: (error: Error | null, subscription: S | null) => void,
  ): void;
  authorizeForward(client: BrokerClient, packet: Publish): Publish | null;
}

export interface AedesOptions extends AedesHooks {
  readonly id: string;
  readonly mq: unknown;
  readonly persistence: unknown;
  readonly connectTimeout: number;
  readonly drainTimeout: number;
  readonly maximumPacketSize: number;
  readonly receiveMaximum: number;
  readonly pendingSessionsLimit: number;
}

export interface Broker {
  handle(connection: Connection): BrokerClient;
  publish(
    packet: {
      readonly cmd: 'publish';
      readonly topic: string;
      readonly payload: Uint8Array;
      readonly qos: 0 | 1 | 2;
      readonly retain: boolean;
    },
    done: Callback,
  ): void;
  on(event: 'client' | 'clientDisconnect', listener: (client: BrokerClient) => void): void;
  on(event: 'connackSent', listener: (packet: unknown, client: BrokerClient) => void): void;
  on(
    event: 'clientError' | 'connectionError',
    listener: (client: BrokerClient, error: Error) => void,
  ): void;
  on(event: 'error', listener: (error: Error) => void): void;
  close(done: () => void): void;
}

/** An aedes whose maps hold nothing but what was put into them. */
export async function openAedes(options: AedesOptions): Promise<Broker> {
  const aedes = new Aedes(options as object);
  Object.assign(aedes, { clients: Object.create(null), brokers: Object.create(null) });
  await aedes.listen();
  return aedes as unknown as Broker;
}

/**
 * Gives whole packets to the aedes client of the connection, whatever it still works on: what waits
 * is bounded by others. Throws for some packets that are not sound: the parser of aedes reads
 * beyond their end, or they name a filter `__proto__`.
 */
export function feed(connection: Connection, packets: Uint8Array): void {
  (connection.client as BrokerClient)._parser.parse(packets);
}

/** A filter or a broker named like a property of every object must not be found there. */
export function giveOwnMaps(client: BrokerClient): void {
  client.subscriptions = Object.create(null);
  client.duplicates = Object.create(null);
}
