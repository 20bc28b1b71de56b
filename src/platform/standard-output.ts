import type { Writable } from 'node:stream';

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
    const settled = new AbortController();
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { signal: settled.signal });
        stream.write(text, (error) => (error ? reject(error) : resolve()));
      });
    } finally {
      settled.abort();
    }
  };
}

/** To standard output. */
export const writeStandardOutput: WriteText = createTextWriter(process.stdout);
