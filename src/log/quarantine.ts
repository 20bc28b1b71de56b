/**
 * WHAT WAS FOUND DAMAGED: `quarantine/<name>.json` says what, where and when; `quarantine/<name>` is what
 * was set aside, where anything was.
 *
 *   { "found": "2026-11-20T14:09:00.000Z", "what": "…", "path": "log/…seg", "from": 4096, "to": 4800,
 *     "positions": { "from": 101, "to": 120 }, "setAside": "quarantine/…" }
 */
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';

export const quarantineFolder = 'quarantine';
/** More files are not kept; what belongs to the lowest positions goes first. */
export const quarantineFilesMax = 64;
/** Findings that wait to be written down. */
const waitingMax = 256;

/** Something that is not as it was written. */
export interface Finding {
  readonly what: string;
  /** The file it is in, or was, and its bytes there. */
  readonly path: string;
  readonly from: number;
  readonly to: number;
  /** The positions that it costs; without `to` where nobody can know how many. */
  readonly positions?: { readonly from: number; readonly to?: number };
  /** The records that it costs, where those are known: none, perhaps. */
  readonly lost?: readonly string[];
  /** Where it is now, if it was moved or copied. */
  readonly setAside?: string;
}

export interface Quarantine {
  /** Takes note, at leisure. What has been noted in an earlier life is not noted again. */
  note(finding: Finding): void;
  /** From now on every new finding is told, once that can be done, and then written down. */
  begin(tell: (finding: Finding) => Promise<unknown>): void;
}

/** The name of a finding, the same whenever it is found. */
export function nameOf({ path, from, setAside }: Finding): string {
  if (setAside !== undefined) return setAside.slice(setAside.lastIndexOf('/') + 1);
  return `${path.slice(path.lastIndexOf('/') + 1)}-${from}`;
}

export function createQuarantine(parts: {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}): Quarantine {
  const { disk, clock, logger } = parts;
  const waiting: Finding[] = [];
  let tell: ((finding: Finding) => Promise<unknown>) | undefined;
  let writing = false;

  const write = async (finding: Finding, told: NonNullable<typeof tell>): Promise<void> => {
    const path = `${quarantineFolder}/${nameOf(finding)}.json`;
    if ((await disk.size(path)) !== undefined) return;
    // In this order: after a crash in between it is told twice rather than never.
    await told(finding);
    const found = new Date(clock.now()).toISOString();
    await disk.replace(path, Buffer.from(`${JSON.stringify({ found, ...finding }, null, 2)}\n`));
    const names = await disk.list(quarantineFolder);
    for (const name of names.slice(0, Math.max(0, names.length - quarantineFilesMax))) {
      await disk.remove(`${quarantineFolder}/${name}`);
    }
  };
  const writeAll = async (): Promise<void> => {
    if (writing || tell === undefined) return;
    writing = true;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await write(next, tell).catch((error: unknown) => {
        logger.warn({ error: messageOf(error) }, 'Damage could not be written down.');
      });
    }
    writing = false;
  };

  return {
    note(finding) {
      if (waiting.length >= waitingMax) return;
      waiting.push(finding);
      void writeAll();
    },
    begin(to) {
      tell = to;
      void writeAll();
    },
  };
}
