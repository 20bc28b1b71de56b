import { brokerPath } from '../log/cursor-file.ts';
import { type CursorStoreParts, openCursorStore, type SavedCursors } from '../log/cursor-store.ts';
import type { EventLog, Position } from '../log/log.ts';
import type { LogOptions } from '../log/segment-log.ts';
import { messageOf } from '../platform/errors.ts';
import type { Source } from '../source/source.ts';
import { createBrokerJournal } from './broker-journal.ts';
import type { Hole } from './follow.ts';
import { recordGap } from './gap.ts';
import { type RunningMemory, startMemory } from './source-memory.ts';

export interface MemoriesParts extends CursorStoreParts {
  /** The id of the gateway. */
  readonly id: string;
  readonly log: Pick<LogOptions, 'maxBytes'>;
  readonly sources: readonly Source[];
}

/** What sources remember, each with a cursor of its source's name in a file of their own. */
export interface Memories {
  /** The newest position that any of them has saved. */
  readonly newest: Position;
  /** Up to where the log is no longer needed for them. */
  readers(): Iterable<{ readonly name: string; readonly saved: Position }>;
  /** Resolves when every source has been given what it remembers. */
  start(log: EventLog, signal: AbortSignal, fail: (error: Error) => void): Promise<void>;
  /** Looks, now and then, for what the log has lost of what they want, and that none keeps it full. */
  beat(): void;
  caughtUp(): boolean;
  /** Once nobody writes any more: saves all of it. */
  close(): Promise<void>;
}

const none: Memories = {
  newest: 0 as Position,
  readers: () => [],
  start: async () => {},
  beat() {},
  caughtUp: () => true,
  close: async () => {},
};

export async function openMemories(parts: MemoriesParts): Promise<Memories> {
  if (parts.sources.every(({ memory }) => memory === undefined)) return none;
  return createMemories(parts, await openCursorStore(parts, { path: brokerPath }));
}

function createMemories(parts: MemoriesParts, cursors: SavedCursors): Memories {
  const running = new Map<string, RunningMemory>();
  let ended: Promise<unknown> = Promise.resolve();
  let last = () => 0;
  let watch: (task: Promise<unknown>) => Promise<void>;

  return {
    newest: cursors.newest,
    *readers() {
      for (const [name, { saved }] of running) yield { name, saved };
    },
    async start(log, signal, fail) {
      last = () => log.last;
      watch = async (task) => {
        try {
          await task;
        } catch (error) {
          if (!signal.aborted) fail(error instanceof Error ? error : new Error(messageOf(error)));
        }
      };
      const tasks: Promise<void>[] = [];
      const ready: Promise<void>[] = [];
      for (const { name, memory } of parts.sources) {
        if (memory === undefined) continue;
        const cursor = cursors.open(name, () => (log.first - 1) as Position);
        const common = { ...parts, gateway: parts.id, source: name, log };
        const onHole = (hole: Hole) => recordGap(hole, { ...common, reader: name });
        const { maxBytes } = parts.log;
        const started = startMemory(memory, cursor, { ...common, maxBytes, onHole }, signal);
        running.set(name, started);
        tasks.push(watch(started.ended));
        ready.push(started.caughtUp.then(() => memory.begin(createBrokerJournal(common))));
      }
      ended = Promise.all(tasks);
      await cursors.save().catch(() => {});
      // When it cannot be read there is nobody to wait for: the gateway fails.
      await Promise.race([Promise.all(ready), ended]);
    },
    beat() {
      for (const memory of running.values()) {
        memory.makeWay();
        void watch(memory.tellLosses());
      }
    },
    caughtUp: () => [...running.values()].every(({ position }) => position >= last()),
    async close() {
      await ended;
      for (const memory of running.values()) memory.keep();
      await cursors.close();
    },
  };
}
