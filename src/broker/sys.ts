import type { Clock } from '../platform/clock.ts';
import type { Totals } from './clients.ts';
import { Load } from './load.ts';

/** What the broker says of itself. */
export interface SysFigures {
  readonly totals: Totals;
  /** Connections there ever were. */
  readonly connections: number;
  readonly connected: number;
  /** The most that were connected at once. */
  readonly connectedMax: number;
  /** Sessions of clients that are away. */
  readonly away: number;
  readonly subscriptions: number;
  readonly retained: number;
}

export interface SysParts {
  readonly version: string;
  readonly intervalMs: number;
  readonly clock: Clock;
  figures(): SysFigures;
  /** Whether somebody subscribes to the topic. */
  wants(topic: string): boolean;
  /** Whether so much of what was published is still on its way that no more is to follow. */
  isBehind(): boolean;
  /** Changes whenever a subscription comes or goes. */
  subscriptionsVersion(): number;
  publish(topic: string, text: string): void;
}

const root = '$SYS/broker/';
/** How soon whoever subscribes first gets what is current. */
const lookMs = 1000;
const minutes = [1, 5, 15] as const;

/** What is averaged, by the names that Mosquitto has for it (mosquitto(8), broker status). */
const loads: Readonly<Record<string, (figures: SysFigures) => number>> = {
  'messages/received': ({ totals }) => totals.packetsIn,
  'messages/sent': ({ totals }) => totals.packetsOut,
  'publish/received': ({ totals }) => totals.publishesIn,
  'publish/sent': ({ totals }) => totals.publishesOut,
  'publish/dropped': ({ totals }) => totals.dropped,
  'bytes/received': ({ totals }) => totals.bytesIn,
  'bytes/sent': ({ totals }) => totals.bytesOut,
  sockets: ({ connections }) => connections,
};

/**
 * Publishes `$SYS/broker/…`, retained, while somebody subscribes to any of it; what has not changed
 * is not published again. While nobody does, nothing is computed.
 */
export class Sys {
  readonly #parts: SysParts;
  readonly #startedAt: number;
  readonly #loads = Object.entries(loads).map(([name, of]) => ({
    ...{ name, of, before: 0 },
    averages: minutes.map((span) => ({ span, load: new Load(span) })),
  }));
  readonly #published = new Map<string, string>();
  #countedAt: number;
  #refreshedAt = 0;
  #version = -1;
  #wanted = false;

  constructor(parts: SysParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.monotonic();
    this.#countedAt = this.#startedAt;
  }

  /** Until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs } = this.#parts;
    if (intervalMs === 0) return;
    try {
      for (;;) {
        await clock.sleep(Math.min(lookMs, intervalMs), signal);
        this.look();
      }
    } catch {
      // Only the signal ends it.
    }
  }

  /** Publishes when it is time to, or when somebody has begun to listen. */
  look(): void {
    const { clock, intervalMs, subscriptionsVersion, isBehind } = this.#parts;
    if (isBehind()) return;
    const version = subscriptionsVersion();
    const now = clock.monotonic();
    const isDue = now - this.#refreshedAt >= intervalMs;
    if (version === this.#version && !(this.#wanted && isDue)) return;
    if (version !== this.#version) {
      this.#version = version;
      const before = this.#wanted;
      this.#wanted = this.#isWanted();
      if (before && !this.#wanted) this.#clear();
      if (!this.#wanted || (before && !isDue)) return;
    }
    this.#refreshedAt = now;
    this.#publish(this.#texts(now));
  }

  #isWanted(): boolean {
    return topics.some((topic) => this.#parts.wants(root + topic));
  }

  #publish(texts: ReadonlyMap<string, string>): void {
    for (const [topic, text] of texts) {
      if (this.#published.get(topic) === text) continue;
      this.#published.set(topic, text);
      this.#parts.publish(root + topic, text);
    }
  }

  /** Whoever comes later must not take old figures for current ones. */
  #clear(): void {
    for (const topic of this.#published.keys()) this.#parts.publish(root + topic, '');
    this.#published.clear();
  }

  #texts(now: number): Map<string, string> {
    const figures = this.#parts.figures();
    const { totals, connected, away } = figures;
    const texts = new Map<string, string>([
      ['version', `tidegate version ${this.#parts.version}`],
      ['uptime', `${Math.floor((now - this.#startedAt) / 1000)} seconds`],
    ]);
    const numbers: Readonly<Record<string, number>> = {
      'clients/total': connected + away,
      'clients/maximum': figures.connectedMax,
      'clients/connected': connected,
      'clients/active': connected,
      'clients/disconnected': away,
      'clients/inactive': away,
      'messages/received': totals.packetsIn,
      'messages/sent': totals.packetsOut,
      'publish/messages/received': totals.publishesIn,
      'publish/messages/sent': totals.publishesOut,
      'publish/messages/dropped': totals.dropped,
      'publish/bytes/received': totals.publishBytesIn,
      'publish/bytes/sent': totals.publishBytesOut,
      'bytes/received': totals.bytesIn,
      'bytes/sent': totals.bytesOut,
      'retained messages/count': figures.retained,
      'subscriptions/count': figures.subscriptions,
    };
    for (const [topic, value] of Object.entries(numbers)) texts.set(topic, `${value}`);
    for (const [topic, text] of this.#averages(figures, now)) texts.set(topic, text);
    return texts;
  }

  *#averages(figures: SysFigures, now: number): Generator<readonly [string, string]> {
    const elapsed = now - this.#countedAt;
    this.#countedAt = now;
    for (const counted of this.#loads) {
      const count = counted.of(figures);
      const more = count - counted.before;
      counted.before = count;
      for (const { span, load } of counted.averages) {
        load.add(more, elapsed);
        yield [`load/${counted.name}/${span}min`, load.perMinute.toFixed(2)];
      }
    }
  }
}

/** Everything that is published, below `$SYS/broker/`. */
const topics: readonly string[] = [
  ...['version', 'uptime'],
  ...['total', 'maximum', 'connected', 'active', 'disconnected', 'inactive'].map(
    (each) => `clients/${each}`,
  ),
  ...['messages/received', 'messages/sent', 'bytes/received', 'bytes/sent'],
  ...['messages/received', 'messages/sent', 'messages/dropped'].map((each) => `publish/${each}`),
  ...['publish/bytes/received', 'publish/bytes/sent'],
  ...['retained messages/count', 'subscriptions/count'],
  ...Object.keys(loads).flatMap((name) => minutes.map((span) => `load/${name}/${span}min`)),
];
