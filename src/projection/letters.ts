/**
 * The dead letters: events that a sink refused for good, by sink and event.
 *
 *            rejected               redriven event
 *   (none) ───────────▶ open ◀──────────────────────▶ redriven
 *                        │          rejected again
 *                        └──command letters/drop──▶ dropped
 */
import type { CloudEvent } from '../event/event.ts';
import { isRedriven, letterIdOf } from '../event/redelivery.ts';
import type { Projection, ProjectionState } from './projection.ts';

export const letterStates = ['open', 'redriven', 'dropped'] as const;
export type LetterState = (typeof letterStates)[number];

/** An event that a sink refused, without the event: that stands in the log, at `position`. */
export interface Letter {
  readonly id: string;
  readonly sink: string;
  /** In the sink's words, up to 300 characters. */
  readonly reason: string;
  /** How often the sink has refused it. */
  readonly attempts: number;
  /** When it was refused last; milliseconds since the epoch. */
  readonly time: number;
  readonly state: LetterState;
  /** The refused event: its id, device and type in full. */
  readonly event: string;
  readonly device: string;
  readonly type: string;
  /** Where the last `rejected` event stands in the log. */
  readonly position: number;
}

export type Placed = CloudEvent & { readonly position: number };

export interface Letters extends Projection {
  readonly accepts: (event: CloudEvent) => boolean;
  step(event: Placed): void;
  /** The oldest first; those that are redriven or dropped behind those that are open. */
  all(): Iterable<Letter>;
  find(id: string): Letter | undefined;
  /** Letters that are open. */
  readonly open: number;
  /** Open letters that had to make room for others; their events are still in the log. */
  readonly forgotten: number;
}

/** The name of the `command` event by which letters are dropped; its payload is an array of ids. */
export const dropCommand = 'letters/drop';

const reasonLengthMax = 300;

/** At most so many letters that are open, and so many others; the oldest make room. */
export function createLetters(openMax = 10_000, closedMax = 1_000): Letters {
  const open = new Map<string, Letter>();
  const closed = new Map<string, Letter>();
  let forgotten = 0;

  const put = (letter: Letter): void => {
    open.delete(letter.id);
    closed.delete(letter.id);
    const isOpen = letter.state === 'open';
    const all = isOpen ? open : closed;
    all.set(letter.id, letter);
    if (all.size <= (isOpen ? openMax : closedMax)) return;
    const [oldest] = all.keys();
    all.delete(oldest!);
    if (isOpen) forgotten++;
  };
  const find = (id: string): Letter | undefined => open.get(id) ?? closed.get(id);
  const refuse = (rejected: CloudEvent<'rejected'> & Placed): void => {
    const { sink, reason, event } = rejected.data;
    const id = letterIdOf(sink, textOf(event.id));
    const known = find(id);
    // Said again after a crash, it is the same refusal.
    let attempts = Number(event.redriveattempt ?? 1);
    if (event.replayed !== undefined) attempts = (known?.attempts ?? 0) + 1;
    else if (known !== undefined && attempts <= known.attempts) return;
    put({
      id,
      sink,
      reason: reason.slice(0, reasonLengthMax),
      attempts,
      time: rejected.time,
      state: 'open',
      event: textOf(event.id),
      device: textOf(event.subject),
      type: textOf(event.type),
      position: rejected.position,
    });
  };
  const change = (id: string | undefined, state: LetterState): void => {
    const letter = id === undefined ? undefined : open.get(id);
    if (letter !== undefined) put({ ...letter, state });
  };
  return {
    name: 'letters',
    accepts: (event) =>
      event.type === 'rejected' ||
      (event.type === 'command' && event.data.name === dropCommand) ||
      isRedriven(event),
    step(event) {
      if (isRedriven(event)) change(event.extensions?.redriveof, 'redriven');
      else if (event.type === 'rejected') refuse(event as CloudEvent<'rejected'> & Placed);
      else if (event.type === 'command' && event.data.name === dropCommand) {
        for (const id of idsOf(event.data.payload)) change(id, 'dropped');
      }
    },
    *all() {
      yield* open.values();
      yield* closed.values();
    },
    find,
    get open() {
      return open.size;
    },
    get forgotten() {
      return forgotten;
    },
    snapshot: () => snapshotOf([...open.values(), ...closed.values()], forgotten),
    restore(state) {
      open.clear();
      closed.clear();
      const saved = readState(state);
      for (const letter of saved.letters) put(letter);
      forgotten = saved.forgotten;
    },
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function idsOf(payload: string): readonly string[] {
  try {
    const ids: unknown = JSON.parse(payload);
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
  } catch {
    return [];
  }
}

/** Texts that repeat stand once: of 10,000 letters most have one of a few reasons. */
function snapshotOf(letters: readonly Letter[], forgotten: number): ProjectionState {
  const numbers = new Map<string, number>();
  const numberOf = (text: string): number => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size);
    return numbers.size - 1;
  };
  const rows = letters.map((letter) => [
    letter.event,
    numberOf(letter.sink),
    numberOf(letter.reason),
    numberOf(letter.device),
    numberOf(letter.type),
    letter.attempts,
    letter.time,
    letterStates.indexOf(letter.state),
    letter.position,
  ]);
  return { version: 1, forgotten, texts: [...numbers.keys()], letters: rows };
}

type Row = readonly [string, ...number[]];

function readState(state: ProjectionState): { forgotten: number; letters: readonly Letter[] } {
  try {
    const { version, forgotten, texts, letters } = state as unknown as {
      version: number;
      forgotten: number;
      texts: readonly string[];
      letters: readonly Row[];
    };
    if (version === 1 && typeof forgotten === 'number') {
      return { forgotten, letters: letters.map((row) => letterOf(row, texts)) };
    }
  } catch {
    // Forgotten, like any other shape that is not known.
  }
  return { forgotten: 0, letters: [] };
}

function letterOf(row: Row, texts: readonly string[]): Letter {
  const [event, sinkAt, reasonAt, deviceAt, typeAt, attempts, time, stateAt, position] = row;
  const text = (at: number | undefined): string => {
    const found = texts[at ?? -1];
    if (typeof found !== 'string') throw new TypeError('Not a letter.');
    return found;
  };
  const state = letterStates[stateAt ?? -1];
  if (typeof event !== 'string' || state === undefined || typeof position !== 'number') {
    throw new TypeError('Not a letter.');
  }
  const sink = text(sinkAt);
  return {
    id: letterIdOf(sink, event),
    sink,
    reason: text(reasonAt),
    attempts: attempts ?? 1,
    time: time ?? 0,
    state,
    event,
    device: text(deviceAt),
    type: text(typeAt),
    position,
  };
}
