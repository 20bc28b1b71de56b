import { chown, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const newMode = 0o600;
/** Others than owner and group have no rights. */
const modeMax = 0o660;

/**
 * Replaces a file that others must not read, or makes it: whole or not at all, also when the power
 * goes. One that was there keeps its owner, its group and their rights; a link stays a link.
 */
export async function replaceSecretFile(path: string, text: string): Promise<void> {
  const target = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return path;
  });
  const before = await stat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  const unfinished = `${target}.new`;
  await rm(unfinished, { force: true });
  const handle = await open(unfinished, 'wx', newMode);
  try {
    try {
      await handle.writeFile(text);
      if (before !== undefined) {
        await chown(unfinished, before.uid, before.gid);
        await handle.chmod(before.mode & modeMax);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, target);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  const folder = await open(dirname(target), 'r');
  await folder.sync().finally(() => folder.close());
}
