import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { GivenConfig } from '../config/load.ts';
import { type Path, type Problem, pathText } from '../config/problem.ts';
import { messageOf } from '../platform/errors.ts';
import type { SecretSource, Secrets } from '../platform/secrets.ts';

const certificateNames = ['cert', 'ca', 'clientCa'];

/**
 * Reads the certificates and keys of every `tls` in the configuration: a problem for each that
 * cannot be read, is not what it should be, or is out of date, and where key and certificate do not
 * belong together. The configuration need not be valid.
 */
export async function checkTls(
  given: GivenConfig,
  secrets: Secrets,
  now = Date.now(),
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { path, tls } of tlsIn(given.config)) {
    const add = (key: string, message: string): void => {
      const at = [...path, key];
      problems.push({ where: given.whereIs(at), path: pathText(at), message });
    };
    const read = async (key: string): Promise<string | undefined> => {
      const source = tls[key] as SecretSource | undefined;
      if (source === undefined) return undefined;
      try {
        return await secrets.pem(source);
      } catch (error) {
        // A reference that leads nowhere is the business of `checkSecrets`.
        if (typeof source === 'string') add(key, `${messageOf(error)}.`);
        return undefined;
      }
    };
    const texts: Record<string, string> = {};
    for (const key of [...certificateNames, 'key']) {
      const text = await read(key);
      const message = text === undefined ? undefined : pemProblem(key, text, now);
      if (message !== undefined) add(key, message);
      else if (text !== undefined) texts[key] = text;
    }
    const { cert, key } = texts;
    if (cert !== undefined && key !== undefined && !belongTogether(cert, key)) {
      add('key', 'is not the key of this certificate. Give the one it was made with.');
    }
  }
  return problems;
}

function tlsIn(config: unknown): { path: Path; tls: Record<string, unknown> }[] {
  const found: { path: Path; tls: Record<string, unknown> }[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (typeof value !== 'object' || value === null) return;
    if (path.at(-1) === 'tls') found.push({ path, tls: value as Record<string, unknown> });
    const steps = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
    for (const step of steps)
      visit((value as Record<string | number, unknown>)[step], [...path, step]);
  };
  visit(config, []);
  return found;
}

function pemProblem(key: string, text: string, now: number): string | undefined {
  try {
    if (key === 'key') {
      createPrivateKey(text);
      return undefined;
    }
    const { validFrom, validTo } = new X509Certificate(text);
    if (Date.parse(validTo) < now) return `was valid until ${validTo}. Renew the certificate.`;
    if (Date.parse(validFrom) > now) {
      return `is valid from ${validFrom} on. Wait, or set the clock of this machine.`;
    }
    return undefined;
  } catch (error) {
    const what = key === 'key' ? 'private key without a passphrase' : 'certificate';
    return `does not hold a ${what} in PEM (${messageOf(error)}). Give the path of one.`;
  }
}

function belongTogether(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false;
  }
}
