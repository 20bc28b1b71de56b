/**
 * The wiring: parts in, running gateway out.
 *
 *   start   log (recover, sync) → cursors → rules, projections, sinks → sources
 *   stop    sources → readers finish what they can within the grace → cursors → log
 *
 * Being killed at any point must come to the same as being stopped.
 */
import { setMaxListeners } from 'node:events';
import type { CodecFiles } from './codec/codec.ts';
import type { IngestMapping } from './codec/mapping-options.ts';
import { createAnnouncer, type Publish } from './flow/announce.ts';
import type { LogBooks } from './flow/audit.ts';
import { beat } from './flow/beat.ts';
import type { CatchUp } from './flow/catch-up.ts';
import { ageMsOf, withTiming } from './flow/clock.ts';
import { type DeliverParts, deliver, type Lane, recordRejections } from './flow/deliver.ts';
import type { DuplicateWindow } from './flow/duplicates.ts';
import { evaluate } from './flow/evaluate.ts';
import type { Hole } from './flow/follow.ts';
import { recordDamage, recordGap } from './flow/gap.ts';
import { createHostStates } from './flow/host-state.ts';
import { createIngest } from './flow/ingest.ts';
import { openLane } from './flow/lane.ts';
import { observeLanes } from './flow/lane-metrics.ts';
import { createLetterDesk, type LetterDesk, withRedriven } from './flow/letters.ts';
import { project } from './flow/project.ts';
import { rememberIdentities } from './flow/remember.ts';
import { createReplay, type Replay } from './flow/replay.ts';
import { createRetirement } from './flow/retire.ts';
import { type Retry, supervise } from './flow/supervise.ts';
import { openTimekeeping } from './flow/timekeeping.ts';
import type { Cursor, CursorStore } from './log/cursor.ts';
import { openCursorStore } from './log/cursor-store.ts';
import type { Keyring } from './log/keyring.ts';
import type { Entry, EventLog, Position } from './log/log.ts';
import { createQuarantine } from './log/quarantine.ts';
import { createReserve } from './log/reserve.ts';
import { type LogOptions, openEventLog } from './log/segment-log.ts';
import type { Clock } from './platform/clock.ts';
import type { Disk } from './platform/disk.ts';
import { GatewayError, messageOf } from './platform/errors.ts';
import type { Logger } from './platform/logger.ts';
import type { Metrics } from './platform/metrics.ts';
import type { Random } from './platform/random.ts';
import { createLetters } from './projection/letters.ts';
import type { Rule } from './rule/rule.ts';
import type { Sink } from './sink/sink.ts';
import type { Source } from './source/source.ts';

/** A sink as the operator wants it used. */
export interface SinkUse {
  readonly sink: Sink;
  readonly accepts: (entry: Entry) => boolean;
  /** Which of its two lanes can have anything to carry; both unless said. */
  readonly lanes?: { readonly alerts: boolean; readonly readings: boolean };
  readonly batch: Lane['batch'];
  readonly retry: Retry;
  readonly expireMs?: number;
  /** Where a sink that is new begins. */
  readonly from: 'oldest' | 'newest';
  /** What becomes of readings that it could not take in time; without it they come first. */
  readonly catchUp?: CatchUp;
}

export interface GatewayParts {
  readonly id: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly log: LogOptions;
  /** What the log and the cursors are encrypted with; without it they are in plain. */
  readonly keys?: Keyring;
  readonly mappings: readonly IngestMapping[];
  /** What codecs are configured with beside their options. */
  readonly codecFiles?: CodecFiles;
  readonly sources: readonly Source[];
  readonly rules: readonly Rule[];
  readonly sinks: readonly SinkUse[];
  /** How alerts and the gateway's status reach local subscribers. */
  readonly publish: Publish;
  /** `tidegate/status`, without the lag. */
  readonly status: Readonly<Record<string, unknown>>;
  readonly heartbeatMs: number;
  /** How long deliveries wait for a clock that has not been set; two minutes unless said. */
  readonly waitForClockMs?: number;
  /** Called when the log has proved to be alive; feeds the watchdog. */
  readonly onBeat: () => void;
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
  /** Brings the gauges up to date. */
  observe(): Promise<void>;
  /** Resolves when all is closed. What readers had not done within the grace waits on disk. */
  stop(graceMs: number): Promise<void>;
}

const sourceRetry: Retry = { minMs: 500, maxMs: 60_000 };
const stopPollMs = 10;
const waitForClockMs = 120_000;

