import { crc32 } from 'node:zlib';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import { createTurns } from '../platform/turns.ts';
import { Captured } from './captured.ts';
import type { Cursor, CursorStore, Json } from './cursor.ts';
import {
  brokerPath,
  type CursorsPath,
  createCursorWriter,
  cursorsPath,
  readCursorFile,
  type SavedLines,
} from './cursor-file.ts';
import { type Keyring, noKeys } from './keyring.ts';
import type { Position } from './log.ts';
import { type Quarantine, quarantineFolder } from './quarantine.ts';
import { type LostRecord, type SavedLine, savedLineOf } from './record-lines.ts';
import { noReserve, type Reserve } from './reserve.ts';
import { isNoRoom, isUnreadable, isWeather } from './weather.ts';

/** What saving may write on average, so that a large state does not wear out the disk. */
const bytesPerSecondMax = 2 ** 16;
/** Of the records that damage has cost so many are named. */
const lostNamedMax = 100;
/** Cursors that nobody opens, of sinks that have been renamed for instance: the newest are kept. */
const unopenedMax = 100;

export interface CursorStoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly random: Random;
  /** Without it, nothing is encrypted. */
  readonly keys?: Keyring;
  /** Without it, cursors cannot be saved while the disk is full. */
  readonly reserve?: Reserve;
  /** Where a damaged file is kept; otherwise it is only said. */
  readonly quarantine?: Quarantine;
}

export interface SavedCursors extends CursorStore {
  /** The newest position in the file as it was opened: the log must never use it again. */
  readonly newest: Position;
}

/**
 * Opens the cursors in the file `cursors`, or in another of that form. Saves what has moved every `saveMs` (1,000), less often
 * when that is much; a save that fails is told and tried again. Rejects with GW_LOG_UNSUPPORTED for
 * a file newer than this program, with GW_CONFIG_KEY_MISSING for one that it has no key for.
 */
