import type { Draft } from '../event/event.ts';
import type { Append, Batch, BatchWriter } from './batch.ts';
import { lastingTypes } from './lasting.ts';

const isUrgent = (drafts: readonly Draft[]): boolean =>
  drafts.every(({ type }) => lastingTypes.has(type));

/** Who waits to be recorded. While writes succeed that is what the writer has gathered meanwhile. */
export interface AppendQueue {
  readonly isEmpty: boolean;
  readonly hasUrgent: boolean;
  /** `hold` while nothing can be written: it waits as it was given, and the urgent apart. */
  add(append: Append, hold: boolean): void;
  /** What goes next, at most about so many bytes of it if that is said. */
  take(bytesMax?: number): Batch;
  takeUrgent(): Batch;
  /** What could not be written waits again, in front; positions go on behind `last`. */
  putBack(appends: readonly Append[], last: number): void;
  /** Nobody will be answered any more. */
  clear(): void;
}

export function createAppendQueue(writer: BatchWriter, waitingBytes: number): AppendQueue {
  let ordinary: Append[] = [];
  let urgent: Append[] = [];

  const encode = (append: Append): void => {
    try {
      writer.add(append);
    } catch (error) {
      append.reject(error);
    }
  };
  /** Encodes what waits until so much is encoded. */
  const admit = (appends: Append[], bytesMax: number): void => {
    let admitted = 0;
    while (admitted < appends.length && writer.bytes < bytesMax) encode(appends[admitted++]!);
    appends.splice(0, admitted);
  };

  return {
    get isEmpty() {
      return writer.isEmpty && ordinary.length === 0 && urgent.length === 0;
    },
    get hasUrgent() {
      return urgent.length > 0;
    },
    add(append, hold) {
      if (hold && isUrgent(append.drafts)) urgent.push(append);
      else if (hold || ordinary.length > 0 || writer.bytes >= waitingBytes) ordinary.push(append);
      else encode(append);
    },
    take(bytesMax) {
      if (bytesMax !== undefined) admit(ordinary, bytesMax);
      const batch = writer.take();
      if (bytesMax === undefined) {
        admit(urgent, waitingBytes);
        admit(ordinary, waitingBytes);
      }
      return batch;
    },
    takeUrgent() {
      admit(urgent, waitingBytes);
      return writer.take();
    },
    putBack(appends, last) {
      const all = [...appends, ...writer.giveBack(last + 1)];
      urgent = [...all.filter(({ drafts }) => isUrgent(drafts)), ...urgent];
      ordinary = [...all.filter(({ drafts }) => !isUrgent(drafts)), ...ordinary];
    },
    clear() {
      ordinary = [];
      urgent = [];
    },
  };
}