export async function startGateway(parts: GatewayParts): Promise<Gateway> {
  const { clock, logger, metrics } = parts;
  const reserve = createReserve(parts, parts.log.reserveBytes ?? 0);
  const quarantine = createQuarantine(parts);
  const cursors = await openCursorStore({ ...parts, reserve, quarantine });
  let cursorsAreOpen = false;
  const log = await openEventLog(
    {
      ...{ ...parts, reserve, quarantine },
      newest: cursors.newest,
      // Until every reader has its place, none may be taken to have passed anything.
      readers: () => (cursorsAreOpen ? cursors.all : [{ name: 'start', saved: 0 as Position }]),
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

  const reading = startReaders(parts, log, cursors, readers.signal, fail);
  cursorsAreOpen = true;
  // Where a new reader begins must not move on with a crash. A full disk saves it later.
  await cursors.save().catch(() => {});
  quarantine.begin(async (finding) => await recordDamage(finding, parts, log));
  const duplicates = await rememberIdentities(parts.mappings, log, readers.signal);
  const listening = startSources(parts, log, duplicates, sources.signal, fail);

  const observe = async (): Promise<void> => {
    const lag = reading.lag();
    observeLanes(reading.books(), log.last, metrics);
    metrics.lettersOpen.set(reading.letters.open);
    for (const { name, position } of cursors.all) {
      metrics.lagEvents.set({ reader: name }, lag[name] ?? 0);
      const ageMs = position < log.last ? await ageMsBehind(position, log, clock) : 0;
      metrics.lagSeconds.set({ reader: name }, ageMs / 1_000);
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
    replay: (request, signal, onProgress) =>
      reading.replay(request, AbortSignal.any([signal, readers.signal]), onProgress),
    observe,
    async stop(graceMs) {
      listening.leave();
      sources.abort(new Error('The gateway stops.'));
      await listening.ended;
      const deadline = clock.monotonic() + graceMs;
      while (!reading.caughtUp() && clock.monotonic() < deadline) await clock.sleep(stopPollMs);
      readers.abort(new Error('The gateway stops.'));
      await reading.ended;
      await cursors.close();
      await log.close();
      logger.info({ position: log.last }, 'Stopped.');
    },
  };
}

function startReaders(
  parts: GatewayParts,
  log: EventLog,
  cursors: CursorStore,
  signal: AbortSignal,
  fail: (error: Error) => void,
) {
  const deliverParts: DeliverParts = { ...parts, gateway: parts.id, log };
  const open = (name: string, from: 'oldest' | 'newest'): Cursor => {
    return cursors.open(name, () => (from === 'oldest' ? ((log.first - 1) as Position) : log.last));
  };
  const place = (name: string, from: SinkUse['from']) =>
    openLane(open(name, from), log.last, cursors.save);
  const timekeeping = openTimekeeping(open('clock', 'oldest'), {
    ...{ ...deliverParts, waitForClockMs: parts.waitForClockMs ?? waitForClockMs },
  });
  const { timing } = timekeeping;
  const lanes = parts.sinks.flatMap((use) =>
    lanesOf({ ...use, sink: withTiming(use.sink, timing) }, place),
  );
  const ruleCursor = open('rules', 'oldest');
  const announcements = open('alerts', 'oldest');

  const letterCursor = open('letters', 'oldest');
  const letters = createLetters();
  letters.restore(letterCursor.state);
  const desk = createLetterDesk({
    ...{ ...deliverParts, letters, sinks: parts.sinks, signal },
    saveCursors: cursors.save,
  });
  const replay = createReplay({
    ...{ ...deliverParts, timing, isSteady: timekeeping.isSteady, sinks: parts.sinks },
    onRejections: async (rejections, sink) => {
      await recordRejections(rejections, sink, 1, deliverParts);
    },
  });

  const announcer = createAnnouncer(parts.publish, parts.metrics);
  announcer.restore(announcements.state);
  const lag = (): Record<string, number> => ({
    ...Object.fromEntries(
      [...cursors.all].map(({ name, position }) => [name, log.last - position]),
    ),
    ...Object.fromEntries(lanes.map(({ place: { name, waiting } }) => [name, waiting(log.last)])),
  });
  const ruleNames = new Set(parts.rules.map(({ name }) => name));
  const retire = createRetirement({ ...parts, log, orphans: () => announcer.orphans(ruleNames) });
  const onBeat = (): void => {
    const status = { ...parts.status, state: 'online', lag: lag() };
    parts.publish('tidegate/status', JSON.stringify(status), { retain: true, qos: 0 });
    parts.onBeat();
  };
  onBeat();

  const watch = async (task: Promise<unknown>): Promise<void> => {
    try {
      await task;
    } catch (error) {
      if (!signal.aborted) fail(error instanceof Error ? error : new Error(messageOf(error)));
    }
  };
  const common = { ...deliverParts, heartbeatMs: parts.heartbeatMs };
  const folded = (projection: Parameters<typeof project>[0], cursor: Cursor): Promise<void> => {
    const onHole = (hole: Hole) => recordGap(hole, { ...common, reader: cursor.name });
    return watch(project(projection, cursor, { ...common, onHole }, signal));
  };
  const tasks = [
    ...lanes.map((lane) => watch(deliver(lane, deliverParts, signal))),
    watch(evaluate(parts.rules, ruleCursor, common, signal)),
    folded(announcer, announcements),
    folded(desk, letterCursor),
    watch(timekeeping.run(signal)),
    watch(
      beat(
        {
          ...common,
          everyMs: parts.heartbeatMs,
          lag,
          onBeat: () => {
            onBeat();
            retire();
          },
        },
        signal,
      ),
    ),
  ];
  return {
    lag,
    letters: desk,
    replay,
    books: () => lanes.map((lane) => lane.place.books()),
    caughtUp: () => [...cursors.all].every(({ position }) => position >= log.last),
    ended: Promise.all(tasks),
  };
}

/** What a lane of a sink carries. */
export interface LaneUse {
  /** `<sink>/<lane>`. */
  readonly reader: string;
  readonly accepts: (entry: Entry) => boolean;
  readonly catchUp?: CatchUp;
}

/** One lane for readings and one for everything else, as far as the sink wants them. */
export function laneUsesOf(selection: LaneSelection): readonly LaneUse[] {
  const { sink, lanes, catchUp } = selection;
  const accepts = withRedriven(sink.name, selection.accepts);
  const uses: LaneUse[] = [];
  if (lanes?.alerts !== false) {
    uses.push({
      reader: `${sink.name}/alerts`,
      accepts: (entry) => entry.type !== 'reading' && accepts(entry),
    });
  }
  if (lanes?.readings !== false) {
    uses.push({
      reader: `${sink.name}/readings`,
      accepts: (entry) => entry.type === 'reading' && accepts(entry),
      ...(catchUp === undefined ? {} : { catchUp }),
    });
  }
  return uses;
}
type LaneSelection = Pick<SinkUse, 'sink' | 'accepts' | 'lanes' | 'catchUp'>;

function lanesOf(
  use: SinkUse,
  open: (name: string, from: SinkUse['from']) => Lane['place'],
): Lane[] {
  const { sink, batch, retry, expireMs } = use;
  return laneUsesOf(use).map(({ reader, ...lane }) => ({
    ...{ ...lane, sink, batch, retry },
    place: open(reader, use.from),
    ...(expireMs === undefined ? {} : { expireMs }),
  }));
}

async function ageMsBehind(position: Position, log: EventLog, clock: Clock): Promise<number> {
  const reader = log.reader(position);
  try {
    const [oldest] = await reader.next(1, never);
    return ageMsOf(oldest!, clock);
  } finally {
    reader.close();
  }
}
/** Nothing to abort: what is asked for is already in the log. */
const never = new AbortController().signal;

function startSources(
  parts: GatewayParts,
  log: EventLog,
  duplicates: DuplicateWindow | undefined,
  signal: AbortSignal,
  fail: (error: Error) => void,
) {
  const hosts = createHostStates(parts.mappings, parts);
  const opened: Promise<void>[] = [];
  const ended = parts.sources.map(async (source) => {
    let open!: () => void;
    opened.push(
      new Promise((resolve) => {
        open = resolve;
      }),
    );
    const ingest = createIngest({
      ...parts,
      gateway: parts.id,
      source: source.name,
      log,
      ...(source.publish === undefined ? {} : { reply: source.publish }),
      ...(duplicates === undefined ? {} : { duplicates }),
    });
    await supervise(
      async (healthy) => {
        await source.run(ingest, signal, () => {
          healthy();
          hosts.online(source);
          open();
        });
      },
      {
        retry: sourceRetry,
        clock: parts.clock,
        random: parts.random,
        signal,
        isFinal: (error) => error instanceof GatewayError,
        onFailure: (error, waitMs) =>
          parts.logger.error(
            { source: source.name, error: messageOf(error), waitMs },
            'A source failed; it will be opened again.',
          ),
      },
    ).catch((error: unknown) => {
      fail(error instanceof Error ? error : new Error(messageOf(error)));
    });
  });
  return {
    opened: Promise.all(opened).then(() => {}),
    /** Tells whoever listens that nobody will. */
    leave: () => parts.sources.forEach(hosts.offline),
    ended: Promise.all(ended),
  };
}
