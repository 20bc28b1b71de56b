/**
 * WHICH REPLAYS ARE UNDER WAY: the file `replays`, so that a gateway that was ended in the middle of one
 * can say so. It has the form of the cursors, since names of devices may be in it: a line for each sink,
 * whose state is an `Unfinished`.
 */
import { createCursorWriter, replaysPath as path, readCursorFile } from '../log/cursor-file.ts';
import { type Keyring, noKeys } from '../log/keyring.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import { type Logger, silentLogger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';

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
  readonly random: Random;
  readonly keys?: Keyring;
}): ReplayNotes {
  const { disk, logger, keys = noKeys } = parts;
  const bytesOf = createCursorWriter(keys, parts.random);
  const running = new Map<string, Unfinished>();
  const tell = async (): Promise<void> => {
    // A damaged one is told of by nobody: it is only a reminder.
    const { lines } = await readCursorFile(disk, silentLogger, keys, path);
    const found = [...lines.values()].flatMap(unfinishedIn);
    for (const each of found) {
      const { sink, delivered } = each;
      logger.warn(
        { sink, delivered, resume: resumeCommandOf(each) },
        'A replay was interrupted when the gateway ended.',
      );
    }
    await disk.remove(path);
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
    const lines = [...running].map(([name, state]) => JSON.stringify({ name, position: 0, state }));
    await disk.replace(path, bytesOf(lines));
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

/** Nothing for a line of some other form. */
function unfinishedIn(line: string): Unfinished[] {
  const { state } = JSON.parse(line) as { readonly state: Unfinished | null };
  return typeof state?.sink === 'string' && Number.isFinite(state.from) ? [state] : [];
}
