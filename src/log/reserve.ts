import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { isWeather } from './weather.ts';

/**
 * Bytes of the disk that are kept occupied, in the file `reserve`, so that there are some to give
 * back when somebody has filled the disk: for what only the gateway can say, and for its cursors.
 */
export interface Reserve {
  /** What is set aside at the moment. */
  readonly bytes: number;
  /** Whether something was spent that has not been set aside again: the first room is for that. */
  readonly isOwed: boolean;
  /** Frees at least so many bytes, for the caller to use at once; false when there are none left. */
  spend(bytes: number): Promise<boolean>;
  /**
   * Sets aside what is missing, if there is room; at first only where there is plenty. Resolves with
   * why that could not be, if it could not; never rejects.
   */
  fill(): Promise<unknown>;
}

export const reservePath = 'reserve';
const chunkBytesMax = 2 ** 16;
/** A file takes whole blocks, and its name, its place and the journal some of their own. */
const overheadBytes = 2 ** 14;
/** On a disk that is nearly full already, events are worth more than a reserve. */
const shareMin = 8;

/** Nothing is set aside until `fill` is called. */
export function createReserve(
  { disk, logger }: { readonly disk: Disk; readonly logger: Logger },
  wantedBytes: number,
): Reserve {
  let bytes = 0;
  let filling: Promise<unknown> | undefined;
  let isOwed = false;
  const overhead = Math.min(overheadBytes, wantedBytes / 16);
  const chunk = fillerOf(Math.min(chunkBytesMax, wantedBytes));

  const resize = async (work: (file: Awaited<ReturnType<Disk['open']>>) => Promise<void>) => {
    const file = await disk.open(reservePath);
    try {
      await work(file);
      await file.sync();
    } finally {
      bytes = file.size;
      await file.close();
    }
  };
  const fill = async (): Promise<void> => {
    bytes = (await disk.size(reservePath)) ?? 0;
    const missing = wantedBytes - bytes;
    if (missing > 0 && (await disk.free()) < (isOwed ? missing + overhead : shareMin * missing)) {
      // Of a disk that has become read-only as well, that is what somebody must mend first.
      if (isOwed) await (await disk.open(reservePath)).close();
      return;
    }
    if (missing !== 0) await complete();
    isOwed = false;
  };
  const complete = async (): Promise<void> => {
    await resize(async (file) => {
      if (file.size > wantedBytes) await file.truncate(wantedBytes);
      while (file.size < wantedBytes) {
        await file.append(chunk.subarray(0, Math.min(chunk.length, wantedBytes - file.size)));
      }
    });
  };

  return {
    get bytes() {
      return bytes;
    },
    get isOwed() {
      return isOwed;
    },
    async spend(wanted) {
      await filling;
      if (bytes === 0) return false;
      isOwed = true;
      const left = Math.max(0, bytes - wanted - overhead);
      await resize((file) => file.truncate(left));
      return true;
    },
    async fill() {
      filling ??= fill()
        .catch((error: unknown) => {
          logger.debug({ error: messageOf(error) }, 'Room could not be set aside.');
          // A file that cannot be written though the disk can must not keep anybody waiting.
          if (!isWeather(error)) isOwed = false;
          return error;
        })
        .finally(() => {
          filling = undefined;
        });
      return await filling;
    },
  };
}

/** Sets nothing aside. */
export const noReserve: Reserve = {
  bytes: 0,
  isOwed: false,
  spend: async () => false,
  fill: async () => undefined,
};

/** Not zeros, which a file system that compresses would store as nothing. */
function fillerOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}
