import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkSecrets } from '../../src/config/check-secrets.ts';
import { loadConfig } from '../../src/config/load.ts';
import { lineOf } from '../../src/config/problem.ts';
import { shippedProfiles } from '../../src/config/profiles.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { autoMappings } from '../../src/profile/profile.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const write = (text: string, name = 'tidegate.yaml') => writeFileSync(join(folder, name), text);
const load = (environment: Record<string, string> = {}, path?: string) =>
  loadConfig({ cwd: folder, environment, ...(path === undefined ? {} : { path }) });

/** What `ingest: auto` stands for. */
const allProfiles = async () => autoMappings(await shippedProfiles(), {});

test('without any configuration file the gateway runs on its defaults', async () => {
  const { config, path, folder: base } = await load();
  expect(path).toBeUndefined();
  expect(base).toBe(folder);
  expect(config.gateway.id).toBe(hostname().replace(/[^A-Za-z0-9._-]+/g, '-'));
  expect(config.data.dir).toBe(join(folder, 'data'));
  expect(config.log).toEqual({
    maxBytes: 2 ** 30,
    maxAge: 30 * 86_400_000,
    whenFull: 'dropOldest',
    keepEvery: 10,
    commitDelayMs: 0,
  });
  expect(config.broker.listeners).toMatchObject([{ host: '127.0.0.1', port: 1883 }]);
  expect(config.admin.listen).toEqual({ host: '127.0.0.1', port: 8080 });
  expect(config.ingest).toEqual(await allProfiles());
  expect([config.sinks, config.rules, config.sources]).toEqual([{}, {}, {}]);
});

test('a file in the working directory is found; --config names another', async () => {
  write('gateway: { id: here }');
  mkdirSync(join(folder, 'etc'));
  write('gateway: { id: there }', 'etc/other.yaml');
  expect((await load()).config.gateway.id).toBe('here');
  const other = await load({}, 'etc/other.yaml');
  expect(other.config.gateway.id).toBe('there');
  expect(other.folder).toBe(join(folder, 'etc'));
  expect(other.path).toBe(join(folder, 'etc/other.yaml'));
});

test('a file that was asked for must be there', async () => {
  await expect(load({}, 'nowhere.yaml')).rejects.toMatchObject({ code: 'GW_CONFIG_MISSING' });
  await expect(load({}, '.')).rejects.toThrow('cannot be read: it is a folder');
});

test('a file of comments, and sections of comments, leave the defaults', async () => {
  write('# nothing\n');
  expect((await load()).config.admin.listen.port).toBe(8080);
  write('sinks:\n  # influx: { kind: influxdb }\nbroker:\n  limits:\ningest:\n');
  const { config } = await load();
  expect(config.sinks).toEqual({});
  expect(config.broker.limits.connections).toBe(1000);
  expect(config.ingest).toEqual(await allProfiles());
});

test('a file with a byte order mark and Windows line ends is read', async () => {
  write('\ufeffgateway:\r\n  id: pi\r\n');
  expect((await load()).config.gateway.id).toBe('pi');
});

test('data lies in --data, else where the file says, else where systemd says, else in ./data', async () => {
  mkdirSync(join(folder, 'etc'));
  write('data: { dir: kept }', 'etc/a.yaml');
  write('{}', 'etc/b.yaml');
  const dir = async (path: string, environment: Record<string, string>, dataDir?: string) =>
    (
      await loadConfig({
        cwd: folder,
        environment,
        path,
        ...(dataDir === undefined ? {} : { dataDir }),
      })
    ).config.data.dir;
  const systemd = { STATE_DIRECTORY: '/var/lib/tidegate:/var/lib/other' };
  expect(await dir('etc/a.yaml', systemd, 'mine')).toBe(join(folder, 'mine'));
  expect(await dir('etc/a.yaml', systemd)).toBe(join(folder, 'etc/kept'));
  expect(await dir('etc/b.yaml', systemd)).toBe('/var/lib/tidegate');
  expect(await dir('etc/b.yaml', {})).toBe(join(folder, 'data'));
  expect(await dir('etc/b.yaml', { TIDEGATE_DATA_DIR: '/srv/data' })).toBe('/srv/data');
});

test('sizes, durations and addresses arrive as numbers', async () => {
  write(
    'log: { maxBytes: 64MiB, maxAge: 90m }\nadmin: { listen: "[::1]:0" }\nsinks: { out: { kind: console, expire: 24h } }',
  );
  const { config } = await load();
  expect(config.log).toMatchObject({ maxBytes: 64 * 2 ** 20, maxAge: 90 * 60_000 });
  expect(config.admin.listen).toEqual({ host: '::1', port: 0 });
  expect(config.sinks.out).toMatchObject({ expire: 86_400_000, from: 'oldest' });
});

test('nothing in the configuration can be changed', async () => {
  write('sinks: { out: { kind: console, select: { type: [alert] } } }');
  const { config } = await load();
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(frozen));
  expect(frozen(config)).toBe(true);
});

