import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What a file that is read whole may hold. */
const bytesMax = 1024 * 1024;

/**
 * The text of a UTF-8 file, without a byte order mark; undefined when there is no such file. Throws
 * an Error that says why it cannot be read: too large, not UTF-8, or the system's reason.
 */
export async function readTextFile(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (handle === undefined) return undefined;
  try {
    if ((await handle.stat()).isDirectory()) throw new Error('it is a folder');
    // Not by the size it claims: a pipe has none.
    const bytes = Buffer.alloc(bytesMax + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length > bytesMax) break;
    }
    if (length > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    return utf8Of(bytes.subarray(0, length));
  } finally {
    await handle.close();
  }
}

function utf8Of(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('it is not UTF-8 text');
  }
}

/** The names of what is in a folder. Throws an Error that says why it cannot be read. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder);
}

/** A folder that comes with the program, whether it runs from its sources or compiled. */
export function shippedFolder(path: string): string {
  const here = import.meta.dirname;
  const root = here.endsWith(join('dist', 'src', 'platform')) ? '../../..' : '../..';
  return join(here, root, path);
}
