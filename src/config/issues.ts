import type { z } from 'zod';
import { alternativesAt, expectedOf, keysOf } from './json-schema.ts';
import { nearestOf } from './nearest.ts';
import { isSecretPath, type Path, shownValue, valueAt } from './problem.ts';

/** A problem before it is known where the value comes from. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  /** Whether the key is wrong, not the value. */
  readonly atKey: boolean;
}

type Issue = z.core.$ZodIssue;

/** Stands where a schema has no words of its own, to be replaced by better ones than zod's. */
export const noWords = '\u0000';

/** What is wrong with the configuration, in words for those who write it. */
export function findingsOf(issues: readonly Issue[], root: unknown, base: Path = []): Finding[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...(issue.path as Path)];
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => unknownKey([...path, key], root));
      case 'invalid_union':
        return ofUnion(issue, path, root);
      case 'invalid_key':
        return issue.issues.flatMap((inner) => {
          const name = shownValue(path.at(-1));
          return [
            { path, message: ended(`${wordsOf(inner, path, root)}, not ${name}`), atKey: true },
          ];
        });
      default:
        return [{ path, message: withValue(wordsOf(issue, path, root), path, root), atKey: false }];
    }
  });
}

function unknownKey(path: Path, root: unknown): Finding {
  const parent = path.slice(0, -1);
  const known = keysOf(alternativesAt(parent, root));
  return { path, message: `unknown key. ${suggestion(String(path.at(-1)), known)}`, atKey: true };
}

/** `Did you mean x?`, or what there is. */
export function suggestion(word: string, known: readonly string[]): string {
  const nearest = nearestOf(word, known);
  if (nearest !== undefined) return `Did you mean ${nearest}?`;
  return known.length === 0 ? 'Delete it.' : `Possible here: ${known.join(', ')}.`;
}

type UnionIssue = Extract<Issue, { code: 'invalid_union' }>;

function ofUnion(issue: UnionIssue, path: Path, root: unknown): Finding[] {
  if (issue.discriminator !== undefined) return [ofKind(path, root)];
  // An alternative of another type than the value was not meant.
  const meant = meantBy(issue, valueAt(root, path));
  if (meant.length === 1) return findingsOf(meant[0]!, root, path);
  const unknown = unknownInAll(meant);
  if (unknown.length > 0) return unknown.map((key) => unknownKey([...path, key], root));
  const own = issue.message === noWords ? undefined : issue.message;
  const expected = expectedOf(alternativesAt(path, root));
  return [{ path, message: withValue(own ?? `must be ${expected}`, path, root), atKey: false }];
}

/** The alternatives of the type of the value, and of those the ones that know most of its keys. */
function meantBy(issue: UnionIssue, value: unknown): readonly (readonly Issue[])[] {
  const wrongTypes =
    typeof value === 'object' ? ['invalid_type', 'invalid_value'] : ['invalid_type'];
  return fewestUnknown(
    issue.errors.filter(
      (errors) => !errors.some((each) => each.path.length === 0 && wrongTypes.includes(each.code)),
    ),
  );
}

/** The same issues, those of the one alternative that was meant in the place of a choice. */
export function withoutChoices(issues: readonly Issue[], root: unknown): readonly Issue[] {
  return issues.flatMap((issue): readonly Issue[] => {
    if (issue.code !== 'invalid_union' || issue.discriminator !== undefined) return [issue];
    const path = issue.path as Path;
    const meant = meantBy(issue, valueAt(root, path));
    if (meant.length !== 1) return [issue];
    const inner = meant[0]!.map((each) => ({ ...each, path: [...path, ...each.path] }) as Issue);
    return withoutChoices(inner, root);
  });
}

