/**
 * THE CURSORS ON DISK, version 1: the file `cursors`, text, replaced whole.
 *
 *   tidegate-cursors 1
 *   <crc32 of what follows the space, 8 hex digits> {"name":…,"position":…,"state":…}
 *   …
 *
 * Each line has its own checksum, so that damage costs one cursor and not the others.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Cursor, CursorStore, Json } from './cursor.ts';
import type { Position } from './log.ts';

const path = 'cursors';
const version = 1;
const heading = 'tidegate-cursors';
/** What saving may write on average, so that a large state does not wear out the disk. */
const bytesPerSecondMax = 2 ** 16;

export interface CursorStoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface SavedCursors extends CursorStore {
  /** The newest position in the file as it was opened: the log must never use it again. */
  readonly newest: Position;
}

/**
 * Opens the cursors in the file `cursors`. Saves what has moved every `saveMs` (1,000), less often
 * when that is much; a save that fails is told and tried again.
 */
export async function openCursorStore(
  parts: CursorStoreParts,
  options: { readonly saveMs?: number } = {},
): Promise<SavedCursors> {
  const { disk, clock, logger, metrics } = parts;
  const saveMs = options.saveMs ?? 1_000;
  const saved = await readSaved(disk, logger);
  const cursors = new Map<string, SavedCursor>();
  const closing = new AbortController();
  /** Grows with what a save writes. */
  let everyMs = saveMs;
  let turn: Promise<void> = Promise.resolve();
  let waiting = false;
  let failing = false;

  /** Takes the newest lines of all cursors, and what nobody has opened as it was. */
  const save = async (): Promise<void> => {
    const moved = [...cursors.values()].filter((cursor) => cursor.capture());
    if (moved.length === 0) return;
    const lines = moved.map((cursor) => cursor.captured);
    const texts = new Map(saved);
    for (const { name, captured } of cursors.values()) {
      if (captured !== undefined) texts.set(name, captured.line);
    }
    const bytes = Buffer.from([`${heading} ${version}`, ...texts.values(), ''].join('\n'));
    await disk.replace(path, bytes);
    metrics.writtenBytes.inc(bytes.length);
    everyMs = Math.max(saveMs, (bytes.length / bytesPerSecondMax) * 1_000);
    moved.forEach((cursor, i) => {
      cursor.landed(lines[i]!);
      saved.set(cursor.name, lines[i]!.line);
    });
  };
  /** One save at a time. */
  const saveInTurn = (): Promise<void> => {
    const mine = turn.then(save);
    turn = mine.catch(() => {});
    return mine;
  };
  const saveOrWarn = async (): Promise<void> => {
    try {
      await saveInTurn();
      if (failing) logger.info({}, 'Cursors can be saved again.');
      failing = false;
    } catch (error) {
      if (!failing) logger.warn({ error: messageOf(error) }, 'Cursors could not be saved.');
      failing = true;
    }
  };
  const saveLater = async (): Promise<void> => {
    waiting = true;
    while (hasMoved(cursors.values()) && !closing.signal.aborted) {
      await clock.sleep(everyMs, closing.signal);
      await saveOrWarn();
    }
    waiting = false;
  };
  const moved = (): void => {
    if (!waiting && !closing.signal.aborted) saveLater().catch(() => {});
  };
  const captureEveryMs = (): number => everyMs;

  let newest = 0;
  for (const line of saved.values()) newest = Math.max(newest, reachedBy(decodeLine(line)));
  return {
    newest: newest as Position,
    open(name, start) {
      const known = cursors.get(name);
      if (known !== undefined) return known;
      const line = saved.get(name);
      const before = line === undefined ? undefined : decodeLine(line);
      const position = before?.position ?? start();
      const cursor = new SavedCursor(name, position, before?.state ?? null, {
        clock,
        captureEveryMs,
        moved,
        isNew: before === undefined,
      });
      cursors.set(name, cursor);
      if (before === undefined) moved();
      return cursor;
    },
    get all() {
      return cursors.values();
    },
    save: saveInTurn,
    async close() {
      closing.abort();
      await saveOrWarn();
    },
  };
}

function hasMoved(cursors: Iterable<SavedCursor>): boolean {
  for (const cursor of cursors) if (cursor.hasMoved) return true;
  return false;
}

/** A position, with the state that belongs to it, as it goes to disk. */
interface Captured {
  readonly position: Position;
  readonly line: string;
}

