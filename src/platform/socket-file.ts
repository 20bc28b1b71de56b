import { chmod, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { resolve } from 'node:path';

/** The files that unix sockets are found by. */
export interface SocketFiles {
  /**
   * Removes the file of a socket at which nobody listens any more, and returns its whole path.
   * Throws with the code EADDRINUSE when somebody does, or when it is no socket.
   */
  prepare(path: string): Promise<string>;
  setMode(path: string, mode: number): Promise<void>;
}

/** `folder` is what relative paths are relative to. */
export function openSocketFiles(folder: string): SocketFiles {
  return {
    async prepare(path) {
      const full = resolve(folder, path);
      const found = await stat(full).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      if (found === undefined) return full;
      if (!found.isSocket() || (await isAnswered(full))) {
        throw Object.assign(new Error(`${full} is in use`), { code: 'EADDRINUSE' });
      }
      await rm(full);
      return full;
    },
    setMode: async (path, mode) => await chmod(resolve(folder, path), mode),
  };
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      answer(true);
    });
    // Refused: the file is left over. Anything else may mean that somebody is there.
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code !== 'ECONNREFUSED'));
  });
}
