import type { CodecFiles } from '../codec/codec.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { SchemaRegistry } from '../schema/registry.ts';
import type { Source } from '../source/source.ts';
import { branching } from './branching.ts';
import { withCommands } from './commands.ts';
import type { DuplicateWindow } from './duplicates.ts';
import { createHostStates } from './host-state.ts';
import { createIngest } from './ingest.ts';
import { type Retry, supervise } from './supervise.ts';

export interface ListenParts {
  /** The id of the gateway. */
  readonly id: string;
  readonly sources: readonly Source[];
  readonly mappings: readonly IngestMapping[];
  readonly sourceMappings?: ReadonlyMap<string, readonly IngestMapping[]>;
  readonly codecFiles?: CodecFiles;
  readonly schemas?: SchemaRegistry;
  readonly log: EventLog;
  readonly duplicates: DuplicateWindow | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const sourceRetry: Retry = { minMs: 500, maxMs: 60_000 };
/** What fails sooner is not well yet: a broker that takes us and sends us away is not asked all the time. */
const steadyMs = 10_000;

/**
 * Opens every source, and opens it again when it fails. `fail` is told when one that everybody
 * relies on cannot be opened at all.
 */
export function listen(
  parts: ListenParts,
  signal: AbortSignal,
  fail: (error: Error) => void,
): {
  /** Resolves once messages can arrive at every source but those that may be away. */
  readonly opened: Promise<void>;
  /** Tells whoever listens that nobody will. */
  leave(): void;
  readonly ended: Promise<unknown>;
} {
  const { metrics, logger, clock } = parts;
  const hosts = createHostStates(parts.mappings, parts);
  const opened: Promise<void>[] = [];
  const branch = branching(signal);
  const ended = parts.sources.map(async (source) => {
    const { name: label, mayBeAway = false } = source;
    const up = metrics.sourceUp.labels({ source: label });
    up.set(0);
    let open!: () => void;
    const isOpen = new Promise<void>((resolve) => {
      open = resolve;
    });
    if (!mayBeAway) opened.push(isOpen);
    const ingest = withCommands(ingestOf(source, parts), parts.sources, logger);
    await supervise(
      async (healthy) => {
        const attempt = branch();
        let openedAt: number | undefined;
        try {
          await source.run(ingest, attempt.signal, () => {
            openedAt = clock.monotonic();
            up.set(1);
            hosts.online(source);
            open();
          });
        } finally {
          attempt.leave();
          if (openedAt !== undefined && clock.monotonic() - openedAt >= steadyMs) healthy();
        }
      },
      {
        ...{ clock, random: parts.random, signal: branch().signal },
        retry: { ...sourceRetry, maxMs: source.retryMaxMs ?? sourceRetry.maxMs },
        isFinal: (error) => !mayBeAway && error instanceof GatewayError,
        onFailure(error, waitMs) {
          up.set(0);
          const fields = { source: label, error: messageOf(error), waitMs };
          logger.error(fields, 'A source failed; it will be opened again.');
        },
      },
    ).catch((error: unknown) => {
      fail(error instanceof Error ? error : new Error(messageOf(error)));
    });
  });
  return {
    opened: Promise.all(opened).then(() => {}),
    leave: () => parts.sources.forEach(hosts.offline),
    ended: Promise.all(ended),
  };
}

function ingestOf(source: Source, parts: ListenParts) {
  const { duplicates, sourceMappings, ...rest } = parts;
  return createIngest({
    ...rest,
    gateway: parts.id,
    source: source.name,
    mappings: sourceMappings?.get(source.name) ?? parts.mappings,
    ...(source.publish === undefined ? {} : { reply: source.publish }),
    ...(duplicates === undefined ? {} : { duplicates }),
  });
}
