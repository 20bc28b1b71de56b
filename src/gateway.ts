/**
 * The wiring: parts in, running gateway out.
 *
 *   start   log (recover, sync) → cursors → rules, projections, sinks → what sources remember → sources
 *   stop    sources → readers finish what they can within the grace → cursors → log
 *
 * Being killed at any point must come to the same as being stopped.
 */
import { setMaxListeners } from 'node:events';
import type { CodecFiles } from './codec/codec.ts';
import type { IngestMapping } from './codec/mapping-options.ts';
import type { LogBooks } from './flow/audit.ts';
import { recordDamage } from './flow/gap.ts';
import { observeLanes } from './flow/lane-metrics.ts';
import type { LetterDesk } from './flow/letters.ts';
import { listen } from './flow/listen.ts';
import { openMemories } from './flow/memories.ts';
import { createOldestAges } from './flow/oldest.ts';
import { type ReadersParts, startReaders } from './flow/readers.ts';
import { haveIdentities, rememberIdentities } from './flow/remember.ts';
import type { Replay } from './flow/replay.ts';
import type { Replays } from './flow/replays.ts';
import { openCursorStore } from './log/cursor-store.ts';
import type { EventLog, Position } from './log/log.ts';
import { createQuarantine } from './log/quarantine.ts';
import { createReserve } from './log/reserve.ts';
import { type LogOptions, openEventLog } from './log/segment-log.ts';
import { GatewayEnds } from './platform/errors.ts';
import type { SchemaRegistry } from './schema/registry.ts';
import type { Source } from './source/source.ts';

export interface GatewayParts extends ReadersParts {
  readonly log: LogOptions;
  readonly mappings: readonly IngestMapping[];
  /** What codecs are configured with beside their options. */
  readonly codecFiles?: CodecFiles;
  /** What readings must look like, where the operator says so. */
  readonly schemas?: SchemaRegistry;
  readonly sources: readonly Source[];
  /** By the name of a source: how its messages are read, where `mappings` are not for them. */
  readonly sourceMappings?: ReadonlyMap<string, readonly IngestMapping[]>;
  /** Some source names what it hands over, so that repeats of it can be told apart. */
  readonly claimsIds?: boolean;
}

export interface Gateway {
  readonly log: EventLog;
  /** Resolves once messages can arrive at every source. */
  readonly opened: Promise<void>;
  /** Resolves with the reason when the gateway cannot go on; it must then be ended. */
  readonly failed: Promise<Error>;
  /** Events each reader is behind, by its name. */
  lag(): Readonly<Record<string, number>>;
  /** What became of every event on its way to every sink, at this moment. */
  books(): LogBooks;
  readonly letters: LetterDesk;
  /** Delivers history again, beside live delivery. */
  readonly replay: Replay;
  readonly replays: Replays;
  /** Brings the gauges up to date. */
  observe(): Promise<void>;
  /** Resolves when all is closed. What readers had not done within the grace waits on disk. */
  stop(graceMs: number): Promise<void>;
}

const stopPollMs = 10;

export async function startGateway(parts: GatewayParts): Promise<Gateway> {
  const { clock, logger, metrics } = parts;
  const reserve = createReserve(parts, parts.log.reserveBytes ?? 0);
  const quarantine = createQuarantine(parts);
  const cursors = await openCursorStore({ ...parts, reserve, quarantine });
  const memories = await openMemories({ ...parts, reserve, quarantine });
  let cursorsAreOpen = false;
  const log = await openEventLog(
    {
      ...{ ...parts, reserve, quarantine },
      newest: Math.max(cursors.newest, memories.newest) as Position,
      // Until every reader has its place, none may be taken to have passed anything.
      readers: () =>
        cursorsAreOpen
          ? [...cursors.all, ...memories.readers()]
          : [{ name: 'start', saved: 0 as Position }],
    },
    parts.log,
  );
  const readers = new AbortController();
  // As many listen as there are readers, and their number is that of the sinks.
  setMaxListeners(0, readers.signal);
  const sources = new AbortController();
  let fail!: (error: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  void log.failed.then(fail);

  const onBeat = (): void => {
    parts.onBeat();
    memories.beat();
  };
  const reading = startReaders({ ...parts, onBeat }, log, cursors, readers.signal, fail);
  const remembering = memories.start(log, readers.signal, fail);
  cursorsAreOpen = true;
  // Where a new reader begins must not move on with a crash. A full disk saves it later.
  await cursors.save().catch(() => {});
  const said = { ...parts, first: log.first };
  quarantine.begin(async (finding) => await recordDamage(finding, said, log));
  const mappings = [parts.mappings, ...(parts.sourceMappings?.values() ?? [])].flat();
  const duplicates =
    parts.claimsIds === true || haveIdentities(mappings)
      ? await rememberIdentities(log, readers.signal)
      : undefined;
  await remembering;
  const listening = listen({ ...parts, log, duplicates }, sources.signal, fail);

  const ageMsOfOldest = createOldestAges(log, clock);
  const observe = async (): Promise<void> => {
    const lag = reading.lag();
    observeLanes(reading.books(), log.last, metrics);
    metrics.lettersOpen.set(reading.letters.open);
    for (const { name, position } of cursors.all) {
      metrics.lagEvents.set({ reader: name }, lag[name] ?? 0);
      metrics.lagSeconds.set({ reader: name }, (await ageMsOfOldest(name, position)) / 1_000);
    }
  };
  return {
    log,
    opened: listening.opened,
    failed,
    lag: reading.lag,
    books: () => {
      const { first, last, thinned } = log;
      return { first, last, thinned, lanes: reading.books() };
    },
    letters: reading.letters,
    replay: reading.replays.run,
    replays: reading.replays,
    observe,
    async stop(graceMs) {
      listening.leave();
      sources.abort(new GatewayEnds());
      await listening.ended;
      const deadline = clock.monotonic() + graceMs;
      const caughtUp = () => reading.caughtUp() && memories.caughtUp();
      while (!caughtUp() && clock.monotonic() < deadline) await clock.sleep(stopPollMs);
      readers.abort(new GatewayEnds());
      await Promise.all([reading.ended, reading.replays.idle()]);
      await Promise.all([cursors.close(), memories.close()]);
      await log.close();
      logger.info({ position: log.last }, 'Stopped.');
    },
  };
}
