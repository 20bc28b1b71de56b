/**
 * A profile says how the messages of one kind of software or device become readings: a file of
 * mappings as `ingest:` has them, with what they have in common said once.
 *
 *   description  what it is for
 *   base         the first levels of its topics, where users choose them: zigbee2mqtt
 *   values       as in a mapping, for all of them
 *   units        as in a mapping, for all of them, behind their own
 *   mappings     entries of `ingest:`; a message without a value is nothing unless they say otherwise
 */
import { z } from 'zod';
import { valueTable } from '../codec/mapping-fields.ts';
import {
  defaultIngestMappings,
  type IngestMapping,
  ingestMappingOptions,
} from '../codec/mapping-options.ts';

const profileName = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** An entry of `ingest:` that stands for profiles. */
const profileUse = z.strictObject({
  profile: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe('Instead of topic: a profile, several, or auto for all and what auto takes besides.'),
  base: z
    .string()
    .regex(/^[^#+{}]*[^#+{}/]$/, 'must be the first levels of topics, such as house/zigbee2mqtt')
    .optional()
    .describe('With one profile: what its topics begin with, where that is not the usual.'),
  withoutUnits: z
    .literal(true)
    .optional()
    .describe('With profile: units are not kept beside the values.'),
  except: z
    .array(z.string().min(1))
    .default([])
    .describe('With profile: auto: profiles that are left out.'),
});
export type ProfileUse = z.output<typeof profileUse>;

const entry = z.union([z.literal('auto'), profileUse, ingestMappingOptions]);

/** `ingest:` of the configuration. */
export const ingestOptions = z.union([z.literal('auto'), z.array(entry)]);
export type IngestEntry = z.output<typeof entry>;

const fileOptions = z.strictObject({
  description: z.string().min(1),
  base: z.string().optional(),
  values: valueTable.optional(),
  units: z.record(z.string(), z.string()).optional(),
  mappings: z.array(z.looseObject({})).min(1).max(500),
});

export interface Profile {
  readonly name: string;
  readonly description: string;
  readonly base: string | undefined;
  readonly mappings: readonly IngestMapping[];
}

/** What is wrong with a profile, and where in its file. */
export interface ProfileProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Reads what the file of a profile says. */
export function parseProfile(
  name: string,
  given: unknown,
): { readonly profile: Profile } | { readonly problems: readonly ProfileProblem[] } {
  if (!profileName.test(name) || name === 'auto') {
    const message = `${name} is no name of a profile: small letters, digits and - make one`;
    return { problems: [{ path: [], message }] };
  }
  const file = fileOptions.safeParse(given);
  if (!file.success) return { problems: problemsOf(file.error, []) };
  const { description, base, values, units } = file.data;
  const problems: ProfileProblem[] = [];
  const mappings = file.data.mappings.flatMap((raw, index): IngestMapping[] => {
    const { units: own, ...rest } = raw as { units?: object };
    const parsed = ingestMappingOptions.safeParse({
      allowEmpty: true,
      ...(values && { values }),
      ...((units || own) && { units: { ...own, ...units } }),
      ...rest,
    });
    if (parsed.success) {
      return [{ ...parsed.data, origin: `profile ${name}, mapping ${index + 1}` }];
    }
    problems.push(...problemsOf(parsed.error, ['mappings', index]));
    return [];
  });
  if (problems.length > 0) return { problems };
  return { profile: { name, description, base, mappings } };
}

function problemsOf(error: z.ZodError, base: readonly (string | number)[]): ProfileProblem[] {
  return error.issues.map(({ path, message }) => ({
    path: [...base, ...(path as (string | number)[])],
    message,
  }));
}

/** The mappings of a profile as an entry of `ingest:` wants them. */
export function mappingsOf(profile: Profile, use: Partial<ProfileUse>): readonly IngestMapping[] {
  const { base } = use;
  return profile.mappings.map((mapping) => ({
    ...mapping,
    ...(use.withoutUnits === true ? { units: undefined } : {}),
    topic: base === undefined ? mapping.topic : mapping.topic.map((t) => moved(t, profile, base)),
  }));
}

function moved(topic: string, { base }: Profile, to: string): string {
  const begins = base !== undefined && (topic === base || topic.startsWith(`${base}/`));
  return begins ? to + topic.slice(base.length) : topic;
}

/**
 * What `auto` is: Sparkplug, which its topics tell; every profile; and where none fits, what the
 * codec `auto` reads, of a device that the topic names.
 */
export function autoMappings(
  profiles: readonly Profile[],
  use: Partial<ProfileUse>,
): readonly IngestMapping[] {
  const named = profiles
    .filter(({ name }) => use.except?.includes(name) !== true)
    .flatMap((profile) => mappingsOf(profile, use));
  const [sparkplug, ...rest] = defaultIngestMappings;
  return [sparkplug!, ...named, ...rest];
}
