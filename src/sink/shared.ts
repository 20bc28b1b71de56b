import { onAbort } from '../platform/aborting.ts';
import type { Clock } from '../platform/clock.ts';
import { within } from '../platform/within.ts';

/** Something that is opened once for several users, who take turns. */
export interface Shared<T> {
  /** Opens it, unless it is open already. */
  use(signal: AbortSignal): Promise<Use<T>>;
}

export interface Use<T> {
  /**
   * Waits for its turn, then works. Once the work of anybody has failed, nobody can use what is
   * open any more: the next `use` opens it anew. Rejects with the signal's reason at once when that
   * is aborted; what has begun then still comes to its end before the next turn.
   */
  run(work: (open: T) => Promise<void>, signal: AbortSignal): Promise<void>;
  /**
   * The last user closes it. Twice is fine. Resolves after half a second even when what others do
   * with it does not come to an end: it is then closed when it does.
   */
  end(): Promise<void>;
}

interface Opened<T> {
  readonly value: T;
  users: number;
  failed: boolean;
}

const endMaxMs = 500;

export function createShared<T extends { close(): Promise<void> }>(
  open: () => Promise<T>,
  clock: Clock,
): Shared<T> {
  let current: Opened<T> | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  /** Runs after all that was asked for before, whatever became of it. */
  const inTurn = <R>(work: () => Promise<R>): Promise<R> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const leave = async (opened: Opened<T>): Promise<void> => {
    opened.users--;
    if (opened.users > 0) return;
    if (current === opened) current = undefined;
    await opened.value.close();
  };

  return {
    async use(signal) {
      const taking = inTurn(async () => {
        if (current === undefined || current.failed) {
          current = { value: await open(), users: 0, failed: false };
        }
        current.users++;
        return current;
      });
      const opened = await orAborted(taking, signal).catch((error: unknown) => {
        // Aborted meanwhile: nobody will end this use.
        taking.then((late) => inTurn(async () => await leave(late))).catch(() => undefined);
        throw error;
      });
      let ended: Promise<void> | undefined;
      return {
        async run(work, signal) {
          const working = inTurn(async () => {
            signal.throwIfAborted();
            if (opened.failed) throw new Error('It failed for another user.');
            try {
              await work(opened.value);
            } catch (error) {
              opened.failed = true;
              throw error;
            }
          });
          await orAborted(working, signal);
        },
        async end() {
          ended ??= within(
            inTurn(async () => await leave(opened)),
            endMaxMs,
            clock,
          );
          await ended;
        },
      };
    },
  };
}

/** What becomes of the work, or the signal's reason as soon as that is aborted. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const settled = onAbort(signal, () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
    work.then(resolve, reject).finally(settled);
  });
}
