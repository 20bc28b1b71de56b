import { toCloudEventsText } from '../event/cloudevents-json.ts';
import type { Severity } from '../event/event.ts';
import { isRedriven } from '../event/redelivery.ts';
import type { Json } from '../log/cursor.ts';
import type { Entry } from '../log/log.ts';
import type { Metrics } from '../platform/metrics.ts';

/** How the gateway itself speaks on its own broker. */
export type Publish = (
  topic: string,
  payload: string,
  options: { retain: boolean; qos: 0 | 1 },
) => void;

interface Announced {
  readonly firing: boolean;
  readonly severity: Severity;
  readonly payload: string;
}

/** Topics remembered; beyond it the one that was longest resolved is forgotten. */
const topicsMax = 10_000;

/**
 * The last alert of every rule and device, retained under `tidegate/alerts/<rule>/<device>`, and
 * how many are firing. What it remembers is published again at every start.
 */
export function createAnnouncer(publish: Publish, metrics: Metrics) {
  const announced = new Map<string, Announced>();
  const firing: Record<Severity, number> = { info: 0, warning: 0, error: 0, critical: 0 };
  const count = (alert: Announced | undefined, by: number): void => {
    if (alert?.firing !== true) return;
    firing[alert.severity] += by;
    metrics.alertsFiring.set({ severity: alert.severity }, firing[alert.severity]);
  };
  const announce = (topic: string, alert: Announced): void => {
    count(announced.get(topic), -1);
    announced.delete(topic);
    announced.set(topic, alert);
    count(alert, 1);
    publish(topic, alert.payload, { retain: true, qos: 1 });
    if (announced.size > topicsMax) forgetOne();
  };
  const forgetOne = (): void => {
    let topic: string | undefined;
    for (const [candidate, alert] of announced) {
      topic ??= candidate;
      if (alert.firing) continue;
      topic = candidate;
      break;
    }
    count(announced.get(topic!), -1);
    announced.delete(topic!);
    // An empty retained message removes the one that is kept [MQTT-3.3.1-6].
    publish(topic!, '', { retain: true, qos: 1 });
  };
  return {
    accepts: (entry: Entry): boolean => entry.type === 'alert' && !isRedriven(entry),
    step(entry: Entry): void {
      if (entry.type !== 'alert') return;
      announce(topicOf(entry.data.rule, entry.subject), {
        firing: entry.data.state === 'firing',
        severity: entry.data.severity,
        payload: toCloudEventsText(entry),
      });
    },
    snapshot: (): Json =>
      [...announced].map(([topic, { firing, severity, payload }]) => [
        topic,
        firing,
        severity,
        payload,
      ]),
    restore(state: Json): void {
      if (!Array.isArray(state)) return;
      for (const [topic, firing, severity, payload] of state as [
        string,
        boolean,
        Severity,
        string,
      ][]) {
        announce(topic, { firing, severity, payload });
      }
    },
  };
}

/** A device may be named with characters that a topic name must not hold [MQTT-3.3.2-2]. */
function topicOf(rule: string, device: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is one of them.
  return `tidegate/alerts/${rule}/${device.replace(/[+#\u0000]/g, '_')}`;
}
