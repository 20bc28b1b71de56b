import { connectAsync } from 'mqtt';
import type { Clock } from '../../src/platform/clock.ts';
import type { DeviceMessage } from '../device.ts';
import { createHistogram, type Histogram } from '../histogram.ts';

/** A subscriber of its own, over another client than the devices have: it believes nobody else. */
export interface Observer {
  readonly seen: number;
  /** Acknowledged to a device, and not seen. */
  readonly missing: number;
  /** From sending to being seen. */
  readonly latency: Histogram;
  /** Different incidents of a rule in that state. */
  incidents(rule: string, state: 'firing' | 'resolved'): number;
  sent(message: DeviceMessage): void;
  acknowledged(message: DeviceMessage): void;
  close(): Promise<void>;
}

export interface ObserverOptions {
  /** mqtt, mqtts, ws or wss. */
  readonly url: string;
  readonly clock: Clock;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  readonly ca?: string | Buffer;
  readonly rejectUnauthorized?: boolean;
}

/** Messages that were sent and not seen; beyond it latencies are no longer measured. */
const waitingMax = 200_000;
const incidentsMax = 100_000;

/** Resolves when it has subscribed to everything; rejects when the server does not let it. */
export async function openObserver({ clock, url, ...options }: ObserverOptions): Promise<Observer> {
  const client = await connectAsync(
    url.replace(/^(wss?:\/\/[^/]+)\/?$/, '$1/mqtt'),
    { ...options, protocolVersion: 5, reconnectPeriod: 250, connectTimeout: 10_000 },
    false,
  );
  const latency = createHistogram();
  const sentAt = new Map<string, number>();
  /** Acknowledged less seen, by what it says; what is settled is not kept. */
  const balance = new Map<string, number>();
  const incidents = new Set<string>();
  let seen = 0;

  const move = (key: string, by: 1 | -1): void => {
    const now = (balance.get(key) ?? 0) + by;
    if (now === 0) balance.delete(key);
    else if (balance.size < waitingMax || balance.has(key)) balance.set(key, now);
  };
  client.on('message', (topic, payload, { retain }) => {
    if (topic.startsWith('tidegate/')) {
      if (!retain && topic.startsWith('tidegate/alerts/')) noteIncident(payload, incidents);
      return;
    }
    if (retain) return;
    seen += 1;
    const key = keyOf(topic, payload);
    move(key, -1);
    const at = sentAt.get(key);
    if (at === undefined) return;
    sentAt.delete(key);
    latency.record(clock.monotonic() - at);
  });
  // What is on the gateway's own topics is no message of a device, but for its alerts.
  await client.subscribeAsync({ '#': { qos: 1, rap: false } });
  return {
    get seen() {
      return seen;
    },
    get missing() {
      let sum = 0;
      for (const count of balance.values()) sum += Math.max(0, count);
      return sum;
    },
    latency,
    incidents: (rule, state) =>
      [...incidents].filter((each) => each.startsWith(`${state} ${rule} `)).length,
    sent({ topic, payload }) {
      if (sentAt.size < waitingMax) sentAt.set(keyOf(topic, payload), clock.monotonic());
    },
    acknowledged: ({ topic, payload }) => move(keyOf(topic, payload), 1),
    close: () => client.endAsync(true),
  };
}

const keyOf = (topic: string, payload: Uint8Array): string =>
  `${topic} ${Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1')}`;

function noteIncident(payload: Buffer, incidents: Set<string>): void {
  try {
    const { rule, state, incident } = JSON.parse(payload.toString()).data ?? {};
    if (incidents.size < incidentsMax) incidents.add(`${state} ${rule} ${incident}`);
  } catch {
    // An alert that was forgotten is an empty message.
  }
}
