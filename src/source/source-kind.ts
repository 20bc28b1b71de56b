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
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly secrets: Secrets;
}

/** A kind of source. Its options do not hold what its messages are read with. */
export interface SourceKind<O extends z.ZodObject = z.ZodObject>
  extends Kind<O, SourceParts, Source> {
  /**
   * Whether its messages carry topics of their own, which `ingest` maps as it does those of the
   * broker. Else a mapping stands with the source itself, for the topics it gives its messages.
   */
  readonly hasTopics: boolean;
  /** For a mapping that stands with the source: what holds unless the operator says otherwise. */
  readonly mapping?: {
    /** Patterns of the topics it gives its messages, by its name. */
    topics(name: string): readonly string[];
    readonly codec?: string;
    readonly device?: string;
    readonly measurement?: string;
  };
}
