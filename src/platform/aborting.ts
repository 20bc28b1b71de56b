interface Waiting {
  readonly callback: () => void;
  /** Its place among those who wait under the signal. */
  at: number;
}

const listening = new WeakMap<AbortSignal, Waiting[]>();

/**
 * Calls back, once, when the signal is aborted, unless what it returns has been called before. For
 * waits that come again and again under one signal. The listeners of an `EventTarget`, as the tables
 * of a `Set`, lead from those that are gone to those that came after them: once one of them has
 * grown old, whatever hangs on the others waits for a collection of the whole heap. Node keeps a
 * signal of `AbortSignal.any` that somebody listens to until it is aborted: abort it in the end.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let all = listening.get(signal);
  if (all === undefined) {
    all = [];
    listening.set(signal, all);
    listen(signal, all);
  }
  const waiting = { callback, at: all.length };
  all.push(waiting);
  return () => remove(all, waiting);
}

function listen(signal: AbortSignal, all: Waiting[]): void {
  const tell = (): void => {
    for (let next = all[0]; next !== undefined; next = all[0]) {
      remove(all, next);
      next.callback();
    }
  };
  signal.addEventListener('abort', tell, { once: true });
}

function remove(all: Waiting[], waiting: Waiting): void {
  if (waiting.at < 0) return;
  const last = all.pop()!;
  if (last !== waiting) {
    all[waiting.at] = last;
    last.at = waiting.at;
  }
  waiting.at = -1;
}
