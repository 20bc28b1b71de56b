import type { CloudEvent, EventType } from '../../src/event/event.ts';
import { type Connection, factTypes, type Rejection, type Sink } from '../../src/sink/sink.ts';

/**
 * How the far side behaves. `refuses`: neither connects nor takes anything. `takes-then-throws`:
 * the answer is lost, the events are not. `rejects-first`: never wants the first of a batch;
 * `rejects-all`: never wants any of it.
 * `hangs`: answers nothing until the signal is aborted or the mood changes.
 */
export type SimSinkMood =
  | 'works'
  | 'refuses'
  | 'takes-then-throws'
  | 'rejects-first'
  | 'rejects-all'
  | 'hangs';

export interface SimSink extends Sink {
  mood: SimSinkMood;
  /** What the far side has, in order of arrival, repeats included. */
  readonly taken: CloudEvent[];
  /** What was rejected, in order, repeats included. */
  readonly rejected: Rejection[];
  /** Calls of `connect` that succeeded. */
  readonly connects: number;
  /** Connections that are not closed yet. */
  readonly open: number;
}

/** A sink whose far side is an array. It fails loudly when a connection is used as it must not be. */
export function createSimSink(
  name: string,
  options: {
    readonly types?: readonly EventType[];
    readonly mood?: SimSinkMood;
    /** How many batches its connections may have under way. */
    readonly depth?: number;
  } = {},
): SimSink {
  const { depth = 1 } = options;
  const taken: CloudEvent[] = [];
  const rejected: Rejection[] = [];
  let open = 0;
  let connects = 0;
  let wake: (() => void)[] = [];
  let mood = options.mood ?? 'works';

  const whileHanging = async (signal: AbortSignal): Promise<void> => {
    while (mood === 'hangs') {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        wake.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
  };

  const openConnection = (): Connection => {
    let state: 'usable' | 'broken' | 'closed' = 'usable';
    let underWay = 0;
    let last: Promise<unknown> = Promise.resolve();
    open++;
    const take = async (events: readonly CloudEvent[], signal: AbortSignal) => {
      signal.throwIfAborted();
      await whileHanging(signal);
      if (mood === 'refuses') throw new Error(`${name} refuses.`);
      const rejections: Rejection[] = [];
      for (const event of events) {
        if (mood === 'rejects-all') {
          rejections.push({ event, reason: `${name} wants nothing.` });
        } else if (mood === 'rejects-first' && event === events[0]) {
          rejections.push({ event, reason: `${name} does not want the first of a batch.` });
        } else taken.push(event);
      }
      if (mood === 'takes-then-throws') throw new Error(`${name} took it, but did not say so.`);
      rejected.push(...rejections);
      return rejections;
    };
    return {
      depth,
      async deliver(events, signal) {
        if (state !== 'usable') throw new Error(`A connection of ${name} was used while ${state}.`);
        if (underWay >= depth) throw new Error(`${name} was given more than ${depth} batches.`);
        underWay++;
        // What is behind a batch that fails is not taken.
        const mine = last.then(async () => await take(events, signal));
        last = mine;
        try {
          return await mine;
        } catch (error) {
          if (state === 'usable') state = 'broken';
          throw error;
        } finally {
          underWay--;
        }
      },
      async close() {
        if (state !== 'closed') open--;
        state = 'closed';
      },
    };
  };

  return {
    name,
    types: options.types ?? factTypes,
    taken,
    rejected,
    get connects() {
      return connects;
    },
    get open() {
      return open;
    },
    get mood() {
      return mood;
    },
    set mood(next) {
      mood = next;
      const woken = wake;
      wake = [];
      for (const go of woken) go();
    },
    async connect(signal) {
      signal.throwIfAborted();
      await whileHanging(signal);
      if (mood === 'refuses') throw new Error(`${name} cannot be reached.`);
      connects++;
      return openConnection();
    },
  };
}
