import type { z } from 'zod';
import type { Kind } from '../kind/kind.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secrets.ts';
import type { Sink } from './sink.ts';

/** What every kind of sink is made from, beside its options. */
export interface SinkParts {
  /** The operator's name for it. */
  readonly name: string;
  /** The id of this gateway. */
  readonly gateway: string;
  /** The version of this program. */
  readonly version: string;
  /** What relative paths of folders are relative to; the working directory when it is not given. */
  readonly dataFolder?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly secrets: Secrets;
}

/** How many events are handed over at once. */
export interface BatchLimits {
  readonly events: number;
  readonly bytes: number;
  /** How long to wait for a batch to fill. */
  readonly delayMs: number;
}

/** A kind of sink. Its options do not hold what every sink takes (select, batch, retry, …). */
export interface SinkKind<O extends z.ZodObject = z.ZodObject> extends Kind<O, SinkParts, Sink> {
  /** What suits the far side when the operator says nothing. */
  readonly batch: BatchLimits;
}