/** Those that know the most of the keys that are there. */
function fewestUnknown(errors: readonly (readonly Issue[])[]): readonly (readonly Issue[])[] {
  const counts = errors.map((each) =>
    each.reduce((sum, issue) => {
      const isOwn = issue.code === 'unrecognized_keys' && issue.path.length === 0;
      return isOwn ? sum + issue.keys.length : sum;
    }, 0),
  );
  return errors.filter((_, index) => counts[index] === Math.min(...counts));
}

/** Keys that none of the alternatives knows. */
function unknownInAll(errors: readonly (readonly Issue[])[]): string[] {
  const keys = errors.map((each) =>
    each.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : [])),
  );
  const [first = [], ...others] = keys;
  return first.filter((key) => others.every((each) => each.includes(key)));
}

function ofKind(path: Path, root: unknown): Finding {
  const parent = path.slice(0, -1);
  const kinds = alternativesAt(parent, undefined).flatMap(
    (each) => (each.properties?.kind?.const as string | undefined) ?? [],
  );
  const value = valueAt(root, path);
  const list = kinds.join(', ');
  if (value === undefined) {
    return { path, message: `is missing. Write one of ${list}.`, atKey: false };
  }
  const nearest = typeof value === 'string' ? nearestOf(value, kinds) : undefined;
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`;
  return {
    path,
    message: `must be one of ${list}, not ${shownValue(value)}.${hint}`,
    atKey: false,
  };
}

/** What is wrong, without the value and without a full stop. */
function wordsOf(issue: Issue, path: Path, root: unknown): string {
  if (issue.message !== noWords) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
    case 'invalid_value':
      return `must be ${expectedOf(alternativesAt(path, root))}`;
    case 'too_small':
      if (issue.origin === 'number' || issue.origin === 'int') {
        return `must be ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
      }
      return issue.minimum === 1
        ? 'must not be empty'
        : `must have at least ${issue.minimum} ${unitOf(issue.origin)}`;
    case 'too_big':
      if (issue.origin === 'number' || issue.origin === 'int') {
        return `must be ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
      }
      return `must have at most ${issue.maximum} ${unitOf(issue.origin)}`;
    case 'invalid_format':
      return `must have the form of ${issue.format}`;
    default:
      return 'is not valid';
  }
}

function unitOf(origin: string): string {
  return origin === 'string' ? 'characters' : 'entries';
}

/** The words with the value they are about, if it may be shown, and with what else helps. */
function withValue(words: string, path: Path, root: unknown): string {
  const value = valueAt(root, path);
  if (value === undefined) return words.startsWith('must be ') ? missing(words) : ended(words);
  if (value === null) {
    const isPlain = words.includes('a text');
    const how =
      !isPlain && /a mapping|a list/.test(words) ? 'below' : '(in quotes if it begins with #)';
    return `has no value; it ${words}. Write one ${how}, or delete the line.`;
  }
  const showsValue =
    /^must (?!not )/.test(words) && !/: (?!…)/.test(words) && !words.includes(', not ');
  if (!showsValue || isSecretPath(path)) return ended(words);
  return ended(`${words}, not ${shownValue(value)}`) + hintOf(words, value);
}

function missing(words: string): string {
  return `is missing. Write ${words.slice('must be '.length)}.`;
}

function ended(words: string): string {
  return /[.?!]$/.test(words) ? words : `${words}.`;
}

function hintOf(words: string, value: unknown): string {
  if (words === 'must be a text' && typeof value !== 'object') return ' Put it in quotes.';
  if (/^must be ([^,]* or )?a list$/.test(words))
    return ' Begin every entry with a dash, or put [ ] around them.';
  if (typeof value !== 'string') return '';
  if (words.startsWith('must be true or false') && /^(yes|on|y|no|off|n)$/i.test(value)) {
    return ` Write ${/^(yes|on|y)$/i.test(value) ? 'true' : 'false'}.`;
  }
  const isNumber = value.trim() !== '' && Number.isFinite(Number(value));
  return /^must be a (whole )?number/.test(words) && isNumber ? ' Remove the quotes.' : '';
}
