import type { Disk, DiskFile } from '../platform/disk.ts';
import { aheadBytes } from './format.ts';
import type { Segment } from './recovery.ts';
import { final } from './weather.ts';

/** The segment that is being written to. */
export interface ActiveSegment {
  readonly segment: Segment;
  /**
   * Resolves when the bytes would survive power loss. When it rejects nothing of them counts, and
   * what was left behind of them is cut off before anything else is written, here or elsewhere.
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Holds no file open until the next `append`: a disk in trouble can be unmounted or made read-only. */
  release(): Promise<void>;
  /** Nothing more will be written to it. Rejects when what must not be found there cannot be cut off. */
  retire(): Promise<void>;
}

export function createActiveSegment(
  disk: Disk,
  opened: DiskFile,
  segment: Segment,
  options: { readonly lengthMax: number; readonly length: number },
): ActiveSegment {
  let file: DiskFile | undefined = opened;
  /** How long the file is on disk. */
  let { length } = options;
  /** Whether a failed write may have left bytes behind the last good ones. */
  let torn = false;

  const lengthFor = (needed: number): number => roomFor(needed, options.lengthMax);
  const reopen = async (): Promise<DiskFile> => {
    const again = await disk.open(segment.path);
    if (again.size < segment.bytes) {
      await again.close();
      throw new Error(`${segment.path} has lost what was acknowledged`);
    }
    if (again.size > segment.bytes) torn = true;
    return again;
  };
  const mended = async (): Promise<DiskFile> => {
    file ??= await reopen();
    if (torn) {
      await file.truncate(segment.bytes);
      length = segment.bytes;
      // What follows may say something else of the same positions, in another file even.
      await final(file.sync());
      torn = false;
    }
    return file;
  };
  const release = async (): Promise<void> => {
    const released = file;
    file = undefined;
    await released?.close();
  };

  return {
    segment,
    async append(bytes) {
      const target = await mended();
      const needed = segment.bytes + bytes.length;
      torn = true;
      if (needed > length) {
        await target.extend(lengthFor(needed));
        length = lengthFor(needed);
      }
      await target.append(bytes);
      await final(target.sync());
      torn = false;
      segment.bytes = needed;
    },
    release,
    async retire() {
      if (torn) await mended();
      // Only for tidiness: whoever reads it stops at the zeros.
      if (length > segment.bytes) await file?.truncate(segment.bytes).catch(() => {});
      await release();
    },
  };
}

/** How long a file should be that needs so many bytes, and may have `lengthMax`. */
export const roomFor = (needed: number, lengthMax: number): number =>
  Math.max(needed, Math.min(needed + aheadBytes, lengthMax));
