import { mkdir, open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const folderMode = 0o750;

/**
 * Creates the folder and what is missing above it; the names of those that it created survive power
 * loss when it resolves.
 *
 * Not `mkdir` with `recursive`: on /proc, where nothing can be created, that never returns.
 */
export async function makeFolder(path: string): Promise<void> {
  if ((await stat(path).catch(ignoreMissing)) !== undefined) return;
  const above = dirname(path);
  if (above !== path) await makeFolder(above);
  try {
    await mkdir(path, { mode: folderMode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  await syncNames(above);
}

/** The path without symbolic links, as far as it exists. */
export async function realFolderOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(await realFolderOf(above), basename(path));
  }
}

async function syncNames(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch((error: NodeJS.ErrnoException) => {
    // One may create names in a folder that one may not read.
    if (error.code !== 'EACCES') throw error;
  });
  if (handle === undefined) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
