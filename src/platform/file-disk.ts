import {
  accessSync,
  constants,
  fdatasync as fdatasyncFd,
  ftruncate as ftruncateFd,
  read as readFd,
  write as writeFd,
  writeSync,
} from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import type { Disk, DiskFile } from './disk.ts';
import { makeFolder } from './folder.ts';

const fileMode = 0o640;
/** What `replace` writes before it takes the name of the file; never listed. */
const unfinished = '.tmp';

/** The folder of that name on this machine's disk. It is created when the first file is. */
export function createFileDisk(root: string): Disk {
  const at = (path: string): string => join(root, path);

  /** A folder's own name lives in its parent, so that is synced too, up to the root. */
  const syncFolder = async (folder: string): Promise<void> => {
    for (let each = posix.normalize(folder); ; each = posix.dirname(each)) {
      await syncOne(at(each));
      if (each === '.') return;
    }
  };
  const createFolderOf = (path: string): Promise<void> => makeFolder(at(posix.dirname(path)));

  return {
    async list(folder) {
      try {
        const names = await readdir(at(folder));
        return names.filter((name) => !name.endsWith(unfinished)).sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },
    async open(path) {
      await createFolderOf(path);
      return await openFile(at(path));
    },
    read: (path) => unlessMissing(readFile(at(path))),
    async readPart(path, offset, length) {
      const handle = await unlessMissing(open(at(path), 'r'));
      if (handle === undefined) return undefined;
      try {
        return await readFully(handle.fd, offset, length);
      } finally {
        await handle.close();
      }
    },
    async size(path) {
      return (await unlessMissing(stat(at(path))))?.size;
    },
    async replace(path, bytes) {
      await createFolderOf(path);
      const handle = await open(at(path) + unfinished, 'w', fileMode);
      try {
        await handle.writeFile(bytes);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(at(path) + unfinished, at(path));
      await syncFolder(posix.dirname(path));
    },
    async rename(from, to) {
      await createFolderOf(to);
      await rename(at(from), at(to));
      await syncFolder(posix.dirname(to));
      if (posix.dirname(from) !== posix.dirname(to)) await syncFolder(posix.dirname(from));
    },
    remove: (path) => rm(at(path), { force: true }),
    syncFolder,
    async free() {
      const { bavail, bsize } = await statfs(root);
      return bavail * bsize;
    },
  };
}

// Callbacks on the descriptor cost half of what the methods of a FileHandle do.
const write = promisify(writeFd);
const fdatasync = promisify(fdatasyncFd);
const ftruncate = promisify(ftruncateFd);
const read = promisify(readFd);

async function openFile(path: string): Promise<DiskFile> {
  const handle = await openOrCreate(path);
  let { size } = await handle.stat();
  let extendedTo = size;
  const { fd } = handle;
  return {
    get size() {
      return size;
    },
    async append(bytes) {
      // At its place rather than at the end: what a failed write left behind is written over.
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await write(fd, bytes, done, bytes.length - done, size + done);
        done += bytesWritten;
      }
      size += bytes.length;
    },
    async extend(length) {
      if (length <= Math.max(size, extendedTo)) return;
      await ftruncate(fd, length);
      extendedTo = length;
    },
    sync: () => synced(path, fdatasync(fd), fd),
    read: (offset, length) => readFully(fd, offset, length),
    async truncate(length) {
      await ftruncate(fd, length);
      size = length;
      extendedTo = length;
    },
    close: () => handle.close(),
  };
}

async function openOrCreate(path: string) {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (!isMissing(error)) throw error;
    return await open(path, 'wx+', fileMode);
  }
}

async function readFully(fd: number, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await read(fd, bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

async function syncOne(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await synced(path, handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * A sync that has done what it says. After an error the kernel makes a file system read-only, and ext4
 * may by then have answered syncs with success whose blocks it could not note as written.
 */
async function synced(path: string, sync: Promise<void>, fd?: number): Promise<void> {
  try {
    await sync;
  } catch (error) {
    refuseReadOnly(path, fd);
    throw error;
  }
  refuseReadOnly(path, fd);
}

/** Throws `EROFS` where nothing can be written; takes microseconds and touches no disk. */
function refuseReadOnly(path: string, fd: number | undefined): void {
  accessSync(path, constants.W_OK);
  // Since Linux 6.15 what the kernel itself made read-only shows only to those who write.
  if (fd === undefined) return;
  try {
    writeSync(fd, nothing, 0, 0, 0);
  } catch (error) {
    if (!isNoRoom(error)) throw error;
  }
}
const nothing = new Uint8Array(1);

const isNoRoom = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
