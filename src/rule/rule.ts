import type { z } from 'zod';
import type { AlertState, CloudEvent, Severity, Value } from '../event/event.ts';
import type { Kind } from '../kind/kind.ts';

/** What a rule has to say about a device. */
export interface Verdict {
  readonly device: string;
  readonly state: AlertState;
  /** The same for a firing and its resolve; a function of the log. Safe in a URL path. */
  readonly incident: string;
  readonly severity: Severity;
  readonly value?: Value;
  readonly threshold?: number;
  /** When the condition began to hold; milliseconds since the epoch. */
  readonly since: number;
  readonly summary: string;
  /** The event that made us say so. */
  readonly cause: CloudEvent;
}

export type RuleState =
  | null
  | boolean
  | number
  | string
  | readonly RuleState[]
  | { readonly [key: string]: RuleState };

/**
 * A fold over the log that speaks. It sees time only as it appears in the log, so a replay from the
 * same state says the same again.
 */
export interface Rule {
  readonly name: string;
  /**
   * `elapsedMs` is the log's own time: milliseconds for which the gateway was listening, never
   * going back whatever the wall clock does. Returns the shared empty array when there is nothing to say.
   */
  step(event: CloudEvent, elapsedMs: number): readonly Verdict[];
  /** Everything it remembers, as JSON. */
  snapshot(): RuleState;
  /** Puts back what `snapshot` returned; a shape it does not know is forgotten, never an error. */
  restore(state: RuleState): void;
}

export const noVerdicts: readonly Verdict[] = Object.freeze([]);

/** One kind of rule; the name is the operator's, from the configuration. */
export type RuleKind<O extends z.ZodObject = z.ZodObject> = Kind<
  O,
  { readonly name: string },
  Rule
>;
