import type { Admin } from '../admin/server.ts';
import { openAdmin } from '../admin/server.ts';
import type { ListenerAddress } from '../broker/listener.ts';
import type { CodecFiles } from '../codec/codec.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { createFileDisk } from '../platform/file-disk.ts';
import { lockFolder } from '../platform/lock.ts';
import { createProcessLogger, type Logger } from '../platform/logger.ts';
import { createMetrics, type Metrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { openSecrets } from '../platform/secrets.ts';
import { openSocketFiles } from '../platform/socket-file.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import { createServiceManager, type ServiceManager } from '../platform/systemd.ts';
import type { SchemaRegistry } from '../schema/registry.ts';
import {
  type AuthFileContents,
  type BrokerSource,
  createBrokerSource,
} from '../source/mqtt-broker.ts';
import { type LoadedAuthFiles, readAuthFiles } from './auth-files.ts';
import { readCodecFiles } from './codec-files.ts';
import { type Command, type Context, configOption, dataOption, exitStatus } from './command.ts';
import { createDisplay, type Display } from './display.ts';
import { logKeysOf } from './log-keys.ts';
import { createRules, createSinkUses, createSources } from './parts.ts';
import { createReload, type Reload } from './reload.ts';
import { readSchemas } from './schema-files.ts';
import { version } from './version.ts';

/** How long a stop waits for sinks to take what is still coming. */
const stopGraceMs = 1_000;
const heartbeatMs = 10_000;
/** What a full disk leaves for alerts and cursors. */
const reserveBytes = 2 ** 20;

export const run: Command = {
  name: 'run',
  summary: 'Run the gateway.',
  usage: '[--config FILE] [--data DIR] [--display]',
  options: {
    config: configOption,
    data: dataOption,
    display: { description: 'Show what arrives on standard output, for people who watch.' },
  },
  async run(context) {
    const loaded = await loadConfig({
      environment: context.environment,
      cwd: context.cwd,
      ...(context.options.config === undefined ? {} : { path: context.options.config }),
      ...(context.options.data === undefined ? {} : { dataDir: context.options.data }),
    });
    const { files: codecFiles, problems } = await readCodecFiles(loaded, context.cwd);
    const auth = await readAuthFiles(loaded, context.cwd);
    const schemas = await readSchemas(loaded);
    const all = [...problems, ...auth.problems, ...schemas.problems];
    if (all.length > 0) throw new ConfigError(all);
    // Among what people watch, the life of parts would only be noise.
    const level = context.options.display === undefined ? 'info' : 'warn';
    const logger = createProcessLogger(process.env, level);
    const lock = await lockFolder(loaded.config.data.dir);
    try {
      const files = { codecFiles, authFiles: auth.files, schemas: schemas.registry };
      const readAuth = () => readAuthFiles(loaded, context.cwd);
      return await runUntilTold({ ...loaded, ...files, readAuth }, logger, context);
    } finally {
      await lock.release();
    }
  },
};

interface Running {
  readonly gateway: Gateway;
  readonly broker: BrokerSource;
  readonly admin: Admin;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reload: Reload;
}

/** A configuration, and the files it refers to. */
interface Given {
  readonly config: Config;
  readonly folder: string;
  readonly codecFiles: CodecFiles;
  readonly schemas: SchemaRegistry;
  readonly authFiles: AuthFileContents;
  /** Reads the files of users and rights again. */
  readonly readAuth: () => Promise<LoadedAuthFiles>;
}

async function runUntilTold(given: Given, logger: Logger, context: Context): Promise<number> {
  const { config } = given;
  const manager = createServiceManager({ logger });
  let running: Running | undefined;
  // What is wrong with the files is in the log.
  context.onHangUp(() => void running?.reload().catch(() => undefined));
  running = await open(given, logger, manager);
  const { gateway, admin } = running;
  const told = new Promise<undefined>((resolve) => {
    context.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    if (context.signal.aborted) resolve(undefined);
  });
  const opened = await Promise.race([gateway.opened.then(() => true), gateway.failed, told]);
  const show = context.options.display === undefined ? undefined : startDisplay(running, config);
  let failure = opened instanceof Error ? opened : undefined;
  if (opened === true) {
    void manager.notify('READY=1', `STATUS=${running.broker.addresses.length} listeners open`);
    logger.info(
      {
        version,
        broker: running.broker.addresses.map(addressText).join(' '),
        admin: `${admin.address.host}:${admin.address.port}`,
        data: config.data.dir,
      },
      'Started.',
    );
    failure = await Promise.race([gateway.failed, told]);
  }
  void manager.notify('STOPPING=1');
  if (failure !== undefined) {
    const code = failure instanceof GatewayError ? { code: failure.code } : {};
    logger.error({ ...code, error: messageOf(failure) }, 'The gateway cannot go on.');
    // What the disk holds is unknown: nothing more is written, and starting finds out.
    if (failure instanceof GatewayError && failure.code === 'GW_LOG_WRITE_FAILED') {
      return exitStatus.failed;
    }
  }
  await admin.close();
  await gateway.stop(failure === undefined ? stopGraceMs : 0);
  await show?.(await countsOf(running.metrics));
  return failure === undefined ? exitStatus.done : exitStatus.failed;
}

/** Everything that runs, made from the configuration. */
async function open(given: Given, logger: Logger, manager: ServiceManager): Promise<Running> {
  const { config, folder, codecFiles, authFiles, schemas } = given;
  const metrics = createMetrics();
  const clock = createSystemClock();
  const secrets = openSecrets(folder);
  const keys = await logKeysOf(config.log, secrets);
  const doors = { clock, random: systemRandom, logger, metrics, secrets, version };
  const since = new Date(clock.now()).toISOString();
  const status = { gateway: config.gateway.id, version, since };
  const broker = createBrokerSource(config.broker, {
    ...{ ...doors, status },
    gateway: config.gateway.id,
    authFiles,
    socketFiles: openSocketFiles(folder),
  });
  const reload = createReload(given.readAuth, broker, logger);
  const beside = createSources(config, doors);
  const post = beside.sources.find((source) => source.post !== undefined)?.post;
  let ready = false;
  let gateway: Gateway | undefined;
  const admin = await openAdmin({
    listen: config.admin.listen,
    metrics,
    logger,
    health: () => (gateway === undefined ? 'The gateway is starting.' : gateway.log.blocked),
    ready: () => ready,
    status: () => ({ ...status, lag: gateway?.lag() ?? {} }),
    audit: () => gateway && { folder: config.data.dir, ...gateway.books() },
    observe: async () => await gateway?.observe(),
    operations: () => gateway,
    ...(post === undefined ? {} : { post }),
    clients: { list: () => broker.listClients(), disconnect: (id) => broker.disconnect(id) },
    reload,
  });
  try {
    gateway = await startGateway({
      ...doors,
      id: config.gateway.id,
      disk: createFileDisk(config.data.dir),
      keys,
      log: {
        maxBytes: config.log.maxBytes,
        maxAgeMs: config.log.maxAge,
        whenFull: config.log.whenFull,
        keepEvery: config.log.keepEvery,
        commitDelayMs: config.log.commitDelayMs,
        reserveBytes,
      },
      mappings: config.ingest,
      codecFiles,
      schemas,
      ...beside,
      sources: [broker, ...beside.sources],
      rules: createRules(config),
      sinks: createSinkUses(config, doors),
      publish: (topic, payload, how) => {
        broker.publish(topic, payload, how).catch((error: unknown) => {
          logger.warn({ topic, error: messageOf(error) }, 'Could not publish on the own broker.');
        });
      },
      status,
      heartbeatMs,
      waitForClockMs: config.gateway.waitForClock,
      onBeat: () => void manager.notify('WATCHDOG=1'),
    });
  } catch (error) {
    await admin.close();
    throw error;
  }
  void gateway.opened.then(() => {
    ready = true;
  });
  return { gateway, broker, admin, metrics, clock, logger, reload };
}

const schemes: Readonly<Record<string, string>> = {
  'tcp false': 'mqtt',
  'tcp true': 'mqtts',
  'websocket false': 'ws',
  'websocket true': 'wss',
};

function addressText({ host, port, path }: ListenerAddress): string {
  return path ?? `${host}:${port}`;
}

/** Shows what is recorded from now on; the function that is returned says the last words. */
function startDisplay({ gateway, broker, admin, clock, logger }: Running, config: Config) {
  const { stdout } = process;
  const display = createDisplay({
    out: {
      write: (text) => stdout.write(text),
      isTerminal: stdout.isTTY === true,
      get columns() {
        return stdout.columns;
      },
    },
    clock,
    waiting: () => waitingOf(Object.keys(config.sinks), gateway.lag()),
  });
  const ended = new AbortController();
  const reader = gateway.log.reader(gateway.log.last);
  const watch = async (): Promise<void> => {
    for (;;) display.events(await reader.next(1_000, ended.signal));
  };
  watch().catch((error: unknown) => {
    if (!ended.signal.aborted) logger.warn({ error: messageOf(error) }, 'The display has ended.');
  });
  display.started({
    addresses: broker.addresses.map(
      (address) => `${schemes[`${address.transport} ${address.tls}`]}://${addressText(address)}`,
    ),
    admin: `http://${admin.address.host}:${admin.address.port}`,
    dataDir: config.data.dir,
  });
  return (counts: Parameters<Display['stopped']>[0]): void => {
    ended.abort(new Error('The gateway stops.'));
    reader.close();
    display.stopped(counts);
  };
}

/** Events that each sink has still to take: those of the lane that is further behind. */
function waitingOf(
  sinks: readonly string[],
  lag: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    sinks.map((sink) => [sink, Math.max(lag[`${sink}/alerts`] ?? 0, lag[`${sink}/readings`] ?? 0)]),
  );
}

/** Types of event that nobody but the gateway itself has use for. */
const untold: ReadonlySet<unknown> = new Set(['heartbeat', 'message', 'session']);

async function countsOf(metrics: Metrics): Promise<Parameters<Display['stopped']>[0]> {
  const sum = async (metric: { get(): Promise<{ values: readonly Value[] }> }): Promise<number> => {
    const { values } = await metric.get();
    return values
      .filter(({ labels }) => !untold.has(labels.type))
      .reduce((total, { value }) => total + value, 0);
  };
  return {
    received: await sum(metrics.received),
    stored: await sum(metrics.appended),
    delivered: await sum(metrics.delivered),
  };
}
interface Value {
  readonly value: number;
  readonly labels: Partial<Record<string, string | number>>;
}
