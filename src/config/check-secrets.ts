import { messageOf } from '../platform/errors.ts';
import type { SecretSource, Secrets } from '../platform/secrets.ts';
import { alternativesAt, isSecret } from './json-schema.ts';
import type { LoadedConfig } from './load.ts';
import { type Path, type Problem, pathText } from './problem.ts';

/**
 * Reads every secret the configuration refers to, and forgets it: a problem for each that is not
 * there or empty.
 */
export async function checkSecrets(loaded: LoadedConfig, secrets: Secrets): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { path, source } of secretsIn(loaded.config)) {
    const message = await problemOf(source, secrets);
    if (message !== undefined) {
      problems.push({ where: loaded.whereIs(path), path: pathText(path), message });
    }
  }
  return problems;
}

async function problemOf(source: SecretSource, secrets: Secrets): Promise<string | undefined> {
  try {
    const text = await secrets.text(source);
    return text === '' ? 'the secret is empty. Write it where the configuration says.' : undefined;
  } catch (error) {
    const message = messageOf(error);
    return message.charAt(0).toLowerCase() + message.slice(1).replace(/([^.])$/, '$1.');
  }
}

/** References only: a text that stands in the configuration itself is there. */
function secretsIn(config: unknown): { path: Path; source: SecretSource }[] {
  const found: { path: Path; source: SecretSource }[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isSecret(alternativesAt(path, config))) {
      found.push({ path, source: value as SecretSource });
      return;
    }
    const steps = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
    for (const step of steps) {
      visit((value as Record<string | number, unknown>)[step], [...path, step]);
    }
  };
  visit(config, []);
  return found;
}
