import { lineOf } from '../config/problem.ts';
import { GatewayError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { BrokerSource } from '../source/mqtt-broker.ts';
import type { LoadedAuthFiles } from './auth-files.ts';

/**
 * Reads the files of users and rights again; one call after the other. Resolves with how many clients
 * were disconnected. Throws GW_RELOAD_REFUSED, with every problem, and nothing has changed then.
 */
export type Reload = () => Promise<{ readonly disconnected: number }>;

export function createReload(
  readAuth: () => Promise<LoadedAuthFiles>,
  broker: BrokerSource,
  logger: Logger,
): Reload {
  let last: Promise<unknown> = Promise.resolve();
  const reload: Reload = async () => {
    const { files, problems } = await readAuth();
    if (problems.length > 0) {
      const lines = problems.map(lineOf);
      const words = 'Users and rights stay as they were: correct their files, and reload again.';
      logger.error({ problems: lines }, words);
      throw new GatewayError('GW_RELOAD_REFUSED', lines.join(' '));
    }
    const disconnected = broker.renewAuth(files);
    logger.info({ disconnected }, 'Users and rights were read again.');
    return { disconnected };
  };
  return () => {
    const mine = last.then(reload);
    last = mine.catch(() => undefined);
    return mine;
  };
}
