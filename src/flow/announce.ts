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

interface Alert {
  readonly rule: string;
  readonly incident: string;
  readonly firing: boolean;
  readonly severity: Severity;
  readonly payload: string;
}

/** Topics and incidents remembered; beyond it the topic that was longest without news is forgotten. */
const topicsMax = 10_000;
const firingPerTopicMax = 100;

/**
 * The last alert of every rule and device, retained under `tidegate/alerts/<rule>/<device>`, and
 * how many are firing. A rule may have several incidents of one device, one for each measurement:
 * while any is firing, the topic says so. What it remembers is published again at every start.
 */
export function createAnnouncer(publish: Publish, metrics: Metrics) {
  /** By topic, the one that had news last at the end; of each all that fire, or the last resolved. */
  const announced = new Map<string, Map<string, Alert>>();
  const firing: Record<Severity, number> = { info: 0, warning: 0, error: 0, critical: 0 };
  const count = (alert: Alert | undefined, by: number): void => {
    if (alert?.firing !== true) return;
    firing[alert.severity] += by;
    metrics.alertsFiring.set({ severity: alert.severity }, firing[alert.severity]);
  };
  const announce = (topic: string, alert: Alert): void => {
    const alerts = announced.get(topic) ?? new Map<string, Alert>();
    announced.delete(topic);
    announced.set(topic, alerts);
    count(alerts.get(alert.incident), -1);
    alerts.delete(alert.incident);
    if (alert.firing) {
      for (const [incident, { firing }] of alerts) if (!firing) alerts.delete(incident);
      alerts.set(alert.incident, alert);
      count(alert, 1);
      forgetOldest(alerts);
    } else if (alerts.size === 0 || ![...alerts.values()].some(({ firing }) => firing)) {
      alerts.clear();
      alerts.set(alert.incident, alert);
    }
    publish(topic, [...alerts.values()].at(-1)!.payload, { retain: true, qos: 1 });
    if (announced.size > topicsMax) forgetTopic();
  };
  const forgetOldest = (alerts: Map<string, Alert>): void => {
    if (alerts.size <= firingPerTopicMax) return;
    const [incident, alert] = alerts.entries().next().value!;
    count(alert, -1);
    alerts.delete(incident);
  };
  const forgetTopic = (): void => {
    let forgotten: string | undefined;
    for (const [topic, alerts] of announced) {
      forgotten ??= topic;
      if ([...alerts.values()].some(({ firing }) => firing)) continue;
      forgotten = topic;
      break;
    }
    for (const alert of announced.get(forgotten!)!.values()) count(alert, -1);
    announced.delete(forgotten!);
    // An empty retained message removes the one that is kept [MQTT-3.3.1-6].
    publish(forgotten!, '', { retain: true, qos: 1 });
  };
  return {
    accepts: (entry: Entry): boolean => entry.type === 'alert' && !isRedriven(entry),
    step(entry: Entry): void {
      if (entry.type !== 'alert') return;
      const { rule, incident, state, severity } = entry.data;
      const payload = toCloudEventsText(entry);
      const alert = { rule, incident, firing: state === 'firing', severity, payload };
      announce(topicOf(rule, entry.subject), alert);
    },
    /** Events, as JSON texts, of what fires though no rule of these names is there to resolve it. */
    orphans(rules: ReadonlySet<string>): string[] {
      return [...announced.values()].flatMap((alerts) =>
        [...alerts.values()]
          .filter(({ rule, firing }) => firing && !rules.has(rule))
          .map(({ payload }) => payload),
      );
    },
    snapshot: (): Json =>
      [...announced].flatMap(([topic, alerts]) =>
        [...alerts.values()].map(({ rule, incident, firing, severity, payload }) => [
          topic,
          rule,
          incident,
          firing,
          severity,
          payload,
        ]),
      ),
    restore(state: Json): void {
      if (!Array.isArray(state)) return;
      type Row = [string, string, string, boolean, Severity, string];
      for (const row of state as Row[]) {
        const [topic, rule, incident, firing, severity, payload] = row;
        if (payload === undefined) continue;
        announce(topic, { rule, incident, firing, severity, payload });
      }
    },
  };
}

/** A device may be named with characters that a topic name must not hold [MQTT-3.3.2-2]. */
function topicOf(rule: string, device: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: U+0000 is one of them.
  return `tidegate/alerts/${rule}/${device.replace(/[+#\u0000]/g, '_')}`;
}
