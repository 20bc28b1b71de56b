import type { CloudEvent } from '../event/event.ts';

/** Whatever JSON can hold. */
export type ProjectionState =
  | null
  | boolean
  | number
  | string
  | readonly ProjectionState[]
  | { readonly [key: string]: ProjectionState };

/** A fold over the log that remembers. It is a function of the events it has seen, in their order. */
export interface Projection {
  readonly name: string;
  step(event: CloudEvent): void;
  /** Everything it remembers, as JSON. */
  snapshot(): ProjectionState;
  /** Puts back what `snapshot` returned; a shape it does not know is forgotten, never an error. */
  restore(state: ProjectionState): void;
}
