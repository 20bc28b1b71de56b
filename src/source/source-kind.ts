import type { z } from 'zod';
import type { Kind } from '../kind/kind.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secrets.ts';
import type { Source } from './source.ts';

/** What every kind of source is made from, beside its options. */
export interface SourceParts {
  /** The operator's name for it. */
  readonly name: string;
  /** The id of this gateway. */
  readonly gateway: string;
  readonly version: string;
  /** The folder of everything that must last. */
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly secrets: Secrets;
}

/** How the messages of a source are read where the operator says nothing else. */
export interface OwnMapping {
  readonly topic: string;
  readonly device: string;
  readonly measurement?: string;
  readonly codec?: string;
}

/** A kind of source. Its options do not hold what its messages are read with. */
export interface SourceKind<O extends z.ZodObject = z.ZodObject>
  extends Kind<O, SourceParts, Source> {
  /**
   * For messages that have no topics but those the source gives them: their mapping stands with it.
   * Without it, `ingest` maps them as it does those of the broker.
   */
  readonly mapping?: (parts: { readonly name: string; readonly gateway: string }) => OwnMapping;
}
