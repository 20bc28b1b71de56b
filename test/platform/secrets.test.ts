import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSecrets } from '../../src/platform/secrets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-secrets-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('a secret is found where the configuration says, without the line end behind it', async () => {
  mkdirSync(join(folder, 'credentials'));
  writeFileSync(join(folder, 'token'), 'from file\n');
  writeFileSync(join(folder, 'credentials', 'token'), 'from systemd\r\n');
  const environment = { TOKEN: 'from environment', CREDENTIALS_DIRECTORY: `${folder}/credentials` };
  const secrets = openSecrets(folder, environment);
  expect(await secrets.text('plain')).toBe('plain');
  expect(await secrets.text({ file: 'token' })).toBe('from file');
  expect(await secrets.text({ env: 'TOKEN' })).toBe('from environment');
  expect(await secrets.text({ credential: 'token' })).toBe('from systemd');
});

test('a renewed secret counts from the next time it is needed', async () => {
  const secrets = openSecrets(folder, {});
  writeFileSync(join(folder, 'token'), 'old');
  expect(await secrets.text({ file: 'token' })).toBe('old');
  writeFileSync(join(folder, 'token'), 'new');
  expect(await secrets.text({ file: 'token' })).toBe('new');
});

test('a text that is no PEM is the path of one', async () => {
  const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----';
  writeFileSync(join(folder, 'c.pem'), pem);
  const secrets = openSecrets(folder, {});
  expect(await secrets.pem('c.pem')).toBe(pem);
  expect(await secrets.pem(pem)).toBe(pem);
  expect(await secrets.pem({ file: 'c.pem' })).toBe(pem);
});

test('a secret that is not there is named, with the remedy', async () => {
  const secrets = openSecrets(folder, {});
  const missing = { code: 'GW_SECRET_MISSING' };
  await expect(secrets.text({ file: 'x' })).rejects.toMatchObject(missing);
  await expect(secrets.text({ file: 'x' })).rejects.toThrow('file x: ENOENT');
  await expect(secrets.text({ env: 'X' })).rejects.toThrow('set the environment variable X');
  await expect(secrets.text({ credential: 'x' })).rejects.toThrow('LoadCredential=x:PATH');
  await expect(secrets.pem('x.pem')).rejects.toMatchObject(missing);
});

test('a credential stays in the folder of credentials', async () => {
  mkdirSync(join(folder, 'credentials'));
  writeFileSync(join(folder, 'outside'), 'not a credential');
  const secrets = openSecrets(folder, { CREDENTIALS_DIRECTORY: join(folder, 'credentials') });
  for (const credential of ['../outside', join(folder, 'outside'), '..', '']) {
    await expect(secrets.text({ credential })).rejects.toMatchObject({ code: 'GW_SECRET_MISSING' });
  }
});