test('the environment overrides single values, in the file and beside it', async () => {
  write(
    [
      'broker:',
      '  listeners: [{ port: 1883, host: 0.0.0.0 }]',
      'sinks:',
      '  my-cloud: { kind: http, url: "https://a.example" }',
      '  my: { kind: http, url: "https://a.example" }',
    ].join('\n'),
  );
  const { config } = await load({
    TIDEGATE_GATEWAY_ID: '007',
    TIDEGATE_LOG_COMMITDELAYMS: '5',
    TIDEGATE_LOG_MAXBYTES: '33554432',
    TIDEGATE_LOG_WHENFULL: 'refuseNew',
    TIDEGATE_BROKER_LISTENERS_0_PORT: '1884',
    TIDEGATE_BROKER_LISTENERS_1_PORT: '1885',
    TIDEGATE_SINKS_MY_CLOUD_GZIP: 'false',
    TIDEGATE_SINKS_MY_URL: 'https://b.example',
    TIDEGATE_SINKS_OUT_KIND: 'console',
    TIDEGATE_INGEST_0_TOPIC: '{device}/#',
    TIDEGATE_INGEST_0_TAGS_SITE: 'true',
    TIDEGATE_ADMIN_LISTEN: '',
    OTHER: 'x',
  });
  expect(config.gateway.id).toBe('007');
  expect(config.log).toMatchObject({
    commitDelayMs: 5,
    maxBytes: 32 * 2 ** 20,
    whenFull: 'refuseNew',
  });
  expect(config.broker.listeners).toMatchObject([
    { port: 1884, host: '0.0.0.0' },
    { port: 1885, host: '127.0.0.1' },
  ]);
  expect(config.sinks).toMatchObject({
    'my-cloud': { gzip: false, url: 'https://a.example' },
    my: { url: 'https://b.example' },
    out: { kind: 'console' },
  });
  expect(config.ingest).toMatchObject([{ topic: ['{device}/#'], tags: { site: 'true' } }]);
  expect(config.admin.listen.port).toBe(8080);
});

test('a secret moves to another place by one variable', async () => {
  write(
    'sinks:\n  db: { kind: influxdb, url: "http://127.0.0.1:8086", database: d, token: { env: T } }',
  );
  const token = async (environment: Record<string, string>) => {
    const { config } = await load(environment);
    const { db } = config.sinks;
    return db?.kind === 'influxdb' ? db.token : undefined;
  };
  expect(await token({})).toEqual({ env: 'T' });
  expect(await token({ TIDEGATE_SINKS_DB_TOKEN_FILE: '/run/t' })).toEqual({ file: '/run/t' });
  expect(await token({ TIDEGATE_SINKS_DB_TOKEN: '123' })).toBe('123');
});

test('variables that mean something else are left alone', async () => {
  write(
    'sinks: { db: { kind: influxdb, url: "http://h:1", database: d, token: { env: TIDEGATE_TOKEN } } }',
  );
  const { config } = await load({
    TIDEGATE_TOKEN: 'x',
    TIDEGATE_LOG_LEVEL: 'debug',
    TIDEGATE_LOG_FORMAT: 'json',
    TIDEGATE_REQUIRE_SERVICES: '1',
    // What Kubernetes sets for a Service named tidegate.
    TIDEGATE_SERVICE_HOST: '10.0.0.1',
    TIDEGATE_SERVICE_PORT_MQTT: '1883',
    TIDEGATE_PORT: 'tcp://10.0.0.1:1883',
    TIDEGATE_PORT_1883_TCP_ADDR: '10.0.0.1',
  });
  expect(config.sinks.db).toMatchObject({ token: { env: 'TIDEGATE_TOKEN' } });
});

test('every secret that cannot be read is named with its place, and none is shown', async () => {
  write('secret-token\n', 'token');
  write('', 'empty');
  write(
    [
      'sinks:',
      '  a: { kind: influxdb, url: "http://h:1", database: d, token: { file: token } }',
      '  b: { kind: influxdb, url: "http://h:1", database: d, token: { file: missing } }',
      '  c: { kind: influxdb, url: "http://h:1", database: d, token: { env: NOT_SET } }',
      '  d: { kind: influxdb, url: "http://h:1", database: d, token: { credential: t } }',
      '  e: { kind: influxdb, url: "http://h:1", database: d, token: { file: empty } }',
      // Not a secret, though it looks like one.
      '  f: { kind: influxdb, url: "http://h:1", database: d, tags: { env: prod } }',
    ].join('\n'),
  );
  const loaded = await load();
  const problems = await checkSecrets(loaded, openSecrets(loaded.folder, {}));
  const lines = problems.map(lineOf);
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^tidegate\.yaml:3:\d+: sinks\.b\.token: .*file missing.*ENOENT/);
  expect(lines[1]).toMatch(/^tidegate\.yaml:4:\d+: sinks\.c\.token: .*variable NOT_SET/);
  expect(lines[2]).toMatch(/^tidegate\.yaml:5:\d+: sinks\.d\.token: .*LoadCredential=t/);
  expect(lines[3]).toMatch(/^tidegate\.yaml:6:\d+: sinks\.e\.token: the secret is empty/);
  expect(lines.join()).not.toContain('secret-token');
});

test('a gigantic file is refused, not read', async () => {
  write(`# ${'x'.repeat(2 ** 20)}\n`);
  await expect(load()).rejects.toThrow('it is larger than 1048576 bytes');
});
