/** Resolves when the text is handed over; rejects with the signal's reason as soon as that is aborted. */
export type WriteText = (text: string, signal: AbortSignal) => Promise<void>;

/** Writes to standard output, at the pace at which that is read. Throws when nobody reads it any more. */
export const writeStandardOutput: WriteText = async (text, signal) => {
  signal.throwIfAborted();
  const settled = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { signal: settled.signal });
      watchErrors();
      process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
    });
  } finally {
    settled.abort();
  }
};

let isWatched = false;

/** The error of a write comes to its callback; without a listener it would also end the process. */
function watchErrors(): void {
  if (isWatched) return;
  isWatched = true;
  process.stdout.on('error', () => undefined);
}
