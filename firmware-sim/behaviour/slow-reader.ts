import type { LinkBehaviour } from './condition.ts';

/** The device subscribes, and reads what comes more slowly than it is sent. */
export function slowReader(topic: string, everyMs: number): LinkBehaviour {
  return () => ({ reads: { topic, everyMs } });
}
