import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * Everything that is counted, under the names that dashboards rely on. Handed in like time and
 * disk, so that every gateway in a test counts for itself.
 */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge<L>({ name, help, labelNames, registers });
  return {
    registry,
    received: counter('tidegate_messages_received_total', 'Messages that arrived.', 'source'),
    receivedBytes: counter(
      'tidegate_messages_received_bytes_total',
      'Bytes of the payloads of messages that arrived.',
      'source',
    ),
    ignored: counter(
      'tidegate_messages_ignored_total',
      'Messages that ingest says are not to be recorded.',
      'source',
    ),
    sourceUp: gauge('tidegate_source_up', '1 while messages can arrive.', 'source'),
    unmatched: counter(
      'tidegate_messages_unmatched_total',
      'Messages that no ingest mapping wanted.',
      'source',
    ),
    empty: counter(
      'tidegate_messages_empty_total',
      'Messages without a payload, by which a retained one is cleared.',
      'source',
    ),
    refusedTimes: counter(
      'tidegate_device_times_refused_total',
      'Readings whose device named a time that cannot be; the time of arrival stands.',
      'source',
    ),
    duplicates: counter('tidegate_duplicates_total', 'Messages dropped as repeats.', 'source'),
    appended: counter('tidegate_events_appended_total', 'Events recorded in the log.', 'type'),
    logBytes: gauge('tidegate_log_bytes', 'Bytes the log holds on disk.'),
    logPosition: gauge('tidegate_log_position', 'Position of the newest durable event.'),
    logBlocked: gauge('tidegate_log_blocked', '1 while events cannot be appended (disk full).'),
    writtenBytes: counter('tidegate_log_written_bytes_total', 'Bytes handed to the disk.'),
    commitSeconds: new Histogram({
      name: 'tidegate_log_commit_seconds',
      help: 'Time of one write and sync of the log.',
      buckets: [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5],
      registers,
    }),
    lagEvents: gauge('tidegate_reader_lag_events', 'Events a reader is behind.', 'reader'),
    lagSeconds: gauge(
      'tidegate_reader_lag_seconds',
      'Age of the oldest event a reader has not done with.',
      'reader',
    ),
    delivered: counter('tidegate_delivered_events_total', 'Events a sink has taken.', 'sink'),
    rejected: counter('tidegate_rejected_events_total', 'Events a sink refused for good.', 'sink'),
    replayed: counter(
      'tidegate_replayed_events_total',
      'Events a sink has taken again on request.',
      'sink',
    ),
    lettersOpen: gauge('tidegate_letters_open', 'Dead letters that nobody has dealt with.'),
    dropped: counter(
      'tidegate_dropped_events_total',
      'Events a reader will never get.',
      'reader',
      'reason',
    ),
    readerEvents: gauge(
      'tidegate_reader_events',
      'What became of the events a lane has passed, and how many wait, by its books.',
      'reader',
      'outcome',
    ),
    auditDifference: gauge(
      'tidegate_audit_difference_events',
      'Events that the books of a lane do not account for: 0 unless something is wrong.',
      'reader',
    ),
    backlogEvents: gauge(
      'tidegate_backlog_events',
      'Missed events that drain beside live delivery.',
      'reader',
    ),
    deliveryFailures: counter(
      'tidegate_delivery_failures_total',
      'Deliveries that failed and will be tried again.',
      'sink',
    ),
    sinkUp: gauge('tidegate_sink_up', '1 while the last delivery succeeded.', 'sink'),
    alertsFiring: gauge('tidegate_alerts_firing', 'Alerts that are firing.', 'severity'),
    brokerClients: gauge('tidegate_broker_clients', 'Connected MQTT clients.'),
    brokerRefused: counter(
      'tidegate_broker_refused_total',
      'Connections and packets the broker refused; clause is what of the specification they break.',
      'reason',
      'clause',
    ),
    brokerDropped: counter(
      'tidegate_broker_dropped_total',
      'Messages that a local subscriber did not get.',
      'reason',
    ),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
