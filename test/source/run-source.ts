import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import type { Ingest, Message, Source } from '../../src/source/source.ts';
import type { SourceParts } from '../../src/source/source-kind.ts';

/** What a source is made with, on this machine. */
export function sourceParts(name: string): SourceParts {
  return {
    name,
    gateway: 'test',
    version: '0',
    dataFolder: '.',
    clock: createSystemClock(),
    random: systemRandom,
    logger: silentLogger,
    metrics: createMetrics(),
    secrets: openSecrets('.'),
  };
}

export interface SourceRun {
  readonly messages: readonly Message[];
  texts(): string[];
  /** Resolves when the run has ended: undefined, or with what it threw. */
  readonly running: Promise<unknown>;
  /** Tells it to end, and waits. */
  stop(): Promise<unknown>;
}

const runs = new Set<SourceRun>();

/** Ends every run; for `afterEach`. */
export async function stopRuns(): Promise<void> {
  await Promise.all([...runs].map((run) => run.stop()));
  runs.clear();
}

/** Runs a source once; resolves when it is open, or has failed. */
export async function runSource(source: Source, keep?: Ingest): Promise<SourceRun> {
  const messages: Message[] = [];
  const told = new AbortController();
  let opened!: () => void;
  const open = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const ingest: Ingest = async (batch) => {
    messages.push(...batch);
    await keep?.(batch);
  };
  const running = source.run(ingest, told.signal, opened).then(
    () => undefined,
    (error: unknown) => error,
  );
  const run = {
    messages,
    running,
    texts: () => messages.map(({ payload }) => String(payload)),
    stop() {
      told.abort(new Error('The test is over.'));
      return running;
    },
  };
  runs.add(run);
  await Promise.race([open, running]);
  return run;
}