interface CursorParts {
  readonly clock: Clock;
  readonly captureEveryMs: () => number;
  readonly moved: () => void;
  readonly isNew: boolean;
}

class SavedCursor implements Cursor {
  readonly name: string;
  readonly state: Json;
  position: Position;
  saved: Position;
  /** What goes to disk next, or went there last. */
  captured: Captured | undefined;
  private landedLast: Captured | undefined;
  private readonly parts: CursorParts;
  private snapshot: (() => Json) | undefined;
  /** The newest state known, and whether `position` has moved since it was captured. */
  private stateNow: Json;
  private isStale: boolean;
  private isBusy = false;
  private capturedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, position: Position, state: Json, parts: CursorParts) {
    this.name = name;
    this.position = position;
    this.saved = position;
    this.state = state;
    this.stateNow = state;
    this.parts = parts;
    this.isStale = parts.isNew;
  }

  begin(): void {
    this.isBusy = true;
  }

  commit(position: Position, snapshot?: () => Json): void {
    if (position < this.position) throw new RangeError(`cursor ${this.name} cannot go back`);
    this.isBusy = false;
    this.position = position;
    this.snapshot = snapshot;
    this.isStale = true;
    // Who is always at work when a save is due would never be saved otherwise.
    const { clock, captureEveryMs, moved } = this.parts;
    if (clock.monotonic() - this.capturedAt >= captureEveryMs()) this.capture();
    moved();
  }

  get hasMoved(): boolean {
    return this.isStale || this.captured !== this.landedLast;
  }

  /** Takes position and state together if they belong together now; says if there is news for the disk. */
  capture(): boolean {
    if (this.isStale && !(this.isBusy && this.snapshot !== undefined)) {
      if (this.snapshot !== undefined) this.stateNow = this.snapshot();
      this.snapshot = undefined;
      this.captured = {
        position: this.position,
        line: encodeLine(this.name, this.position, this.stateNow),
      };
      this.isStale = false;
      this.capturedAt = this.parts.clock.monotonic();
    }
    return this.captured !== this.landedLast;
  }

  landed(captured: Captured): void {
    this.landedLast = captured;
    this.saved = captured.position;
  }
}

function encodeLine(name: string, position: Position, state: Json): string {
  const json = JSON.stringify({ name, position, state });
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}`;
}

/** A cursor on the disk. */
export interface SavedLine {
  readonly name: string;
  readonly position: Position;
  readonly state: Json;
}

/** A state may say that its reader is further than its position: `reached`. */
function reachedBy(line: SavedLine | undefined): number {
  const state = line?.state as { readonly reached?: unknown } | null | undefined;
  const reached = typeof state?.reached === 'number' ? state.reached : 0;
  return Math.max(line?.position ?? 0, reached);
}

/** The cursors as they are on the disk: read only, also while a gateway runs. Leaves out what is damaged. */
export async function readCursors(disk: Disk, logger: Logger): Promise<readonly SavedLine[]> {
  const lines = await readSaved(disk, logger);
  return [...lines.values()].map((line) => decodeLine(line)!);
}

/** Undefined for a line that is damaged. */
function decodeLine(line: string): SavedLine | undefined {
  const json = line.slice(9);
  if (line[8] !== ' ' || Number.parseInt(line.slice(0, 8), 16) !== crc32(json)) return undefined;
  return JSON.parse(json) as SavedLine;
}

/** The line of each cursor. Whatever the file holds, there is an answer, but for a newer version. */
async function readSaved(disk: Disk, logger: Logger): Promise<Map<string, string>> {
  const saved = new Map<string, string>();
  const bytes = await disk.read(path);
  if (bytes === undefined) return saved;
  const [first, ...lines] = Buffer.from(bytes).toString('utf8').split('\n');
  const found = new RegExp(`^${heading} (\\d+)$`).exec(first!)?.[1];
  if (found !== undefined && Number(found) > version) {
    throw new GatewayError('GW_LOG_UNSUPPORTED', `the file ${path} has version ${found}`);
  }
  if (found === undefined) logger.warn({ path }, 'The first line of the cursors is damaged.');
  lines.forEach((line, index) => {
    if (line === '') return;
    const decoded = decodeLine(line);
    if (decoded !== undefined) saved.set(decoded.name, line);
    else {
      logger.warn(
        { path, line: index + 2 },
        'A cursor is damaged; its reader begins as if it were new.',
      );
    }
  });
  return saved;
}
