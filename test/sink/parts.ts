import { tmpdir } from 'node:os';
import { messageOf } from '../../src/platform/errors.ts';
import type { LogFields, Logger } from '../../src/platform/logger.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import type { SinkKind, SinkParts } from '../../src/sink/index.ts';
import type { Connection, Sink } from '../../src/sink/sink.ts';

export interface LoggedLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly fields: LogFields;
  readonly message: string;
}

/** What a sink is made from, and what it said. */
export function sinkParts(overrides: Partial<SinkParts> = {}): SinkParts & { log: LoggedLine[] } {
  const log: LoggedLine[] = [];
  const level =
    (name: LoggedLine['level']): Logger['info'] =>
    (fields, message) =>
      void log.push({ level: name, fields, message });
  return {
    name: 'cloud',
    gateway: 'greenhouse-pi',
    version: '0.1.0',
    clock: createSystemClock(),
    random: seededRandom(1),
    secrets: openSecrets(tmpdir()),
    logger: {
      error: level('error'),
      warn: level('warn'),
      info: level('info'),
      debug: level('debug'),
    },
    ...overrides,
    log,
  };
}

/** A sink of that kind, from options as they stand in a configuration. */
export function sinkOf(kind: SinkKind, options: object, parts: SinkParts = sinkParts()): Sink {
  return kind.create(kind.options.parse(options), parts);
}

/** A signal that nobody aborts. */
export const endless = new AbortController().signal;

/** Connects, uses, closes. */
export async function withConnection<T>(
  sink: Sink,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await sink.connect(endless);
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

/** The error that the work fails with; throws when it does not fail. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof Error) return outcome;
  throw new Error(`Expected an error, but got ${messageOf(outcome)}.`);
}
