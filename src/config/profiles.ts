import { basename, join, resolve } from 'node:path';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { namesIn, readTextFile, shippedFolder } from '../platform/text-file.ts';
import {
  autoMappings,
  type IngestEntry,
  mappingsOf,
  type Profile,
  type ProfileUse,
  parseProfile,
} from '../profile/profile.ts';
import { nearestOf } from './nearest.ts';
import { lineOf, type Path, type Problem, pathText } from './problem.ts';
import { readYaml } from './yaml-source.ts';

/** What is wrong with an entry of `ingest`, or with the file of a profile. */
export type IngestProblem = Problem | { readonly path: Path; readonly message: string };

interface Given {
  readonly ingest?: 'auto' | readonly IngestEntry[] | undefined;
  /** A folder of profiles of the user's own. */
  readonly profiles?: string | undefined;
}

interface Resolved {
  readonly mappings: readonly IngestMapping[];
  readonly problems: readonly IngestProblem[];
}

/** Profiles in one folder. */
const profilesMax = 200;

/** `config/profiles` of the package; it does not change while we run. */
let shipped: Promise<readonly Profile[]> | undefined;

/**
 * The mappings that `ingest` stands for, those of profiles in their places. Relative paths are
 * relative to `folder`; `shown` shortens a path for people.
 */
export async function resolveIngest(
  { ingest = 'auto', profiles: ownFolder }: Given,
  folder: string,
  shown: (path: string) => string,
): Promise<Resolved> {
  const entries = ingest === 'auto' ? (['auto'] as const) : ingest;
  const problems: IngestProblem[] = [];
  const needsProfiles = entries.some((entry) => entry === 'auto' || 'profile' in entry);
  const own =
    ownFolder === undefined ? [] : await ownProfiles(resolve(folder, ownFolder), shown, problems);
  const ours = needsProfiles ? await shippedProfiles() : [];
  const names = new Set(own.map(({ name }) => name));
  // One's own are asked first: who writes one knows better.
  const all = [...own, ...ours.filter(({ name }) => !names.has(name))];
  const mappings = entries.flatMap((entry, index): readonly IngestMapping[] => {
    if (entry === 'auto') return autoMappings(all, {});
    if ('profile' in entry) return used(entry, all, ['ingest', index], problems);
    return [{ ...entry, origin: pathText(['ingest', index]) }];
  });
  return { mappings, problems };
}

function used(
  use: ProfileUse,
  all: readonly Profile[],
  path: Path,
  problems: IngestProblem[],
): readonly IngestMapping[] {
  const wanted = [use.profile].flat();
  const known = all.map(({ name }) => name);
  const find = (name: string, at: Path): Profile | undefined => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) problems.push({ path: at, message: unknown(name, known) });
    return found;
  };
  use.except.forEach((name, index) => void find(name, [...path, 'except', index]));
  const isAuto = wanted.includes('auto');
  if (use.except.length > 0 && !isAuto) {
    problems.push({ path: [...path, 'except'], message: 'goes with profile: auto. Delete it.' });
  }
  if (use.base !== undefined) {
    const profile = wanted.length === 1 && !isAuto ? find(wanted[0]!, [...path, 'profile']) : null;
    if (profile === null) {
      const message = 'goes with one profile. Write an entry for each.';
      problems.push({ path: [...path, 'base'], message });
    } else if (profile !== undefined && profile.base === undefined) {
      const message = `the topics of ${profile.name} have no beginning to be replaced. Delete it.`;
      problems.push({ path: [...path, 'base'], message });
    }
  }
  return wanted.flatMap((name, index): readonly IngestMapping[] => {
    if (name === 'auto') return autoMappings(all, use);
    const at = typeof use.profile === 'string' ? ['profile'] : ['profile', index];
    const profile =
      use.base === undefined ? find(name, [...path, ...at]) : all.find((p) => p.name === name);
    return profile === undefined ? [] : mappingsOf(profile, use);
  });
}

function unknown(name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known);
  const hint =
    nearest === undefined ? `There are ${known.join(', ')}.` : `Did you mean ${nearest}?`;
  return `there is no profile ${name}. ${hint}`;
}

/** Throws for what only a broken installation can cause. */
export async function shippedProfiles(): Promise<readonly Profile[]> {
  shipped ??= (async () => {
    const problems: IngestProblem[] = [];
    const profiles = await profilesIn(shippedFolder('config/profiles'), basename, problems);
    if (problems.length > 0 || profiles.length === 0) {
      const reason = problems.map((each) => lineOf(each as Problem)).join(' ');
      throw new Error(`The profiles of this installation cannot be read. ${reason}`);
    }
    return profiles;
  })();
  return await shipped;
}

async function ownProfiles(
  folder: string,
  shown: (path: string) => string,
  problems: IngestProblem[],
): Promise<readonly Profile[]> {
  try {
    return await profilesIn(folder, shown, problems);
  } catch (error) {
    const message = `cannot be read: ${(error as Error).message}.`;
    problems.push({ path: ['profiles'], message });
    return [];
  }
}

async function profilesIn(
  folder: string,
  shown: (path: string) => string,
  problems: IngestProblem[],
): Promise<readonly Profile[]> {
  const files = (await namesIn(folder)).filter((name) => /\.ya?ml$/.test(name)).sort();
  if (files.length > profilesMax) throw new Error(`there are more than ${profilesMax} profiles`);
  const profiles: Profile[] = [];
  for (const file of files) {
    const path = join(folder, file);
    const source = readYaml((await readTextFile(path)) ?? '', shown(path));
    problems.push(...source.problems);
    if (!source.sound) continue;
    const parsed = parseProfile(file.replace(/\.ya?ml$/, ''), source.value);
    if ('profile' in parsed) profiles.push(parsed.profile);
    else {
      for (const { path: at, message } of parsed.problems) {
        problems.push({
          where: source.whereIs(at, 'value'),
          path: pathText(at),
          message: `${message}.`,
        });
      }
    }
  }
  return profiles;
}
