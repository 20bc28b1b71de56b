import { fstatSync } from 'node:fs';
import { pino } from 'pino';
import { GatewayError } from './errors.ts';
import { createRepeatLimit } from './log-repeats.ts';
import { jsonFieldsOf, textLineOf } from './log-text.ts';

/**
 * Words for people. `error`: data was lost or a person must act. `warn`: unexpected, recovered.
 * `info`: the life of parts. `debug`: never per event. Messages are constant; details are fields.
 */
export interface Logger {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
}
export type LogFields = Readonly<Record<string, unknown>>;

const nothing = (): void => {};
/** Says nothing. For tests and tools. */
export const silentLogger: Logger = {
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
};

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
export const logFormats = ['text', 'json'] as const;
export type LogFormat = (typeof logFormats)[number];

export interface LoggerOptions {
  readonly level?: LogLevel;
  readonly format?: LogFormat;
  /** Where lines go, one call each; standard error when not given. */
  readonly destination?: { write(line: string): unknown; readonly isTTY?: boolean };
  /** Lines begin with a syslog priority (`<4>`) and, in text, carry no time: the journal has both. */
  readonly journal?: boolean;
  /** For this long an equal `warn` or `error` of the same part is counted instead of written. */
  readonly repeatMs?: number;
}

const journalPriority = { error: '<3>', warn: '<4>', info: '<6>', debug: '<7>' } as const;

/**
 * A logger that never throws, never shows what is named like a secret, and writes an equal message
 * of the same part at most once per `repeatMs` (10 s), with the number of those left out.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = 'info', format = 'text', destination = process.stderr } = options;
  const journal = options.journal ?? false;
  const stacks = level === 'debug';
  const colour = destination.isTTY === true && !journal && process.env.NO_COLOR === undefined;
  let current: LogLevel = 'info';
  const write = (line: string): void => {
    const shown =
      format === 'json'
        ? line
        : textLineOf(JSON.parse(line), { colour, time: !journal, lines: colour });
    // On a terminal a line that is refreshed in place may stand where this one goes.
    const before = destination.isTTY === true ? '\r\x1b[K' : '';
    destination.write(journal ? journalPriority[current] + shown : before + shown);
  };
  const out = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  const print = (at: LogLevel, fields: LogFields, message: string): void => {
    // What the log cannot say must not stop the gateway from doing it.
    try {
      current = at;
      out[at](jsonFieldsOf(fields, stacks), message);
    } catch {}
  };
  const limit = createRepeatLimit(print, options.repeatMs ?? 10_000);
  const at = (wanted: LogLevel) =>
    out.isLevelEnabled(wanted)
      ? (fields: LogFields, message: string) => limit(wanted, fields, message)
      : nothing;
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

/**
 * The logger of the process, on standard error: `TIDEGATE_LOG_LEVEL` and `TIDEGATE_LOG_FORMAT`
 * choose, else the level is `standardLevel`; the journal's conventions are kept when standard error leads there. Throws
 * `GW_CONFIG_INVALID` for a level or format that does not exist.
 */
export function createProcessLogger(
  environment = process.env,
  standardLevel: LogLevel = 'info',
): Logger {
  const [problem] = logSettingProblems(environment);
  if (problem !== undefined) {
    throw new GatewayError('GW_CONFIG_INVALID', `${problem.name}: ${problem.message}`);
  }
  process.stderr.on('error', nothing);
  return createLogger({
    level: oneOf('TIDEGATE_LOG_LEVEL', logLevels, environment) ?? standardLevel,
    format: oneOf('TIDEGATE_LOG_FORMAT', logFormats, environment) ?? 'text',
    journal: leadsToJournal(2, environment),
  });
}

/** What is wrong with `TIDEGATE_LOG_LEVEL` and `TIDEGATE_LOG_FORMAT`, and the remedy. */
export function logSettingProblems(
  environment: Readonly<Record<string, string | undefined>>,
): { readonly name: string; readonly message: string }[] {
  return Object.entries({ TIDEGATE_LOG_LEVEL: logLevels, TIDEGATE_LOG_FORMAT: logFormats })
    .filter(
      ([name, allowed]) => environment[name] && oneOf(name, allowed, environment) === undefined,
    )
    .map(([name, allowed]) => {
      const value = JSON.stringify(environment[name]);
      return { name, message: `must be one of ${allowed.join(', ')}, not ${value}.` };
    });
}

function oneOf<T extends string>(
  name: string,
  allowed: readonly T[],
  environment: Readonly<Record<string, string | undefined>>,
): T | undefined {
  const value = environment[name]?.toLowerCase();
  return allowed.find((each) => each === value);
}

/** Whether the file descriptor is the stream that systemd connected to the journal. */
export function leadsToJournal(descriptor: number, environment = process.env): boolean {
  const stream = environment.JOURNAL_STREAM;
  if (stream === undefined) return false;
  // Inherited by everything the service starts, even where standard error leads elsewhere.
  try {
    const { dev, ino } = fstatSync(descriptor);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
