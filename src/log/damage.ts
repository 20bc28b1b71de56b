import type { Disk, DiskFile } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { aheadBytes, groupHeaderBytes, segmentHeaderBytes } from './format.ts';
import type { Keyring } from './keyring.ts';
import { type Quarantine, quarantineFolder } from './quarantine.ts';
import type { Damage } from './segment-reader.ts';
import { isUnreadable, isWeather } from './weather.ts';

/** What making sense of the files takes. */
export interface Parts {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly keys?: Keyring;
  readonly quarantine?: Quarantine;
}

/** Nothing in it was ever acknowledged, or nothing can be made of it. */
export async function setAside(
  { path, size, first }: { readonly path: string; readonly size: number; readonly first: number },
  parts: Parts,
): Promise<void> {
  const { disk, logger } = parts;
  try {
    if (size <= segmentHeaderBytes || (await wasNeverBegun(disk, path, size))) {
      await disk.remove(path);
      return;
    }
    const to = `${quarantineFolder}/${path.slice(path.lastIndexOf('/') + 1)}`;
    await disk.rename(path, to);
    const what = 'A log segment is unreadable and was set aside.';
    logger.error({ path, to, bytes: size }, what);
    parts.quarantine?.note({
      what,
      path,
      from: 0,
      to: size,
      positions: { from: first },
      setAside: to,
    });
  } catch (error) {
    if (!isWeather(error)) throw error;
    logger.error({ path, error: messageOf(error) }, 'A log segment is unreadable.');
  }
}

/**
 * A write that was cut short by a power cut ends in zeros. One that does not may have been whole, and
 * acknowledged, and its disk at fault: nobody can tell, so that its bytes are kept. Where they cannot
 * even be read, that is told.
 */
export async function keepTail(
  file: DiskFile,
  { path, from, positions }: Damage,
  { disk, logger, quarantine }: Parts,
): Promise<'unreadable' | undefined> {
  let bytes: Buffer;
  try {
    bytes = Buffer.from(await file.read(from, tailBytesMax));
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const what = 'The end of the newest log segment cannot be read; what was there is lost.';
    logger.error({ path, from, error: messageOf(error) }, what);
    quarantine?.note({ what, path, from, to: file.size, positions });
    return 'unreadable';
  }
  if (quarantine === undefined) return undefined;
  const length = bytes.length < 8 ? 0 : 8 + bytes.readUInt32LE(0);
  if (length < groupHeaderBytes || length > bytes.length || bytes[length - 1] === 0) {
    return undefined;
  }
  const setAside = `${quarantineFolder}/${path.slice(path.lastIndexOf('/') + 1)}-${from}`;
  try {
    if ((await disk.size(setAside)) === undefined) await disk.replace(setAside, bytes);
  } catch (error) {
    if (!isWeather(error)) throw error;
    logger.warn({ path, error: messageOf(error) }, 'What was cut off could not be kept.');
    return undefined;
  }
  const what =
    'The last write has a wrong checksum: unfinished, or damaged after it was acknowledged.';
  quarantine.note({ what, path, from, to: from + bytes.length, positions, setAside });
  return undefined;
}
const tailBytesMax = 2 ** 18;

/** A new file whose header did not reach the disk has room behind it, and nothing in that. */
async function wasNeverBegun(disk: Disk, path: string, size: number): Promise<boolean> {
  if (size > segmentHeaderBytes + aheadBytes) return false;
  const bytes = await disk.read(path).catch((error: unknown) => {
    if (isUnreadable(error)) return undefined;
    throw error;
  });
  return bytes?.subarray(segmentHeaderBytes).every((byte) => byte === 0) === true;
}

export function reportDamage(
  { path, from, to, positions }: Damage,
  { logger, quarantine }: Pick<Parts, 'logger' | 'quarantine'>,
): void {
  const what = 'A log segment is damaged; what it held there cannot be read.';
  logger.error({ path, from, bytes: to - from }, what);
  quarantine?.note({ what, path, from, to, positions });
}

export function reportLost(
  path: string,
  savedMax: number,
  last: number,
  end: number,
  { logger, quarantine }: Parts,
): void {
  const what = 'The log has lost events that were delivered before; positions go on behind them.';
  const positions = { from: last + 1, to: savedMax };
  logger.error(positions, what);
  quarantine?.note({ what, path, from: end, to: end, positions });
}
