/**
 * WHICH REPLAYS ARE UNDER WAY: the file `replays`, so that a gateway that was ended in the middle of one
 * goes on with it. It has the form of the cursors, since names of devices may be in it: a line for each sink,
 * whose state is an `Unfinished`.
 */
import { createCursorWriter, replaysPath as path, readCursorFile } from '../log/cursor-file.ts';
import { type Keyring, noKeys } from '../log/keyring.ts';
import { savedLineOf } from '../log/record-lines.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
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

/** A replay that can be taken up where it was. */
export interface Note extends Unfinished {
  /** What was asked for: recorded from this time. */
  readonly since: number;
  /** Places in the log: it began there, it ends there, all up to this is done with. */
  readonly first: number;
  readonly last: number;
  readonly position: number;
  readonly found: number;
  readonly rejected: number;
}

export interface ReplayNotes {
  /** Takes note of how far the one replay to that sink is. Never rejects: a replay goes on without. */
  set(note: Note): Promise<void>;
  remove(sink: string): Promise<void>;
  /** What the life before did not finish; it stays noted until it is removed. Never rejects. */
  unfinished(): Promise<readonly Note[]>;
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

/** The notes of the life before are read at once. */
export function openReplayNotes(parts: {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly random: Random;
  readonly clock: Clock;
  readonly keys?: Keyring;
}): ReplayNotes {
  const { disk, logger, keys = noKeys } = parts;
  const bytesOf = createCursorWriter(keys, parts.random, parts.clock);
  const running = new Map<string, Note>();
  const read = async (): Promise<void> => {
    const { lines } = await readCursorFile(disk, logger, keys, path);
    for (const note of [...lines.values()].flatMap(noteIn)) running.set(note.sink, note);
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
    await disk.replace(path, await bytesOf(lines));
  };
  const begun = inTurn(async () => {
    await read();
    if (running.size === 0) await disk.remove(path);
  });
  return {
    set(note) {
      running.set(note.sink, note);
      return inTurn(save);
    },
    async unfinished() {
      await begun;
      return [...running.values()];
    },
    remove(sink) {
      running.delete(sink);
      return inTurn(save);
    },
  };
}

/** Nothing for a line of some other form. */
function noteIn(lines: string): Note[] {
  const note = savedLineOf(lines).state as unknown as Note | null;
  if (note === null || typeof note.sink !== 'string') return [];
  const places = [note.since, note.from, note.first, note.last, note.position];
  return places.every(Number.isFinite) ? [note] : [];
}