export async function openCursorStore(
  parts: CursorStoreParts,
  options: { readonly saveMs?: number; readonly path?: CursorsPath } = {},
): Promise<SavedCursors> {
  const { disk, clock, logger, metrics } = parts;
  const { saveMs = 1_000, path = cursorsPath } = options;
  const { keys = noKeys, reserve = noReserve } = parts;
  const found = await readCursorFile(disk, logger, keys, path);
  if (found.damaged.length > 0 && parts.quarantine !== undefined) {
    await keepDamaged(found, path, disk, parts.quarantine).catch(ifWeather(logger));
  }
  const saved = new Map(found.lines);
  /** Until the whole file is as it would be written today, a save has something to do. */
  let isCurrent = found.isCurrent;
  const bytesOf = createCursorWriter(keys, parts.random, clock);
  const cursors = new Map<string, SavedCursor>();
  const closing = new AbortController();
  /** Grows with what a save writes. */
  let everyMs = saveMs;
  let turn: Promise<void> = Promise.resolve();
  let waiting = false;
  let failing = false;

  const replace = async (bytes: Uint8Array): Promise<void> => {
    try {
      await disk.replace(path, bytes);
    } catch (error) {
      if (!isNoRoom(error) || !(await reserve.spend(bytes.length))) throw error;
      await disk.replace(path, bytes);
    }
  };
  /** Takes the newest lines of all cursors, and what nobody has opened as it was. */
  const save = async (): Promise<void> => {
    const moved = [...cursors.values()].filter((cursor) => cursor.capture());
    if (moved.length === 0 && isCurrent) return;
    const lines = moved.map((cursor) => cursor.captured);
    const texts = new Map(saved);
    const turns = createTurns(clock);
    for (const { name, captured } of [...cursors.values()].map(placeOf)) {
      if (captured !== undefined) texts.set(name, await captured.write(turns));
    }
    for (const name of forgotten(texts, cursors)) {
      texts.delete(name);
      saved.delete(name);
    }
    const bytes = await bytesOf(texts.values());
    await replace(bytes);
    isCurrent = true;
    metrics.writtenBytes.inc(bytes.length);
    everyMs = Math.max(saveMs, (bytes.length / bytesPerSecondMax) * 1_000);
    moved.forEach((cursor, i) => {
      cursor.landed(lines[i]!);
      saved.set(cursor.name, lines[i]!.json);
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

  return {
    newest: newestOf(found) as Position,
    isDamaged: found.damaged.length > 0,
    open(name, start) {
      const known = cursors.get(name);
      if (known !== undefined) return known;
      const json = saved.get(name);
      const before = json === undefined ? undefined : savedLineOf(json);
      const position = before?.position ?? start();
      const cursor = new SavedCursor(name, position, before?.state ?? null, {
        ...{ clock, captureEveryMs, moved },
        isNew: before === undefined,
        isPartial: before?.isPartial === true,
        isToldApart: path === brokerPath,
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

/** The next save replaces the file, so that it is copied. */
async function keepDamaged(
  { damaged, lost }: SavedLines,
  path: CursorsPath,
  disk: Disk,
  quarantine: Quarantine,
): Promise<void> {
  const what = 'Cursors are damaged; their readers begin as if they were new.';
  const finding = {
    ...{ what, path, from: damaged[0]!.from, to: damaged.at(-1)!.to },
    ...(lost === undefined ? {} : { lost: lost.slice(0, lostNamedMax).map(textOf) }),
  };
  let bytes: Uint8Array | undefined;
  try {
    bytes = await disk.read(path);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    // There is nothing that could be kept.
    quarantine.note(finding);
  }
  if (bytes === undefined) return;
  const sum = crc32(bytes).toString(16).padStart(8, '0');
  const setAside = `${quarantineFolder}/${path}-${sum}`;
  if ((await disk.size(setAside)) === undefined) await disk.replace(setAside, bytes);
  quarantine.note({ ...finding, setAside });
}

const textOf = ({ list, name }: LostRecord): string =>
  name === undefined ? list : `${list} ${name}`;

const ifWeather = (logger: Logger) => (error: unknown) => {
  if (!isWeather(error)) throw error;
  logger.warn({ error: messageOf(error) }, 'The damaged cursors could not be kept.');
};

function hasMoved(cursors: Iterable<SavedCursor>): boolean {
  for (const cursor of cursors) if (cursor.hasMoved) return true;
  return false;
}

/** As it is now: it may move while others are written. */
const placeOf = ({ name, captured }: SavedCursor) => ({ name, captured });

interface CursorParts {
  readonly clock: Clock;
  readonly captureEveryMs: () => number;
  readonly moved: () => void;
  readonly isNew: boolean;
  readonly isPartial: boolean;
  /** Whether each record of the lists of its state has a line of its own. */
  readonly isToldApart: boolean;
}

class SavedCursor implements Cursor {
  readonly name: string;
  readonly isPartial: boolean;
  state: Json;
  position: Position;
  saved: Position;
  /** What goes to disk next, or went there last. */
  captured: Captured | undefined;
  private landedLast: Captured | undefined;
  private readonly parts: CursorParts;
  private snapshot: (() => Json) | undefined;
  /** Whether `position` has moved since it was captured. */
  private isStale: boolean;
  private isBusy = false;
  private capturedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, position: Position, state: Json, parts: CursorParts) {
    this.name = name;
    this.position = position;
    this.saved = position;
    this.state = state;
    this.parts = parts;
    this.isPartial = parts.isPartial;
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
      const { name, position } = this;
      const state = this.snapshot === undefined ? this.newestState() : this.snapshot();
      this.snapshot = undefined;
      this.captured = new Captured({ name, position, state }, this.parts.isToldApart);
      this.state = null;
      this.isStale = false;
      this.capturedAt = this.parts.clock.monotonic();
    }
    return this.captured !== this.landedLast;
  }

  private newestState(): Json {
    return this.captured === undefined ? this.state : savedLineOf(this.captured.json).state;
  }

  landed(captured: Captured): void {
    this.landedLast = captured;
    this.saved = captured.position;
  }
}

/** The names of unopened cursors that are too many: those that are furthest behind. */
function forgotten(
  lines: ReadonlyMap<string, string>,
  opened: ReadonlyMap<string, unknown>,
): readonly string[] {
  if (lines.size - opened.size <= unopenedMax) return [];
  const unopened = [...lines].filter(([name]) => !opened.has(name)).map(([, json]) => json);
  return unopened
    .map(savedLineOf)
    .sort((a, b) => b.position - a.position)
    .slice(unopenedMax)
    .map(({ name }) => name);
}

/** A state may say that its reader is further than its position: `reached`. */
function reachedBy({ position, state }: SavedLine): number {
  const { reached: said } = (state ?? {}) as { readonly reached?: unknown };
  const reached = typeof said === 'number' ? said : 0;
  return Math.max(position, reached);
}

/** The newest position that any of these cursors has come to. */
export function newestOf({ lines }: SavedLines): number {
  let newest = 0;
  for (const json of lines.values()) newest = Math.max(newest, reachedBy(savedLineOf(json)));
  return newest;
}

/** The cursors as they are on the disk: read only, also while a gateway runs. Leaves out what is damaged. */
export async function readCursors(
  disk: Disk,
  logger: Logger,
  keys = noKeys,
): Promise<readonly SavedLine[]> {
  const { lines } = await readCursorFile(disk, logger, keys);
  return [...lines.values()].map(savedLineOf);
}
