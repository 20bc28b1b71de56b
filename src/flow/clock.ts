import type { CloudEvent } from '../event/event.ts';
import { isRedriven } from '../event/redelivery.ts';
import type { Entry } from '../log/log.ts';
import { onAbort } from '../platform/aborting.ts';
import type { Clock } from '../platform/clock.ts';
import type { Boots, Stamped } from '../projection/boots.ts';
import type { Sink } from '../sink/sink.ts';

/** What receivers are told about time, on a machine that does not always know it. */
export interface Timing {
  /**
   * Entries as receivers are to see them. Waits, within its bound, while some were recorded under
   * the clock of this boot and that has not been set yet. Rejects once the signal is aborted.
   */
  settle(entries: readonly Entry[], signal: AbortSignal): Promise<readonly Entry[]>;
  /** The same without waiting. */
  correct(entries: readonly Entry[]): readonly Entry[];
}

/** Lanes are told of what they wait for. */
export interface WaitingTiming extends Timing {
  /** Steps the corrections on, and wakes who waits for them. */
  step(entry: Entry): void;
  /** Nobody waits for the clock of this boot any longer. */
  giveUp(): void;
}

/** No message is older; a gateway whose clock was never set believes itself in the year 1970. */
const year2000 = Date.UTC(2000, 0, 1);
/** The gateway dates a message as it arrives; it is recorded so much later at most, or earlier. */
const arrivalMaxMs = 1_000;
const arrivalMinMs = -50;
const pollMs = 20;
/** Two readings of the same moment by two clocks. */
const roundingMs = 1_000;

/**
 * Decides what time receivers see. `isCurrent` says whether the corrections know all that was in
 * the log when the gateway started.
 */
export function createTiming(
  boots: Boots,
  parts: { readonly clock: Clock; readonly isCurrent: () => boolean },
): WaitingTiming {
  const { clock } = parts;
  const waiting = new Set<() => void>();
  let givenUp = false;
  const wake = (): void => {
    for (const go of waiting) go();
    waiting.clear();
  };
  const isWaitedFor = (entry: Entry): boolean =>
    entry.clock === 'unsynchronised' &&
    entry.boot === clock.boot &&
    !givenUp &&
    !boots.isGivenUp(entry.boot) &&
    boots.recordedTimeOf(stamped(entry)) === undefined;
  const correct = (entries: readonly Entry[]): readonly Entry[] =>
    entries.some(isDoubtful) ? entries.map((entry) => correctedOf(entry, boots)) : entries;

  return {
    async settle(entries, signal) {
      if (!entries.some(isDoubtful)) return entries;
      while (!parts.isCurrent()) await clock.sleep(pollMs, signal);
      while (entries.some(isWaitedFor)) await wakened(waiting, signal);
      return correct(entries);
    },
    correct,
    step(entry) {
      boots.step(stamped(entry));
      wake();
    },
    giveUp() {
      givenUp = true;
      wake();
    },
  };
}

/**
 * The age of an entry in milliseconds: by the monotonic clock within a boot, otherwise by wall clocks
 * that can be believed. 0 where nothing is known, so that nothing is ever too old by mistake.
 */
export function ageMsOf(entry: Entry, clock: Clock): number {
  if (entry.boot === clock.boot) return Math.max(0, clock.monotonic() - entry.monotonic);
  if (entry.clock === 'unsynchronised' || clock.quality() === 'unsynchronised') return 0;
  return Math.max(0, clock.now() - entry.recordedTime);
}

const stamped = (entry: Entry): Stamped => entry as Stamped;

/** Resolves at the next wake; rejects once the signal is aborted. */
function wakened(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const settled = onAbort(signal, () => {
      waiting.delete(go);
      reject(signal.reason);
    });
    const go = (): void => {
      settled();
      resolve();
    };
    waiting.add(go);
  });
}

/** Whether its times may be wrong by the gateway's own fault. */
function isDoubtful(entry: Entry): boolean {
  return (
    entry.clock === 'unsynchronised' || (entry.time < year2000 && entry.recordedTime >= year2000)
  );
}

function correctedOf(entry: Entry, boots: Boots): Entry {
  // What is sent again was dated when it was sent first.
  if (!isDoubtful(entry) || isRedriven(entry)) return entry;
  if (entry.clock !== 'unsynchronised') return arrivedBefore(entry, boots);
  const recordedTime = boots.recordedTimeOf(stamped(entry));
  if (recordedTime === undefined) return flagged(entry, 'unsynchronised');
  const movedMs = recordedTime - entry.recordedTime;
  const lateMs = entry.recordedTime - entry.time;
  const isOurs = entry.time < year2000 || (lateMs <= arrivalMaxMs && lateMs >= arrivalMinMs);
  const time = isOurs ? entry.time + movedMs : entry.time;
  const dated: Entry = { ...flagged(entry, 'corrected'), time, recordedTime };
  return dated.type === 'alert' && isOurs ? withSince(dated, entry, movedMs) : dated;
}

/** It came in before the clock was set, and was recorded behind that. */
function arrivedBefore(entry: Entry, boots: Boots): Entry {
  const moved = entry.time + (boots.offsetMsOf(entry.boot) ?? Number.POSITIVE_INFINITY);
  const time = Math.min(moved, entry.recordedTime);
  return { ...flagged(entry, 'corrected'), time };
}

function flagged(entry: Entry, timequality: 'corrected' | 'unsynchronised'): Entry {
  return { ...entry, extensions: { ...entry.extensions, timequality } };
}

/** A condition that began in this boot began by the same wrong clock. */
function withSince(alert: Entry, recorded: Entry, movedMs: number): Entry {
  const { data } = alert as CloudEvent<'alert'>;
  const since = Date.parse(data.since);
  const bootBegan = recorded.recordedTime - recorded.monotonic;
  if (!(since >= bootBegan - roundingMs && since <= recorded.recordedTime)) return alert;
  return {
    ...alert,
    data: { ...data, since: new Date(since + movedMs).toISOString() },
  } as Entry;
}

/** The same sink, for entries of the log: it is given the times that receivers are to see. */
export function withTiming(sink: Sink, timing: Timing): Sink {
  return {
    name: sink.name,
    types: sink.types,
    async connect(signal) {
      const connection = await sink.connect(signal);
      const { depth = 1 } = connection;
      let before: Promise<unknown> = Promise.resolve();
      return {
        depth,
        async deliver(entries, abort) {
          // One batch may have to wait for the clock, and the next must not go ahead of it.
          const settled = before.then(() => timing.settle(entries as Entry[], abort));
          before = settled;
          return await connection.deliver(await settled, abort);
        },
        close: () => connection.close(),
      };
    },
  };
}
