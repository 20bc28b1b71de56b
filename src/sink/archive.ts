/**
 * A folder of text files, one line per event, of which only the last is written:
 *
 *   00000041-20261119T000000Z.ndjson
 *   00000042-20261120T000003Z.ndjson     number, and the UTC time at which it was begun
 *
 * The number gives the order, for the clock may have been wrong when a file was begun.
 */
import type { Disk, DiskFile } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';

export interface ArchiveLimits {
  /** A new file begins with each of these spans of UTC time, … */
  readonly rotateMs: number;
  /** … and before a file would grow beyond this. A longer line has a file of its own. */
  readonly rotateBytes: number;
  /** The oldest files are removed when there are more, … */
  readonly keepFiles: number;
  /** … or when all together might hold more. */
  readonly keepBytes: number;
}

export interface Archive {
  /**
   * Whole lines, each with its newline. Resolves when they would survive power loss. What it throws
   * ends the use of the archive; some of the lines may be in it then.
   */
  append(lines: Uint8Array, nowMs: number): Promise<void>;
  close(): Promise<void>;
}

interface Member {
  readonly name: string;
  readonly number: number;
  /** When it was begun; milliseconds since the epoch. */
  readonly begun: number;
  bytes: number;
}

/** Opens the archive in that folder. What a power cut left of a last line is cut off. */
export async function openArchive(
  disk: Disk,
  limits: ArchiveLimits,
  logger: Logger,
): Promise<Archive> {
  const members = await membersOf(disk);
  let current: { readonly member: Member; readonly file: DiskFile } | undefined;
  const last = members.at(-1);
  if (last !== undefined) {
    const file = await disk.open(last.name);
    current = { member: last, file };
    const whole = await wholeLinesOf(file);
    if (whole < file.size) {
      logger.warn(
        { file: last.name, bytes: file.size - whole },
        'Cut off an unfinished last line of the archive: its event is sent again.',
      );
      await file.truncate(whole);
    }
    last.bytes = whole;
  }

  const isOfAnotherSpan = (member: Member, nowMs: number): boolean =>
    Math.floor(member.begun / limits.rotateMs) !== Math.floor(nowMs / limits.rotateMs);

  /** Begins a file in which there must be room for so many bytes. */
  const begin = async (nowMs: number, bytes: number) => {
    await current?.file.close();
    current = undefined;
    const number = (members.at(-1)?.number ?? 0) + 1;
    const member = { name: nameOf(number, nowMs), number, begun: nowMs, bytes: 0 };
    const file = await disk.open(member.name);
    await disk.syncFolder('.');
    members.push(member);
    current = { member, file };
    await removeOldest(Math.max(bytes, limits.rotateBytes));
    return current;
  };

  const removeOldest = async (room: number): Promise<void> => {
    let bytes = room;
    for (const member of members) bytes += member.bytes;
    while (members.length > 1) {
      if (members.length <= limits.keepFiles && bytes <= limits.keepBytes) return;
      const [oldest] = members.splice(0, 1);
      await disk.remove(oldest!.name);
      bytes -= oldest!.bytes;
      logger.info(
        { file: oldest!.name, bytes: oldest!.bytes },
        'Removed the oldest file of the archive, as keep says.',
      );
    }
  };

  return {
    async append(lines, nowMs) {
      for (let from = 0; from < lines.length; ) {
        if (current === undefined || isOfAnotherSpan(current.member, nowMs)) {
          await begin(nowMs, endOfLine(lines, from) - from);
        }
        let { member, file } = current!;
        let to = endOfLines(lines, from, limits.rotateBytes - member.bytes);
        if (to === from) {
          to = endOfLine(lines, from);
          if (member.bytes > 0) {
            // Not the end of this line only: more may find room behind it.
            ({ member, file } = await begin(nowMs, to - from));
            to = Math.max(to, endOfLines(lines, from, limits.rotateBytes));
          }
        }
        await file.append(lines.subarray(from, to));
        await file.sync();
        member.bytes = file.size;
        from = to;
      }
    },
    async close() {
      await current?.file.close();
      current = undefined;
    },
  };
}

const namePattern = /^(\d{8,})-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.ndjson$/;

function nameOf(number: number, begun: number): string {
  const time = new Date(begun).toISOString().slice(0, 19).replace(/[-:]/g, '');
  return `${String(number).padStart(8, '0')}-${time}Z.ndjson`;
}

async function membersOf(disk: Disk): Promise<Member[]> {
  const members: Member[] = [];
  for (const name of await disk.list('.')) {
    const match = namePattern.exec(name);
    if (match === null) continue;
    const [, number, year, month, day, hour, minute, second] = match.map(Number);
    const begun = Date.UTC(year!, month! - 1, day, hour, minute, second);
    members.push({ name, number: number!, begun, bytes: (await disk.size(name)) ?? 0 });
  }
  return members.sort((a, b) => a.number - b.number);
}

const newline = 0x0a;
const chunkBytes = 65_536;

function endOfLine(lines: Uint8Array, from: number): number {
  return lines.indexOf(newline, from) + 1;
}

/** Behind the last line that ends within so many bytes; where they begin when none does. */
function endOfLines(lines: Uint8Array, from: number, bytes: number): number {
  if (bytes <= 0) return from;
  if (from + bytes >= lines.length) return lines.length;
  return Math.max(from, lines.lastIndexOf(newline, from + bytes - 1) + 1);
}

/** The bytes up to and with the last newline. */
async function wholeLinesOf(file: DiskFile): Promise<number> {
  for (let end = file.size; end > 0; ) {
    const start = Math.max(0, end - chunkBytes);
    const at = (await file.read(start, end - start)).lastIndexOf(newline);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}
