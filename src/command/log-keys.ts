import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Path, type Problem, pathText } from '../config/problem.ts';
import { createKeyring, type Keyring, keyBytesOf, noKeys } from '../log/keyring.ts';
import { GatewayError } from '../platform/errors.ts';
import type { Secrets } from '../platform/secrets.ts';

/**
 * The keys of the configuration. Rejects with GW_SECRET_MISSING for one that is not there, with
 * GW_CONFIG_KEY_INVALID for one that is not a key.
 */
export async function logKeysOf({ encryption }: Config['log'], secrets: Secrets): Promise<Keyring> {
  if (encryption === undefined) return noKeys;
  const { key, previous } = encryption;
  const current =
    key === undefined ? undefined : keyBytesOf(await secrets.text(key), 'log.encryption.key');
  const former: Uint8Array[] = [];
  for (const [index, each] of previous.entries()) {
    former.push(keyBytesOf(await secrets.text(each), `log.encryption.previous.${index}`));
  }
  return createKeyring(current, former);
}

/** What is wrong with the texts of the keys. One that cannot be read is for others to tell. */
export async function logKeyProblems(
  { config, whereIs }: LoadedConfig,
  secrets: Secrets,
): Promise<Problem[]> {
  try {
    await logKeysOf(config.log, secrets);
    return [];
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'GW_CONFIG_KEY_INVALID') return [];
    const path: Path = ['log', 'encryption'];
    const message = error.message.charAt(0).toLowerCase() + error.message.slice(1);
    return [{ where: whereIs(path), path: pathText(path), message: `${message}.` }];
  }
}
