/**
 * WHICH REPLAYS ARE UNDER WAY: the file `replays`, so that a gateway that was ended in the middle of one
 * can say so.
 *
 *   { "version": 1, "replays": [{ "sink": "influx", "from": 1795000000000, "to": …, "delivered": 1200 }] }
 */
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';

/** What is left of a replay: recorded from one time to the other, in milliseconds since the epoch. */
export interface Unfinished {
  readonly sink: string;
  readonly from: number;
  readonly to?: number;
  readonly device?: string | readonly string[] | undefined;
  readonly type?: string | readonly string[] | undefined;
  readonly rate?: number;
  /** Events that its sink has taken, as of the last note. */
  readonly delivered: number;
}

export interface ReplayNotes {
  /** Takes note of how far the one replay to that sink is. Never rejects: a replay goes on without. */
  set(unfinished: Unfinished): Promise<void>;
  remove(sink: string): Promise<void>;
}

const path = 'replays';
const version = 1;

/** The command that delivers what is left. */
export function resumeCommandOf({ sink, from, to, device, type, rate }: Unfinished): string {
  const words = ['tidegate replay', '--sink', quoted(sink), '--from', isoOf(from)];
  if (to !== undefined) words.push('--to', isoOf(to));
  if (device !== undefined) words.push('--device', quoted([device].flat().join(',')));
  if (type !== undefined) words.push('--type', quoted([type].flat().join(',')));
  if (rate !== undefined) words.push('--rate', `${rate}`);
  return words.join(' ');
}

const isoOf = (time: number): string => new Date(Math.max(0, time)).toISOString();
const quoted = (text: string): string =>
  /^[\w.,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** Says at once which replays the life before did not finish, and how to go on with each. */
export function openReplayNotes(parts: {
  readonly disk: Disk;
  readonly logger: Logger;
}): ReplayNotes {
  const { disk, logger } = parts;
  const running = new Map<string, Unfinished>();
  const tell = async (): Promise<void> => {
    const found = unfinishedIn(await disk.read(path));
    for (const each of found) {
      const { sink, delivered } = each;
      logger.warn(
        { sink, delivered, resume: resumeCommandOf(each) },
        'A replay was interrupted when the gateway ended.',
      );
    }
    if (found.length > 0) await disk.remove(path);
  };
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    turn = turn.then(work).catch((error: unknown) => {
      logger.debug({ error: messageOf(error) }, 'Replays could not be noted.');
    });
    return turn;
  };
  const save = async (): Promise<void> => {
    if (running.size === 0) return await disk.remove(path);
    const replays = [...running.values()];
    await disk.replace(path, Buffer.from(`${JSON.stringify({ version, replays })}\n`));
  };
  void inTurn(tell);
  return {
    set(unfinished) {
      running.set(unfinished.sink, unfinished);
      return inTurn(save);
    },
    remove(sink) {
      running.delete(sink);
      return inTurn(save);
    },
  };
}

/** Nothing for a file that is damaged, or of a newer version: it is only a reminder. */
function unfinishedIn(bytes: Uint8Array | undefined): Unfinished[] {
  if (bytes === undefined) return [];
  try {
    const saved = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (saved.version !== version || !Array.isArray(saved.replays)) return [];
    return (saved.replays as Unfinished[]).filter(
      ({ sink, from }) => typeof sink === 'string' && Number.isFinite(from),
    );
  } catch {
    return [];
  }
}
