import type { KeptWill } from './durable-state.ts';
import type { MessageContent } from './message.ts';
import type { WillRequest } from './packets.ts';

/** A will whose time has not come. */
interface Delayed {
  readonly will: MessageContent;
  /** On the monotonic clock. */
  readonly at: number;
}

/** The will, as a message of its client. */
export function willMessage(client: string, will: WillRequest): MessageContent {
  const { topic, payload, qos, retain, properties } = will;
  return { topic, payload, qos, retain, from: client, ...(properties && { properties }) };
}

/**
 * Wills of clients that are gone, and may still return (OASIS MQTT 5.0, clause 3.1.3.2.2). Bounded:
 * there is one for each session that is kept at most, and what is one too many is published at once.
 */
export class Wills {
  readonly #delayed = new Map<string, Delayed>();
  readonly #most: number;
  /** Publishes a will. */
  publish: (client: string, will: MessageContent) => void = () => {};

  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#delayed.size;
  }

  /** The client has gone without saying so properly. */
  due(client: string, will: MessageContent, delaySeconds: number, now: number): void {
    this.#delayed.delete(client);
    if (delaySeconds === 0 || this.#delayed.size >= this.#most) this.publish(client, will);
    else this.#delayed.set(client, { will, at: now + delaySeconds * 1000 });
  }

  /** The client is back in its session: the will is not sent [MQTT-3.1.3-9]. True if one waited. */
  cancel(client: string): boolean {
    return this.#delayed.delete(client);
  }

  /** The session is over, and that is the latest for its will [MQTT-3.1.2-8]. */
  sessionEnded(client: string): void {
    const delayed = this.#delayed.get(client);
    if (delayed === undefined) return;
    this.#delayed.delete(client);
    this.publish(client, delayed.will);
  }

  /** Publishes what is due by `now`, on the monotonic clock. */
  check(now: number): void {
    for (const [client, { at }] of this.#delayed) if (at <= now) this.sessionEnded(client);
  }

  /** As they were before a restart: `awayMs` of their delay is over. */
  restore(wills: readonly KeptWill[], now: number): void {
    for (const { client, message, delaySeconds, awayMs } of wills) {
      const at = now + Math.max(0, delaySeconds * 1000 - awayMs);
      this.#delayed.set(client, { will: message, at });
    }
  }
}
