/** A signal that is aborted when the one it comes from is. */
export interface Branch {
  readonly signal: AbortSignal;
  /** It is not needed any more: nothing of it, nor of who listens to it, is kept. */
  leave(): void;
}

/**
 * Branches of a signal, which itself has one listener however many there are. What runs again and
 * again for years gets a branch each time, so that what a run listens with goes when the run goes.
 */
export function branching(signal: AbortSignal): () => Branch {
  const open = new Set<AbortController>();
  signal.addEventListener(
    'abort',
    () => {
      for (const controller of open) controller.abort(signal.reason);
    },
    { once: true },
  );
  return () => {
    const controller = new AbortController();
    if (signal.aborted) controller.abort(signal.reason);
    else open.add(controller);
    return { signal: controller.signal, leave: () => void open.delete(controller) };
  };
}
