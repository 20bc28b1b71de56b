import type { Cursor, CursorStore } from '../log/cursor.ts';
import type { Keyring } from '../log/keyring.ts';
import type { EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { createLetters } from '../projection/letters.ts';
import type { Rule } from '../rule/rule.ts';
import { createAnnouncer, type Publish } from './announce.ts';
import { beat } from './beat.ts';
import { withTiming } from './clock.ts';
import { type DeliverParts, deliver, recordRejections } from './deliver.ts';
import { evaluate } from './evaluate.ts';
import type { Hole } from './follow.ts';
import { recordGap } from './gap.ts';
import { openLane } from './lane.ts';
import { lanesOf, type SinkUse } from './lanes.ts';
import { createLetterDesk } from './letters.ts';
import { project } from './project.ts';
import { createReadAhead } from './read-ahead.ts';
import { openReplayNotes } from './replay-notes.ts';
import { createReplays } from './replays.ts';
import { createRetirement } from './retire.ts';
import { openTimekeeping } from './timekeeping.ts';

export interface ReadersParts {
  /** The id of the gateway. */
  readonly id: string;
  readonly disk: Disk;
  /** What the log and the cursors are encrypted with; without it they are in plain. */
  readonly keys?: Keyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
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

const waitForClockMs = 120_000;

/** Starts everything that follows the log: sinks, rules, projections, and the heartbeat in it. */
export function startReaders(
  parts: ReadersParts,
  log: EventLog,
  cursors: CursorStore,
  signal: AbortSignal,
  fail: (error: Error) => void,
) {
  const readAhead = createReadAhead();
  const deliverParts: DeliverParts = { ...parts, gateway: parts.id, log, readAhead };
  const open = (name: string, from: 'oldest' | 'newest'): Cursor => {
    // What was lost with its cursor must not be passed over in silence.
    const isOldest = from === 'oldest' || cursors.isDamaged;
    return cursors.open(name, () => (isOldest ? ((log.first - 1) as Position) : log.last));
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
  const replays = createReplays({
    ...{ ...deliverParts, timing, isSteady: timekeeping.isSteady, sinks: parts.sinks },
    ...{ notes: openReplayNotes(parts), ending: signal },
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
    replays.resume(),
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
    replays,
    books: () => lanes.map((lane) => lane.place.books()),
    caughtUp: () => [...cursors.all].every(({ position }) => position >= log.last),
    ended: Promise.all(tasks),
  };
}
