import { messageOf } from '../platform/errors.ts';

/**
 * Errors of the disk that pass: there is no room, no descriptor, no leave to write at the moment.
 * All others are taken to mean that the disk can no longer be trusted.
 */
const passing = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE']);

const codeOf = (error: unknown): string =>
  (error as { readonly code?: string } | undefined)?.code ?? '';

export const isWeather = (error: unknown): boolean => passing.has(codeOf(error));

/** Whether deleting something would help. */
export const isNoRoom = (error: unknown): boolean => {
  const code = codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
};

/** Whether reading again would not help: the medium has lost what was there. */
export const isUnreadable = (error: unknown): boolean => codeOf(error) === 'EIO';

/**
 * Passes a result on, and an error without its code. Once a sync has failed the system may have
 * dropped what it should have written, so that a second one that succeeds would mean nothing. Not so
 * where the disk was taken away meanwhile: all since the last sync is written anew when it is back.
 */
export async function final<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (codeOf(error) === 'EROFS') throw error;
    throw new Error(messageOf(error), { cause: error });
  }
}
