/** `sources:` in the configuration. */
import { z } from 'zod';
import { checkOwnMapping, type OwnMappingOptions, ownMappingShape } from '../codec/own-mapping.ts';
import { type SourceKind, sourceKinds } from '../source/index.ts';

type SourceKinds = typeof sourceKinds;
/** A source as configured: the options of its kind, and how its messages are read. */
export type SourceConfig = {
  [K in keyof SourceKinds]: z.output<SourceKinds[K]['options']> & {
    readonly kind: K;
  } & (SourceKinds[K] extends { readonly mapping: unknown } ? OwnMappingOptions : unknown);
}[keyof SourceKinds];

const kinds: Readonly<Record<string, SourceKind>> = sourceKinds;

const branches = Object.entries(kinds).map(([kind, { options, mapping }]) => {
  const branch = options.safeExtend({
    kind: z.literal(kind),
    ...(mapping === undefined ? {} : ownMappingShape),
  });
  if (mapping === undefined) return branch;
  const defaults = mapping({ name: 'name', gateway: 'gateway' });
  return branch.superRefine((given, context) =>
    checkOwnMapping(given as unknown as OwnMappingOptions, defaults, (path, message) =>
      context.addIssue({ code: 'custom', path, message }),
    ),
  );
});

const union = z.discriminatedUnion('kind', branches as unknown as [z.ZodObject, z.ZodObject]);

/** One source. The output is a `SourceConfig`. */
export const sourceSchema = union as unknown as z.ZodType<SourceConfig>;
