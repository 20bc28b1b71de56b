import type { Rights } from './access.ts';
import type { Connection } from './connection.ts';
import type { Refusal } from './decode/refusal.ts';
import type { Account } from './gate.ts';
import type { ConnectRequest } from './packets.ts';
import type { Publisher } from './publisher.ts';

/** The far side of a connection, as its guard shows it to those who handle its packets. */
export interface Peer {
  readonly connection: Connection;
  readonly account: Account;
  readonly publisher: Publisher;
  /** The protocol level of the CONNECT; 5 is MQTT 5. */
  readonly level: number;
  /** The CONNECT, once it has come. */
  readonly request: ConnectRequest | undefined;
  /** The client identifier: the client's, or the one it was given. */
  client: string;
  /** What the client may do; known when its CONNECT is answered. */
  readonly rights: Rights;
  /** 1.5 times what the client asked for; 0 is for ever. */
  keepAliveMs: number;
  /** When the bytes at hand arrived; wall clock. */
  readonly receivedAt: number;
  /** Whether the CONNECT was answered. */
  readonly isReady: boolean;
  readonly isClosed: boolean;
  /** The CONNECT was answered: what came behind it may pass. */
  ready(): void;
  /** Closes the connection, saying why to those who understand it [MQTT5-4.13.1]. */
  refuse(refusal: Refusal): void;
  /** Nothing passes any more. */
  close(): void;
}
