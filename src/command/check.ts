import { checkSecrets } from '../config/check-secrets.ts';
import { inspectConfig, type LoadedConfig } from '../config/load.ts';
import { ConfigError, type Problem } from '../config/problem.ts';
import { messageOf } from '../platform/errors.ts';
import { folderProblem } from '../platform/lock.ts';
import { logSettingProblems, silentLogger } from '../platform/logger.ts';
import { systemRandom } from '../platform/random.ts';
import { openSecrets } from '../platform/secrets.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import type { Sink } from '../sink/sink.ts';
import { readAuthFiles } from './auth-files.ts';
import { checkTls } from './check-tls.ts';
import { readCodecFiles } from './codec-files.ts';
import { type Command, type Context, configOption, dataOption, exitStatus } from './command.ts';
import { logKeyProblems } from './log-keys.ts';
import { createSink, type Doors } from './parts.ts';
import { readSchemas } from './schema-files.ts';
import { version } from './version.ts';

const connectMaxMs = 5_000;

/** Says everything that is wrong with the configuration, and starts nothing. */
export const check: Command = {
  name: 'check',
  summary: 'Say everything that is wrong with the configuration. Starts nothing.',
  usage: '[--config FILE] [--data DIR] [--connect]',
  options: {
    config: configOption,
    data: dataOption,
    connect: {
      description: 'Also connect to every sink, for 5 seconds at most; makes folders of files.',
    },
  },
  notes:
    'Secrets are looked up as this user would: the gateway may run as another. Credentials of\nsystemd exist only inside the service.',
  async run(context) {
    const { options, environment, cwd, print, say } = context;
    const { given, loaded, problems } = await inspectConfig({
      ...(options.config === undefined ? {} : { path: options.config }),
      ...(options.data === undefined ? {} : { dataDir: options.data }),
      environment,
      cwd,
    });
    const secrets = openSecrets(given.folder, environment as NodeJS.ProcessEnv);
    const all: Problem[] = [
      ...problems,
      ...logSettingProblems(environment).map(logSettingProblem),
      ...(await checkSecrets(given, secrets)),
      ...(await checkTls(given, secrets)),
      ...(loaded === undefined ? [] : await logKeyProblems(loaded, secrets)),
      ...(loaded === undefined ? [] : (await readCodecFiles(loaded, cwd)).problems),
      ...(loaded === undefined ? [] : (await readAuthFiles(loaded, cwd)).problems),
    ];
    if (loaded === undefined) throw new ConfigError(all);
    const schemas = await readSchemas(loaded);
    all.push(...schemas.problems, ...schemas.incompatible);
    let isWell = true;
    const folder = await folderProblem(loaded.config.data.dir);
    if (folder !== undefined) {
      say(`The data folder ${folder}. Give the user that runs Tidegate access to it.`);
      isWell = false;
    }
    if (options.connect !== undefined) {
      const clock = createSystemClock();
      const doors = { clock, random: systemRandom, logger: silentLogger, secrets, version };
      if (!(await connectAll(loaded, doors, context))) isWell = false;
    }
    if (all.length > 0) throw new ConfigError(all);
    if (isWell) await print(`${loaded.path ?? 'The default configuration'} is valid.\n`);
    return isWell ? exitStatus.done : exitStatus.failed;
  },
};

function logSettingProblem({ name, message }: { name: string; message: string }): Problem {
  return { where: name, path: '', message };
}

/** Whether every sink could be reached; one line for each. */
async function connectAll(loaded: LoadedConfig, doors: Doors, context: Context): Promise<boolean> {
  const names = Object.keys(loaded.config.sinks);
  if (names.length === 0) context.say('There are no sinks to connect to.');
  const reached = await Promise.all(
    names.map(async (name) => {
      const began = doors.clock.monotonic();
      try {
        await connectOnce(createSink(name, loaded.config, doors), context.signal);
        const tookMs = Math.round(doors.clock.monotonic() - began);
        await context.print(`${name}: ok (${tookMs} ms)\n`);
        return true;
      } catch (error) {
        const where = loaded.whereIs(['sinks', name]);
        context.say(`${where === '' ? '' : `${where}: `}sinks.${name}: ${messageOf(error)}`);
        return false;
      }
    }),
  );
  return reached.every((each) => each);
}

async function connectOnce(sink: Sink, stop: AbortSignal): Promise<void> {
  const reason = new Error(`no answer within ${connectMaxMs / 1_000} s`);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(reason), connectMaxMs);
  const signal = AbortSignal.any([stop, limit.signal]);
  // A connection that comes too late must not stay open.
  const connecting = sink.connect(signal);
  try {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    await Promise.race([connecting, aborted]);
  } finally {
    clearTimeout(timer);
    void connecting.then((connection) => connection.close()).catch(() => {});
  }
}
