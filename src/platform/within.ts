import type { Clock } from './clock.ts';

/** Resolves when `work` has, or after `ms`, whichever comes first. Rejects if `work` does so first. */
export async function within(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const over = new AbortController();
  const late = clock.sleep(ms, over.signal).catch(() => {});
  try {
    await Promise.race([work, late]);
  } finally {
    over.abort(new Error('It is over.'));
  }
}
