import type { Entry, EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { ageMsOf } from './clock.ts';

/** Nothing to abort: what is asked for is already in the log. */
const never = new AbortController().signal;

/**
 * How old the oldest event is that a reader has not done with, in milliseconds; 0 for one that has
 * done with all. What was found for a reader is remembered until that has moved, and then looked for
 * from there: whoever asks again and again does not make the disk read again what lies before.
 */
export function createOldestAges(log: EventLog, clock: Clock) {
  const known = new Map<string, { readonly position: number; readonly oldest: Entry }>();

  const behind = async (position: number): Promise<Entry> => {
    const [next] = await log.entriesAt([position + 1]).catch(() => []);
    if (next !== undefined) return next;
    // It is missing, and the one behind the hole counts; or the disk is in trouble, which a reader waits out.
    const reader = log.reader(position as Entry['position']);
    try {
      return (await reader.next(1, never))[0]!;
    } finally {
      reader.close();
    }
  };
  return async (name: string, position: number): Promise<number> => {
    if (position >= log.last) {
      known.delete(name);
      return 0;
    }
    let found = known.get(name);
    if (found?.position !== position) {
      found = { position, oldest: await behind(position) };
      known.set(name, found);
    }
    return ageMsOf(found.oldest, clock);
  };
}
