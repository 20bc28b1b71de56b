import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError, lineOf } from '../../src/config/problem.ts';

const folder = join(import.meta.dirname, '../cases/config');

/** Every line an operator reads about the configuration in a folder of `test/cases/config`. */
async function linesAbout(name: string): Promise<string> {
  const cwd = join(folder, name);
  const variables = join(cwd, 'environment.json');
  const environment = existsSync(variables) ? JSON.parse(readFileSync(variables, 'utf8')) : {};
  const error = await loadConfig({ cwd, environment }).then(
    () => new Error('The configuration is valid.'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw error;
  expect(error.code).toBe('GW_CONFIG_INVALID');
  for (const problem of error.problems) expect(error.message).toContain(lineOf(problem));
  return `${error.problems.map(lineOf).join('\n')}\n`;
}

test.for(readdirSync(folder))('a bad configuration is explained in full: %s', async (name) => {
  const lines = await linesAbout(name);
  const file = join(folder, name, 'expected.txt');
  if (process.env.TIDEGATE_UPDATE_CASES === '1') writeFileSync(file, lines);
  expect(lines).toBe(readFileSync(file, 'utf8'));
});
