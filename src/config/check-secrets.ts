import { messageOf } from '../platform/errors.ts';
import type { SecretSource, Secrets } from '../platform/secrets.ts';
import { alternativesAt, isSecret } from './json-schema.ts';
import type { GivenConfig } from './load.ts';
import { type Path, type Problem, pathText } from './problem.ts';

/**
 * Reads every secret the configuration refers to, and forgets it: a problem for each that is not
 * there or empty. The configuration need not be valid.
 */
export async function checkSecrets(given: GivenConfig, secrets: Secrets): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { path, source } of secretsIn(given.config)) {
    const message = await problemOf(source, secrets);
    if (message !== undefined) {
      problems.push({ where: given.whereIs(path), path: pathText(path), message });
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

function isReference(value: object): value is SecretSource & object {
  const [[place, name] = [], ...others] = Object.entries(value);
  const isPlace = place === 'file' || place === 'env' || place === 'credential';
  return isPlace && typeof name === 'string' && name !== '' && others.length === 0;
}

/** References only: a text that stands in the configuration itself is there. */
function secretsIn(config: unknown): { path: Path; source: SecretSource }[] {
  const found: { path: Path; source: SecretSource }[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isSecret(alternativesAt(path, config))) {
      if (isReference(value)) found.push({ path, source: value });
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
