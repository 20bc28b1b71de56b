import { topicLevelsMax } from './decode/topic.ts';

/** What the broker may hold, and for how long. `limits` in the configuration comes on top. */
export interface Bounds {
  /** The size of a CONNECT, and the time from accepting a connection to having it whole. */
  readonly connectBytes: number;
  readonly connectMaxMs: number;
  /** The time from the first byte of a packet to its last. */
  readonly packetMaxMs: number;
  /** Memory for packets that have begun and not ended, of all clients together. */
  readonly unfinishedBytes: number;
  /** What may wait to be durable before reading stops: of one client, and of all together. */
  readonly clientMessages: number;
  readonly clientBytes: number;
  /** QoS 1 and 2 messages of one client that await an acknowledgement, with MQTT 5. */
  readonly receiveMaximum: number;
  /** Topic aliases of one client [MQTT5-3.1.2.11.5]. */
  readonly topicAliases: number;
  readonly totalMessages: number;
  readonly totalBytes: number;
  /** QoS 1 and 2 messages that one subscriber has been sent and has not acknowledged. */
  readonly inflightMessages: number;
  /** Levels of a topic that is retained, and of a filter. */
  readonly topicLevels: number;
  /** For how long a client with MQTT 5 may ask its session to be kept. */
  readonly sessionExpirySeconds: number;
  /** A subscriber with more than this unsent misses messages of which no session is kept. */
  readonly slowBytes: number;
  /** A client with more than this unsent is not read from, and has `drainMaxMs` to take it. */
  readonly unsentBytes: number;
  readonly drainMaxMs: number;
  /** With more than this unsent of all, who has not little of it is as a subscriber that is slow. */
  readonly unsentBytesTotal: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  /** Sessions kept for clients that are away, as a multiple of the connections. */
  readonly sessionsPerConnection: number;
  /** Payloads that wait for one subscriber, and for all. */
  readonly queuedBytes: number;
  readonly queuedBytesTotal: number;
  readonly clientSubscriptions: number;
  readonly totalSubscriptions: number;
  /** The part of the connections that one address may hold; this machine may hold all. */
  readonly addressShare: number;
  /** How long a stop waits for acknowledgements that are due, and for what is unsent. */
  readonly stopAckMaxMs: number;
  readonly stopSendMaxMs: number;
}

export const defaultBounds: Bounds = {
  connectBytes: 4 * 2 ** 10,
  connectMaxMs: 10_000,
  packetMaxMs: 120_000,
  unfinishedBytes: 32 * 2 ** 20,
  clientMessages: 1000,
  clientBytes: 2 ** 20,
  receiveMaximum: 5000,
  topicAliases: 16,
  totalMessages: 20_000,
  totalBytes: 16 * 2 ** 20,
  inflightMessages: 8192,
  topicLevels: topicLevelsMax,
  sessionExpirySeconds: 90 * 86_400,
  slowBytes: 256 * 2 ** 10,
  unsentBytes: 2 ** 20,
  drainMaxMs: 5000,
  unsentBytesTotal: 16 * 2 ** 20,
  retainedMessages: 50_000,
  retainedBytes: 32 * 2 ** 20,
  sessionsPerConnection: 2,
  queuedBytes: 4 * 2 ** 20,
  queuedBytesTotal: 24 * 2 ** 20,
  clientSubscriptions: 1000,
  totalSubscriptions: 50_000,
  addressShare: 0.75,
  stopAckMaxMs: 500,
  stopSendMaxMs: 250,
};
