import { realpath, stat } from 'node:fs/promises';

/** Undefined when nothing is there; else a name that another device plugged in does not have. */
export type IdentifyDevice = (path: string) => Promise<string | undefined>;

/** The device behind a path, links such as those in /dev/serial/by-id followed. */
export const identifyDevice: IdentifyDevice = async (path) => {
  try {
    const real = await realpath(path);
    const { dev, ino, rdev } = await stat(real);
    return `${real} ${dev}:${ino}:${rdev}`;
  } catch {
    return undefined;
  }
};
