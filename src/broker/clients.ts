import type { BrokerClient } from './aedes.ts';
import type { Connection } from './connection.ts';
import type { Door } from './door.ts';
import { encodeDisconnect } from './encode-answers.ts';
import { addCounts, type Counts, Traffic } from './traffic.ts';

/** One client that is connected, as operators see it. Times in milliseconds since the epoch. */
export interface ClientStatus extends Counts {
  readonly id: string;
  /** Empty for a unix socket. */
  readonly address: string;
  readonly username?: string;
  readonly version: '3.1' | '3.1.1' | '5';
  readonly listener: string;
  readonly connectedSince: number;
  readonly lastSeen: number;
  /** Seconds; 0 when it gave none. */
  readonly keepAlive: number;
  /** Whether the session stays when the client goes. */
  readonly sessionKept: boolean;
  readonly subscriptions: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What the session of a client holds. */
export interface SessionSummary {
  readonly subscriptions: number;
  readonly inFlight: number;
  readonly queued: number;
}

interface Connected {
  readonly client: BrokerClient;
  readonly door: Door;
  readonly since: number;
  readonly guard: Watched;
}

/** What is asked of a guard. */
export interface Watched {
  readonly receivedAt: number;
  readonly keepAliveMs: number;
  close(): void;
}

/** Everything that has passed since the broker began. */
export interface Totals extends Counts {
  bytesIn: number;
  bytesOut: number;
}

const versions = { 3: '3.1', 4: '3.1.1', 5: '5' } as const;
/** DISCONNECT with "administrative action" [MQTT5-3.14.2.1]. */
const administrativeAction = 0x98;

/** The clients that are connected, and what passed over all connections there ever were. */
export class Clients {
  readonly #connected = new Map<Connection, Connected>();
  readonly #open = new Set<Connection>();
  readonly #closed: Totals = { ...new Traffic(), bytesIn: 0, bytesOut: 0 };
  /** The most that were connected at once. */
  maximum = 0;
  /** Connections there ever were. */
  connections = 0;

  get count(): number {
    return this.#connected.size;
  }

  /** A connection is there, of a client or not. It is forgotten when it closes. */
  opened(connection: Connection): void {
    this.#open.add(connection);
    this.connections += 1;
    connection.once('close', () => {
      this.#open.delete(connection);
      addConnection(this.#closed, connection);
    });
  }

  /** Its CONNECT was accepted. */
  accepted(client: BrokerClient, guard: Watched, door: Door, now: number): void {
    const { conn } = client;
    this.#connected.set(conn, { client, door, guard, since: now });
    this.maximum = Math.max(this.maximum, this.#connected.size);
    conn.once('close', () => void this.#connected.delete(conn));
  }

  totals(): Totals {
    const totals = { ...this.#closed };
    for (const connection of this.#open) addConnection(totals, connection);
    return totals;
  }

  /** By the time they connected. */
  list(summaryOf: (id: string) => SessionSummary | undefined): ClientStatus[] {
    return [...this.#connected.values()]
      .filter(({ client }) => !client.conn.destroyed)
      .map((connected) => statusOf(connected, summaryOf(connected.client.id)));
  }

  /** Ends the connection of a client; false when there is none. Its will is published. */
  disconnect(id: string): boolean {
    let found = false;
    for (const { client, guard } of this.#connected.values()) {
      if (client.id !== id || client.conn.destroyed) continue;
      if (client.version === 5) {
        const encode = (text: string) => encodeDisconnect(administrativeAction, text);
        client.conn.explain(encode, 'somebody has ended the connection');
      }
      guard.close();
      found = true;
    }
    return found;
  }
}

function statusOf(connected: Connected, summary: SessionSummary | undefined): ClientStatus {
  const { client, door, guard, since } = connected;
  const { conn } = client;
  const { username } = conn.rights;
  return {
    id: client.id,
    address: conn.address,
    ...(username === undefined ? {} : { username }),
    version: versions[client.version],
    listener: door.name,
    connectedSince: since,
    lastSeen: Math.max(since, guard.receivedAt),
    keepAlive: guard.keepAliveMs / 1500,
    sessionKept: !client.clean,
    ...{ subscriptions: 0, inFlight: 0, queued: 0, ...summary },
    ...conn.traffic,
    bytesIn: conn.socket.bytesRead,
    bytesOut: conn.socket.bytesWritten,
  };
}

function addConnection(totals: Totals, { socket, traffic }: Connection): void {
  addCounts(totals, traffic);
  totals.bytesIn += socket.bytesRead;
  totals.bytesOut += socket.bytesWritten;
}
