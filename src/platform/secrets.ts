import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { GatewayError, messageOf } from './errors.ts';

/** A text, or where it is kept. (The configuration's shape of it is `secret` in `kind/kind.ts`.) */
export type SecretSource =
  | string
  | { readonly file: string }
  | { readonly env: string }
  | { readonly credential: string };

/** Reads secrets when they are needed, so that a renewed one counts from the next connection on. */
export interface Secrets {
  text(secret: SecretSource): Promise<string>;
  /** As `text`, but a string that is not itself PEM is the path of a PEM file. */
  pem(secret: SecretSource): Promise<string>;
}

/** `folder` is what relative paths are relative to: the folder of the configuration file. */
export function openSecrets(folder: string, environment = process.env): Secrets {
  const file = async (path: string, what: string): Promise<string> => {
    try {
      return (await readFile(resolve(folder, path), 'utf8')).replace(/\r?\n$/, '');
    } catch (error) {
      throw new GatewayError('GW_SECRET_MISSING', `${what}: ${messageOf(error)}`, error);
    }
  };
  const text = async (secret: SecretSource): Promise<string> => {
    if (typeof secret === 'string') return secret;
    if ('file' in secret) return await file(secret.file, `file ${secret.file}`);
    if ('env' in secret) {
      const value = environment[secret.env];
      if (value !== undefined) return value;
      throw new GatewayError('GW_SECRET_MISSING', `set the environment variable ${secret.env}`);
    }
    const credentials = environment.CREDENTIALS_DIRECTORY;
    if (!/^[^/]+$/.test(secret.credential) || /^\.\.?$/.test(secret.credential)) {
      throw new GatewayError(
        'GW_SECRET_MISSING',
        `credential ${JSON.stringify(secret.credential)}: give its name, not a path`,
      );
    }
    if (credentials === undefined) {
      throw new GatewayError(
        'GW_SECRET_MISSING',
        `credential ${secret.credential}: add LoadCredential=${secret.credential}:PATH to the systemd unit`,
      );
    }
    return await file(resolve(credentials, secret.credential), `credential ${secret.credential}`);
  };
  return {
    text,
    async pem(secret) {
      const direct = typeof secret === 'string' && !secret.includes('-----BEGIN');
      return direct ? await file(secret, `file ${secret}`) : await text(secret);
    },
  };
}
