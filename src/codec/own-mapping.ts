/** The mapping of a source whose messages have no topics but those the source gives them. */
import type { z } from 'zod';
import { parseTopicPattern } from '../event/topic.ts';
import { type CodecChoice, codecChoice } from './index.ts';
import { checkMapping, type IngestMapping, shape } from './mapping-options.ts';

/** What stands in the configuration of such a source, beside its own options. */
export const ownMappingShape = {
  ...shape.omit({ topic: true, exclude: true, ignore: true }).shape,
  codec: codecChoice.optional().describe('How the bytes are read, as in a mapping of ingest.'),
};
export type OwnMappingOptions = z.output<z.ZodObject<typeof ownMappingShape>>;
export const ownMappingKeys = Object.keys(ownMappingShape) as (keyof OwnMappingOptions)[];

/** What the source says where the operator says nothing. */
export interface OwnMappingDefaults {
  readonly topic: string;
  readonly device: string;
  readonly measurement?: string;
  readonly codec?: string;
}

/** `origin` names it for people. */
export function ownMappingOf(
  options: OwnMappingOptions,
  defaults: OwnMappingDefaults,
  origin: string,
): IngestMapping {
  const { measurement = defaults.measurement, ...rest } = options;
  return {
    ...rest,
    topic: [defaults.topic],
    exclude: [],
    codec: options.codec ?? ((defaults.codec ?? 'auto') as CodecChoice),
    device: options.device ?? defaults.device,
    ...(measurement === undefined ? {} : { measurement }),
    // In what a board says of itself stands which device it is.
    ...(options.device === undefined ? { isFallback: true } : {}),
    origin,
  };
}

/** Calls `report` with the path and what is wrong with it. */
export function checkOwnMapping(
  options: OwnMappingOptions,
  { topic }: OwnMappingDefaults,
  report: (path: (string | number)[], message: string) => void,
): void {
  checkMapping(options, parseTopicPattern(topic).captures, (path, parse) => {
    try {
      parse();
    } catch (error) {
      report(path, (error as Error).message);
    }
  });
}
