import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import type { InfluxDb } from '../services/influxdb.ts';
import type { Mosquitto } from '../services/mosquitto.ts';
import { isCounted, keyOf } from './books.ts';

/** What has arrived somewhere. */
export interface Arrived {
  /** How often each message of the fleet is there, by its key. */
  readonly readings: Map<string, number>;
  /** Messages that came under more than one id. */
  readonly renamed: Set<string>;
  /** Alerts, by incident and state. */
  readonly alerts: Set<string>;
}

interface CloudEventJson {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>> & {
    readonly fields?: Readonly<Record<string, unknown>>;
  };
}

function createArrived() {
  const ids = new Map<string, string>();
  const arrived: Arrived = { readings: new Map(), renamed: new Set(), alerts: new Set() };
  return {
    arrived,
    note({ id, type, subject, data }: CloudEventJson): void {
      if (type === 'io.tidegate.alert.v1') arrived.alerts.add(`${data.incident} ${data.state}`);
      if (type !== 'io.tidegate.reading.v1' || !isCounted(data.fields?.boot)) return;
      const key = keyOf(subject, data.fields?.boot, data.fields?.seq);
      arrived.readings.set(key, (arrived.readings.get(key) ?? 0) + 1);
      const before = ids.get(key);
      if (before === undefined) ids.set(key, id);
      else if (before !== id) arrived.renamed.add(key);
    },
  };
}

/** A subscriber of the upstream broker that misses nothing while that is restarted. */
export interface Listener {
  readonly arrived: Arrived;
  close(): Promise<void>;
}

export async function openListener(upstream: Mosquitto): Promise<Listener> {
  const client: MqttClient = await connectAsync(upstream.url, {
    clientId: 'listener',
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 100,
  });
  const { arrived, note } = createArrived();
  client.on('error', () => {});
  client.on('message', (_topic, payload) => note(JSON.parse(payload.toString())));
  await client.subscribeAsync(['gateways/+/reading/#', 'gateways/+/alert/#'], { qos: 1 });
  return { arrived, close: () => client.endAsync(true) };
}

/** What is in the files of the `file` sink. */
export async function archivedIn(folder: string): Promise<Arrived> {
  const { arrived, note } = createArrived();
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  for (const name of names.filter((each) => each.endsWith('.ndjson'))) {
    for (const line of (await readFile(join(folder, name), 'utf8')).split('\n')) {
      if (line !== '') note(JSON.parse(line));
    }
  }
  return arrived;
}

/** What InfluxDB holds; equal series and times are one there. */
export async function storedIn(influx: InfluxDb): Promise<Arrived> {
  const { arrived } = createArrived();
  for (const row of await influx.rows('sensors', 'climate')) {
    const key = keyOf(row.device, row.boot, row.seq);
    arrived.readings.set(key, (arrived.readings.get(key) ?? 0) + 1);
  }
  for (const row of await influx.rows('sensors', 'alert')) {
    arrived.alerts.add(`${row.incident} ${row.state}`);
  }
  return arrived;
}
