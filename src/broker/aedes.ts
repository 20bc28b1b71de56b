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
  /** By filter and by broker. A plain object knows `constructor` without having been told. */
  subscriptions: Record<string, never>;
  duplicates: Record<string, number>;
  /** A DISCONNECT has come that takes the will back. */
  readonly _disconnected: boolean;
  /** Seconds; what the DISCONNECT has said, or else the CONNECT. */
  readonly sessionExpiryInterval: number;
  readonly _parser: { parse(bytes: Uint8Array): number };
}

export interface ConnectPacket {
  clientId: string;
  readonly protocolVersion: number;
  /** Ours: aedes is not told of it. */
  will?: unknown;
  readonly properties?: { authenticationMethod?: unknown; authenticationData?: unknown };
  /** aedes keeps no time for a client when this is 0. */
  keepalive: number;
}

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
}

export interface AedesOptions extends AedesHooks {
  readonly id: string;
  readonly mq: unknown;
  readonly persistence: unknown;
  readonly connectTimeout: number;
  readonly drainTimeout: number;
  readonly maximumPacketSize: number;
  readonly receiveMaximum: number;
  readonly topicAliasMaximum: number;
  readonly pendingSessionsLimit: number;
}

export interface Broker {
  /** Those it believes to be connected. */
  readonly clients: Record<string, BrokerClient>;
  handle(connection: Connection): BrokerClient;
  on(event: 'client', listener: (client: BrokerClient) => void): void;
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
