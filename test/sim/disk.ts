import { posix } from 'node:path';
import type { Disk, DiskFile } from '../../src/platform/disk.ts';
import type { Random } from '../../src/platform/random.ts';

export type DiskOperation =
  | 'list'
  | 'open'
  | 'read'
  | 'replace'
  | 'rename'
  | 'remove'
  | 'syncFolder'
  | 'free'
  | 'append'
  | 'extend'
  | 'sync'
  | 'truncate'
  | 'close';

/** A file's bytes, whatever its names are. */
interface Inode {
  bytes: Uint8Array;
  /** So many of them have been written. */
  end: number;
  /** How long the file is; there are zeros from `end` on. */
  size: number;
  /** So many of the first bytes survive power loss, … */
  synced: number;
  /** … and the file is then at least this long. */
  syncedSize: number;
  /** What may come back after power loss, while a truncation has not been synced. */
  former: Uint8Array | undefined;
  /** A sync has failed: what it should have written never becomes durable. */
  spoilt: boolean;
}

/** What outlives a process: the page cache and, below it, what is durable. */
interface Storage {
  names: Map<string, Inode>;
  durable: Map<string, Inode>;
}

/**
 * A disk that remembers what is written and what is durable, as seen by one process. Every operation
 * takes a few turns of the microtask queue, always the same. Operations are counted from 1.
 */
export class SimDisk implements Disk {
  operations = 0;
  /** That operation fails, or all from that one on; with EIO unless told. */
  fault: { atOperation: number; mode: 'once' | 'from-then-on'; code?: string } | undefined;
  /** While true there is no room for anything more (ENOSPC); half of what is tried gets written. */
  full = false;
  /** Room for so many bytes in all files together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** What the medium has lost: reading any byte of it fails with EIO. */
  badSectors: readonly { readonly path: string; readonly from: number; readonly to: number }[] = [];
  /** When false, `sync` and `syncFolder` resolve without having done anything. */
  syncs = true;
  /** Called as each operation begins, which waits for what this returns. */
  before: ((kind: DiskOperation, path: string) => Promise<void> | void) | undefined;
  private readonly storage: Storage;
  private dead = false;

  constructor(storage: Storage = { names: new Map(), durable: new Map() }) {
    this.storage = storage;
  }

  /** The process has ended: no operation of its returns any more. The page cache survives. */
  kill(): void {
    this.dead = true;
  }
  stop(): void {
    this.kill();
  }

  /**
   * A power cut. Of what was not synced a random part survives, perhaps with its last byte garbled,
   * and of the names that were not synced some.
   */
  crash(random: Random): void {
    this.kill();
    const { names, durable } = this.storage;
    const survivors = new Map<string, Inode>();
    for (const path of new Set([...durable.keys(), ...names.keys()])) {
      const inode = random.next() < 0.5 ? durable.get(path) : names.get(path);
      if (inode !== undefined) survivors.set(path, inode);
    }
    for (const inode of new Set(survivors.values())) cutPower(inode, random);
    this.storage.names = survivors;
    this.storage.durable = new Map(survivors);
  }

  /** The same disk for the next process, with its own count of operations and no fault. */
  restart(): SimDisk {
    this.kill();
    const next = new SimDisk(this.storage);
    next.full = this.full;
    next.badSectors = this.badSectors;
    next.capacityBytes = this.capacityBytes;
    return next;
  }

  /** The names of all files, sorted. */
  paths(): string[] {
    return [...this.storage.names.keys()].sort();
  }
  /** The bytes of a file as they are now. Changing them damages the file. */
  bytesOf(path: string): Uint8Array {
    const inode = this.storage.names.get(path);
    if (inode === undefined) throw new Error(`no file ${path}`);
    return inode.bytes.subarray(0, inode.size);
  }
  /** Puts a file there, durably, as some other program might. */
  put(path: string, bytes: Uint8Array): void {
    const inode = inodeOf(bytes);
    this.storage.names.set(path, inode);
    this.storage.durable.set(path, inode);
  }

  list(folder: string): Promise<readonly string[]> {
    return this.run('list', folder, () =>
      this.paths()
        .filter((path) => posix.dirname(path) === posix.normalize(folder))
        .map((path) => posix.basename(path)),
    );
  }

  open(path: string): Promise<DiskFile> {
    return this.run('open', path, () => {
      let inode = this.storage.names.get(path);
      if (inode === undefined) {
        if (this.room() <= 0) throw diskError('ENOSPC', 'open', path);
        inode = inodeOf(new Uint8Array());
        this.storage.names.set(path, inode);
      }
      inode.end = inode.size;
      return this.fileOf(path, inode);
    });
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return this.run('read', path, () => {
      const inode = this.storage.names.get(path);
      this.requireReadable(path, 0, inode?.size ?? 0);
      return inode?.bytes.slice(0, inode.size);
    });
  }
  readPart(path: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.run('read', path, () => {
      const inode = this.storage.names.get(path);
      const end = Math.min(offset + length, inode?.size ?? 0);
      this.requireReadable(path, offset, end);
      return inode?.bytes.slice(offset, end);
    });
  }
  size(path: string): Promise<number | undefined> {
    return this.run('read', path, () => this.storage.names.get(path)?.size);
  }

