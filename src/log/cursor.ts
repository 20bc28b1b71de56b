import type { Position } from './log.ts';

/** Whatever JSON can hold. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** How far a reader has got, and what it remembers. Both move together, so no crash can part them. */
export interface Cursor {
  readonly name: string;
  /** Everything up to and including this is done with. */
  readonly position: Position;
  /** What was saved with the position this cursor was opened at; null for a new one. */
  readonly state: Json;
  /** Some of the state was damaged and is not in it. */
  readonly isPartial?: boolean;
  /** The position on disk: what retention may rely on. */
  readonly saved: Position;
  /** The reader works on what is behind `position`: no snapshot is taken until it commits. */
  begin(): void;
  /**
   * Moves at once and reaches the disk at the store's own pace; losing a save only means doing a
   * little again. `snapshot` is called, then or later but before the next `begin`, if at all.
   */
  commit(position: Position, snapshot?: () => Json): void;
}

/** All cursors, saved together in one file, replaced atomically. */
export interface CursorStore {
  /** The cursor of that name; `start` is where a new one begins. */
  open(name: string, start: () => Position): Cursor;
  /** Every open cursor. */
  readonly all: Iterable<Cursor>;
  /** The file was damaged when it was opened: a cursor that is new may be one that was lost. */
  readonly isDamaged: boolean;
  /** Saves what has moved. */
  save(): Promise<void>;
  /** Saves, then stops saving. */
  close(): Promise<void>;
}
