/**
 * One gateway per data folder.
 *
 *   <data>/gateway.lock.7      a socket; its owner listens while it lives
 *
 * Whoever lives answers; a killed process cannot, so its lock needs no cleaning up. The rules that
 * make a race have one winner:
 *  1. A lock gets its name by `link` from a socket that listens already: a named lock that refuses
 *     connections is dead for ever.
 *  2. A starter takes the number after the highest, and only when that one is dead. `link` lets one
 *     of several through; the others look again.
 *  3. The highest number is never removed, not even by its owner, so the highest only grows. A
 *     starter that finds a higher number than the one it just took had looked too long ago: it
 *     gives way and looks again.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  constants,
  type FileHandle,
  link,
  open as openFile,
  readdir,
  stat,
  unlink,
} from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { GatewayError, messageOf } from './errors.ts';
import { makeFolder } from './folder.ts';

const prefix = 'gateway.lock.';
const answerMaxMs = 1_000;
/** `sun_path` of unix(7) holds 108 bytes with the final zero. */
const socketPathBytesMax = 107;
const attemptsMax = 100;

export interface FolderLock {
  /** Twice is fine. */
  release(): Promise<void>;
}

/**
 * Resolves when this process alone may use the data folder, which is created when missing. The lock
 * vanishes with the process, however it ends. Throws `GW_DATA_IN_USE` while another process holds
 * it, `GW_DATA_UNREADABLE` when the folder cannot be read and written.
 */
export async function lockFolder(dir: string): Promise<FolderLock> {
  const problem = await folderProblem(dir);
  if (problem !== undefined) throw new GatewayError('GW_DATA_UNREADABLE', problem);
  try {
    await makeFolder(dir);
    return await lockIn(dir, dir);
  } catch (error) {
    if (!lacksSockets(error)) throw unreadable(dir, error);
  }
  // A file system without sockets or links, a USB stick for instance: the lock lies elsewhere.
  const { dev, ino } = await stat(dir, { bigint: true });
  const name = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 16);
  const aside = join(tmpdir(), `tidegate-lock-${name}`);
  try {
    await makeFolder(aside);
    return await lockIn(aside, dir);
  } catch (error) {
    throw unreadable(dir, error);
  }
}

/**
 * Why a gateway could not use the folder, beginning with its path; undefined when it could. A
 * missing folder is fine where it can be created. Creates nothing.
 */
export async function folderProblem(dir: string): Promise<string | undefined> {
  let existing = dir;
  try {
    const { R_OK, W_OK, X_OK } = constants;
    for (;;) {
      const found = await stat(existing).catch(ignoreAbsent);
      if (found === undefined) existing = dirname(existing);
      else if (!found.isDirectory()) return `${existing} is not a folder`;
      else break;
    }
    await access(existing, existing === dir ? R_OK | W_OK | X_OK : W_OK | X_OK);
    return undefined;
  } catch (error) {
    const what = existing === dir ? 'cannot be used' : `cannot be created in ${existing}`;
    return `${dir} ${what}: ${messageOf(error)}`;
  }
}

/** Why the folder cannot be read, beginning with its path; undefined when it can. */
export async function folderReadProblem(dir: string): Promise<string | undefined> {
  try {
    if (!(await stat(dir)).isDirectory()) return `${dir} is not a folder`;
    await access(dir, constants.R_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return `${dir} ${code === 'ENOENT' ? 'does not exist' : `cannot be read: ${messageOf(error)}`}`;
  }
}

/** Also absent: what lies in something that is not a folder. */
function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function unreadable(dir: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError(
    'GW_DATA_UNREADABLE',
    `${dir} cannot be made or locked: ${messageOf(error)}`,
    error,
  );
}

function lacksSockets(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENAMETOOLONG'].includes(code ?? '');
}

/** Locks `dir` by a socket in `place`. */
async function lockIn(place: string, dir: string): Promise<FolderLock> {
  const opened = await openPlace(place);
  try {
    const temporary = `${prefix}new-${process.pid}-${randomBytes(4).toString('hex')}`;
    const server = await listen(opened.pathOf(temporary));
    try {
      await claim(opened, temporary, dir);
    } catch (error) {
      await close(server);
      throw error;
    } finally {
      await unlink(opened.pathOf(temporary)).catch(ignoreMissing);
    }
    let released: Promise<void> | undefined;
    return {
      release() {
        released ??= close(server).then(opened.close);
        return released;
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

interface Place {
  pathOf(name: string): string;
  names(): Promise<string[]>;
  close(): Promise<void>;
}

/** Reaches a folder with a long path through an open descriptor of it, which is short. */
async function openPlace(folder: string): Promise<Place> {
  const longest = join(folder, `${prefix}new-4194304-00000000`);
  let handle: FileHandle | undefined;
  let short = folder;
  if (Buffer.byteLength(longest) > socketPathBytesMax) {
    handle = await openFile(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    short = `/proc/self/fd/${handle.fd}`;
  }
  return {
    pathOf: (name) => join(short, name),
    names: () => readdir(folder),
    close: async () => await handle?.close(),
  };
}

/** Gives the listening socket the next number; throws `GW_DATA_IN_USE` when another one lives. */
async function claim(place: Place, temporary: string, dir: string): Promise<void> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const highest = Math.max(0, ...(await numbersIn(place)));
    if (highest > 0) {
      const answer = await ask(place.pathOf(prefix + highest));
      if (answer !== undefined) {
        throw new GatewayError(
          'GW_DATA_IN_USE',
          answer === '' ? dir : `${dir} (process ${answer})`,
        );
      }
    }
    const mine = highest + 1;
    if (!(await tryLink(place.pathOf(temporary), place.pathOf(prefix + mine)))) continue;
    const now = await numbersIn(place);
    if (Math.max(...now) > mine) {
      await unlink(place.pathOf(prefix + mine)).catch(ignoreMissing);
      continue;
    }
    await tidy(place, mine, temporary);
    return;
  }
  throw new GatewayError('GW_DATA_IN_USE', dir);
}

/** Removes what starters that were killed have left. */
async function tidy(place: Place, mine: number, temporary: string): Promise<void> {
  for (const name of await place.names()) {
    if (!name.startsWith(prefix) || name === prefix + mine || name === temporary) continue;
    const path = place.pathOf(name);
    if ((await ask(path)) === undefined) await unlink(path).catch(ignoreMissing);
  }
}

async function numbersIn(place: Place): Promise<number[]> {
  const names = await place.names();
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{1,15}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Without its temporary name: a winner has tidied up, and is found by looking again.
    if (code === 'EEXIST' || code === 'ENOENT') return false;
    throw error;
  }
}

/** The process id of the owner, '' when it lives but does not say, undefined when it is dead. */
function ask(path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const finish = (answer: string | undefined) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(answerMaxMs, () => finish(''));
    socket.on('data', (bytes) => finish(/^\d{1,10}/.exec(bytes.toString('latin1'))?.[0] ?? ''));
    socket.on('end', () => finish(''));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') finish(undefined);
      // A process that is stopped still fills its queue of connections.
      else if (error.code === 'EAGAIN' || error.code === 'ECONNRESET') finish('');
      else reject(error);
    });
  });
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.setTimeout(answerMaxMs, () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    server.once('error', reject);
    server.listen(path, () => {
      // The lock is not what keeps a gateway running.
      server.unref();
      resolve(server);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
