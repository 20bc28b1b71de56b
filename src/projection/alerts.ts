import { type CloudEvent, type Severity, severities } from '../event/event.ts';
import type { Projection, ProjectionState } from './projection.ts';

/** An alert that has fired and not been resolved. */
export interface FiringAlert {
  readonly incident: string;
  readonly rule: string;
  readonly device: string;
  readonly severity: Severity;
  /** RFC 3339: when the condition began to hold. */
  readonly since: string;
  readonly summary: string;
  /** When it fired; milliseconds since the epoch. */
  readonly time: number;
  /** A `bigint` comes as its digits. */
  readonly value?: number | boolean | string;
  readonly threshold?: number;
}

export interface Alerts extends Projection {
  /** The oldest first. */
  firing(): readonly FiringAlert[];
  find(incident: string): FiringAlert | undefined;
  readonly countBySeverity: Readonly<Record<Severity, number>>;
  /** Firing alerts that had to make room for others. */
  readonly forgotten: number;
}

const alertsMax = 10_000;

/** Which alerts are firing, by incident. */
export function createAlerts(limit = alertsMax): Alerts {
  const byIncident = new Map<string, FiringAlert>();
  const countBySeverity: Record<Severity, number> = { info: 0, warning: 0, error: 0, critical: 0 };
  let forgotten = 0;

  const remove = (incident: string): void => {
    const alert = byIncident.get(incident);
    if (alert === undefined) return;
    byIncident.delete(incident);
    countBySeverity[alert.severity]--;
  };
  const put = (alert: FiringAlert): void => {
    if (byIncident.has(alert.incident)) return;
    byIncident.set(alert.incident, alert);
    countBySeverity[alert.severity]++;
    if (byIncident.size <= limit) return;
    const [oldest] = byIncident.keys();
    remove(oldest!);
    forgotten++;
  };
  return {
    name: 'alerts',
    step(event) {
      if (event.type !== 'alert') return;
      if (event.data.state === 'firing') put(alertOf(event));
      else remove(event.data.incident);
    },
    firing: () => [...byIncident.values()],
    find: (incident) => byIncident.get(incident),
    countBySeverity,
    get forgotten() {
      return forgotten;
    },
    snapshot: () => ({
      version: 1,
      forgotten,
      alerts: [...byIncident.values()] as unknown as ProjectionState,
    }),
    restore(state) {
      for (const incident of [...byIncident.keys()]) remove(incident);
      forgotten = 0;
      const saved = readState(state);
      for (const alert of saved.alerts) put(alert);
      forgotten = saved.forgotten;
    },
  };
}

function alertOf(event: CloudEvent<'alert'>): FiringAlert {
  const { incident, rule, severity, since, summary, value, threshold } = event.data;
  return {
    incident,
    rule,
    device: event.subject,
    severity,
    since,
    summary,
    time: event.time,
    ...(value === undefined ? {} : { value: typeof value === 'bigint' ? `${value}` : value }),
    ...(threshold === undefined ? {} : { threshold }),
  };
}

function readState(state: ProjectionState): { forgotten: number; alerts: FiringAlert[] } {
  const none = { forgotten: 0, alerts: [] };
  if (typeof state !== 'object' || state === null || Array.isArray(state)) return none;
  const { version, forgotten, alerts } = state as Record<string, unknown>;
  if (version !== 1 || typeof forgotten !== 'number' || !Array.isArray(alerts)) return none;
  return alerts.every(isAlert) ? { forgotten, alerts } : none;
}

function isAlert(saved: unknown): saved is FiringAlert {
  if (typeof saved !== 'object' || saved === null) return false;
  const { incident, severity } = saved as Partial<FiringAlert>;
  return typeof incident === 'string' && severity !== undefined && severity in severities;
}
