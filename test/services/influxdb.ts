import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, type RunningService, startService, temporaryFolder } from './child.ts';

export interface InfluxDb extends RunningService {
  readonly url: string;
  /** Runs InfluxQL and returns the series of the first statement; throws on an error in the answer. */
  query(influxQl: string, database?: string): Promise<readonly InfluxSeries[]>;
  /** The rows of `SELECT * FROM <measurement>`, times in nanoseconds and integers as text. */
  rows(database: string, measurement: string): Promise<readonly Record<string, unknown>[]>;
}

export interface InfluxSeries {
  readonly name?: string;
  readonly tags?: Record<string, string>;
  readonly columns: readonly string[];
  readonly values: readonly (readonly unknown[])[];
}

/** Starts a real InfluxDB 1.x (`influxd`). Ask `available('influxd')` first. */
export async function startInfluxDb(
  options: {
    /** Names and password of an administrator; switches authentication on. */
    readonly admin?: { readonly username: string; readonly password: string };
    readonly maxBodyBytes?: number;
    /** `inmem` allows the limits on series; `tsi1` uses less memory. */
    readonly index?: 'inmem' | 'tsi1';
    /** Where its folder is made; among the temporary ones unless given. */
    readonly under?: string;
  } = {},
): Promise<InfluxDb> {
  const folder = await temporaryFolder('influxdb', options.under);
  const [httpPort, rpcPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${httpPort}`;
  await writeFile(join(folder, 'influxdb.conf'), configuration(folder, httpPort, rpcPort, options));
  const service = await startService({
    name: 'InfluxDB',
    program: 'influxd',
    args: ['run', '-config', join(folder, 'influxdb.conf')],
    folder,
    probe: async () => {
      const answer = await fetch(`${url}/ping`, { signal: AbortSignal.timeout(1_000) });
      if (answer.status !== 204) throw new Error(`InfluxDB answers ${answer.status}.`);
    },
  });
  const headers: Record<string, string> = {};
  if (options.admin !== undefined) {
    const { username, password } = options.admin;
    const first = await fetch(`${url}/query`, {
      method: 'POST',
      body: new URLSearchParams({
        q: `CREATE USER "${username}" WITH PASSWORD '${password}' WITH ALL PRIVILEGES`,
      }),
    });
    await first.text();
    headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }
  const query = async (influxQl: string, database?: string): Promise<readonly InfluxSeries[]> => {
    const answer = await fetch(`${url}/query`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ q: influxQl, ...(database && { db: database }) }),
    });
    const body = (await answer.json()) as {
      error?: string;
      results?: { error?: string; series?: InfluxSeries[] }[];
    };
    const error = body.error ?? body.results?.[0]?.error;
    if (error !== undefined) throw new Error(`InfluxDB: ${error}`);
    return body.results?.[0]?.series ?? [];
  };
  return Object.assign(service, {
    url,
    query,
    async rows(database: string, measurement: string) {
      const name = measurement.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
      return await rowsOf(url, headers, database, `SELECT * FROM "${name}"`);
    },
  });
}

async function rowsOf(
  url: string,
  headers: Record<string, string>,
  database: string,
  influxQl: string,
): Promise<readonly Record<string, unknown>[]> {
  const answer = await fetch(`${url}/query?epoch=ns`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({ q: influxQl, db: database }),
  });
  // Times in nanoseconds and 64-bit integers are beyond a double: keep them as text.
  const text = (await answer.text()).replace(/([[,:])(-?\d{16,})(?=[,\]}])/g, '$1"$2"');
  const body = JSON.parse(text) as { results?: { error?: string; series?: InfluxSeries[] }[] };
  const error = body.results?.[0]?.error;
  if (error !== undefined) throw new Error(`InfluxDB: ${error}`);
  return (body.results?.[0]?.series ?? []).flatMap((series) =>
    series.values.map((row) => Object.fromEntries(series.columns.map((c, at) => [c, row[at]]))),
  );
}

function configuration(
  folder: string,
  httpPort: number,
  rpcPort: number,
  options: Parameters<typeof startInfluxDb>[0] & object,
): string {
  return `reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
  index-version = "${options.index ?? 'inmem'}"
  query-log-enabled = false
  max-series-per-database = 1000000
  max-values-per-tag = 100000
[http]
  enabled = true
  bind-address = "127.0.0.1:${httpPort}"
  auth-enabled = ${options.admin !== undefined}
  log-enabled = false
  max-body-size = ${options.maxBodyBytes ?? 25_000_000}
[monitor]
  store-enabled = false
[logging]
  level = "warn"
`;
}
