import type { Writable } from 'node:stream';
import { onAbort } from './aborting.ts';

/**
 * Resolves when the text is handed over, at the pace at which it is read. Rejects when nobody reads
 * any more, and with the signal's reason as soon as that is aborted.
 */
export type WriteText = (text: string, signal: AbortSignal) => Promise<void>;

export function createTextWriter(stream: Writable): WriteText {
  let isWatched = false;
  return async (text, signal) => {
    signal.throwIfAborted();
    if (!isWatched) {
      // An error reaches the callback of its write; unheard as an event it would end the process.
      stream.on('error', () => undefined);
      isWatched = true;
    }
    await new Promise<void>((resolve, reject) => {
      const settled = onAbort(signal, () => reject(signal.reason));
      stream.write(text, (error) => {
        settled();
        if (error) reject(error);
        else resolve();
      });
    });
  };
}

/** To standard output. */
export const writeStandardOutput: WriteText = createTextWriter(process.stdout);