  replace(path: string, bytes: Uint8Array): Promise<void> {
    const copy = copyOf(bytes);
    return this.run('replace', path, () => {
      if (copy.length > this.room()) throw diskError('ENOSPC', 'replace', path);
      this.put(path, copy);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.run('rename', from, () => {
      const inode = this.storage.names.get(from);
      if (inode === undefined) throw diskError('ENOENT', 'rename', from);
      for (const names of [this.storage.names, this.storage.durable]) {
        names.delete(from);
        names.set(to, inode);
      }
    });
  }

  remove(path: string): Promise<void> {
    return this.run('remove', path, () => {
      this.storage.names.delete(path);
    });
  }

  syncFolder(folder: string): Promise<void> {
    return this.run('syncFolder', folder, () => {
      if (!this.syncs) return;
      const { names, durable } = this.storage;
      for (const path of new Set([...names.keys(), ...durable.keys()])) {
        if (posix.dirname(path) !== posix.normalize(folder)) continue;
        const inode = names.get(path);
        if (inode === undefined) durable.delete(path);
        else durable.set(path, inode);
      }
    });
  }

  free(): Promise<number> {
    return this.run('free', '.', () => this.room());
  }

  private fileOf(path: string, inode: Inode): DiskFile {
    return {
      get size() {
        return inode.end;
      },
      append: (bytes) => {
        const copy = copyOf(bytes);
        const torn = (): void => write(inode, copy.subarray(0, copy.length >> 1));
        return this.run(
          'append',
          path,
          () => {
            if (copy.length > this.room()) {
              torn();
              throw diskError('ENOSPC', 'append', path);
            }
            write(inode, copy);
          },
          torn,
        );
      },
      extend: (length) =>
        this.run('extend', path, () => {
          if (length <= inode.size) return;
          ensure(inode, length);
          inode.size = length;
        }),
      sync: () =>
        this.run(
          'sync',
          path,
          () => {
            if (inode.spoilt || !this.syncs) return;
            inode.synced = inode.end;
            inode.syncedSize = inode.size;
            inode.former = undefined;
          },
          () => {
            inode.spoilt = true;
          },
        ),
      read: (offset, length) =>
        this.run('read', path, () => {
          const end = Math.min(offset + length, inode.size);
          this.requireReadable(path, offset, end);
          return inode.bytes.slice(offset, end);
        }),
      truncate: (size) =>
        this.run('truncate', path, () => {
          if (size < inode.syncedSize) {
            inode.former ??= durableBytesOf(inode);
            inode.synced = Math.min(inode.synced, size);
            inode.syncedSize = size;
          }
          inode.size = size;
          inode.end = size;
          inode.bytes.fill(0, size);
        }),
      close: () => this.run('close', path, () => {}),
    };
  }

  private requireReadable(path: string, from: number, to: number): void {
    const isLost = this.badSectors.some(
      (bad) => bad.path === path && bad.from < to && bad.to > from,
    );
    if (isLost) throw diskError('EIO', 'read', path);
  }

  private room(): number {
    if (this.full) return 0;
    let used = 0;
    for (const inode of this.storage.names.values()) used += inode.end;
    return this.capacityBytes - used;
  }

  private async run<T>(
    kind: DiskOperation,
    path: string,
    effect: () => T,
    failing?: () => void,
  ): Promise<T> {
    if (this.dead) return await never();
    const number = ++this.operations;
    await this.before?.(kind, path);
    await Promise.resolve();
    if (this.dead) return await never();
    if (this.fails(number)) {
      failing?.();
      throw diskError(this.fault?.code ?? 'EIO', kind, path);
    }
    const result = effect();
    await Promise.resolve();
    return this.dead ? await never() : result;
  }

  private fails(number: number): boolean {
    if (this.fault === undefined) return false;
    const { atOperation, mode } = this.fault;
    return mode === 'once' ? number === atOperation : number >= atOperation;
  }
}

/** `slice` of a Buffer would share its memory. */
const copyOf = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

const inodeOf = (bytes: Uint8Array): Inode => ({
  bytes: copyOf(bytes),
  end: bytes.length,
  size: bytes.length,
  synced: bytes.length,
  syncedSize: bytes.length,
  former: undefined,
  spoilt: false,
});

function ensure(inode: Inode, length: number): void {
  if (length <= inode.bytes.length) return;
  const grown = new Uint8Array(Math.max(length, inode.bytes.length * 2));
  grown.set(inode.bytes.subarray(0, inode.size));
  inode.bytes = grown;
}

function write(inode: Inode, bytes: Uint8Array): void {
  const end = inode.end + bytes.length;
  ensure(inode, end);
  inode.bytes.set(bytes, inode.end);
  inode.end = end;
  inode.size = Math.max(inode.size, end);
}

/** What would be there after power loss, if nothing that was not synced had reached the disk. */
function durableBytesOf(inode: Inode): Uint8Array {
  return inode.bytes.slice(0, inode.syncedSize).fill(0, inode.synced);
}

function cutPower(inode: Inode, random: Random): void {
  if (inode.former !== undefined && random.next() < 0.5) {
    inode.bytes = inode.former;
    inode.size = inode.former.length;
  } else {
    const kept = inode.synced + Math.floor(random.next() * (inode.end - inode.synced + 1));
    if (kept > inode.synced && random.next() < 0.5) inode.bytes[kept - 1]! ^= 0x5a;
    inode.bytes.fill(0, kept);
    const least = Math.max(kept, inode.syncedSize);
    inode.size = random.next() < 0.5 ? least : Math.max(least, inode.size);
  }
  inode.end = inode.size;
  inode.synced = inode.size;
  inode.syncedSize = inode.size;
  inode.former = undefined;
  inode.spoilt = false;
}

function diskError(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${operation} '${path}'`), { code });
}

const never = <T>(): Promise<T> => new Promise<T>(() => {});
