/**
 * The few file operations the gateway needs, each with a promise about power loss.
 * Paths are relative to the data folder, with `/` between folders.
 */
export interface Disk {
  /** The names in a folder, sorted; none when the folder is missing. */
  list(folder: string): Promise<readonly string[]>;
  /**
   * Opens for appending and reading, creating the file (and its folder) when missing. The name of
   * a new file survives power loss only after `syncFolder`.
   */
  open(path: string): Promise<DiskFile>;
  /** The whole file, or undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /**
   * A piece of a file that may still be growing, in another process even; fewer bytes than `length`
   * only at its end, undefined when there is no such file.
   */
  readPart(path: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Bytes in a file, or undefined when there is none. */
  size(path: string): Promise<number | undefined>;
  /** Replaces a whole file. After power loss it holds the old bytes or the new, never a mixture. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a file another name, in a folder that is created when missing; durable when it resolves. */
  rename(from: string, to: string): Promise<void>;
  /** Missing is fine. May come back after power loss. */
  remove(path: string): Promise<void>;
  /** Resolves when names created in the folder so far will survive power loss. */
  syncFolder(folder: string): Promise<void>;
  /** Bytes that may still be written, as far as the system can tell. */
  free(): Promise<number>;
}

export interface DiskFile {
  /** Bytes in the file, counting everything appended so far. The next ones go there. */
  readonly size: number;
  /**
   * Makes the file at least so long, with zeros behind `size`: to append in their place costs the
   * disk less than to make the file grow. They count as appended when the file is opened again.
   */
  extend(length: number): Promise<void>;
  /** Adds bytes at the end. Says nothing about power loss until `sync` resolves. */
  append(bytes: Uint8Array): Promise<void>;
  /**
   * Resolves when everything appended so far will survive power loss. A failed sync is final, but for
   * `EROFS`: the file system has become read-only, and nothing since the last sync may be on it.
   */
  sync(): Promise<void>;
  /** Fewer bytes than `length` only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}
