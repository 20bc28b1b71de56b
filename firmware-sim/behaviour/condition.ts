/** How a device stands to the network at a moment. */
export interface Condition {
  /** hung-up: it has closed its connection; half-open: it is gone, and has told nobody. */
  readonly away?: 'hung-up' | 'half-open';
  /** The password it believes in. */
  readonly password?: string;
  /** It subscribes to this, and takes a little of what comes only this often. */
  readonly reads?: { readonly topic: string; readonly everyMs: number };
}

export interface Standing {
  readonly seed: number;
  readonly index: number;
  /** Milliseconds since the fleet was switched on. */
  readonly elapsedMs: number;
}

/** The same standing always gives the same condition. */
export type LinkBehaviour = (standing: Standing) => Condition;

/** Of what several say, the last counts. */
export function together(...behaviours: readonly LinkBehaviour[]): LinkBehaviour {
  return (standing) =>
    Object.assign({}, ...behaviours.map((behaviour) => behaviour(standing))) as Condition;
}
