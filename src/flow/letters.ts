import { fromCloudEventsJson } from '../event/cloudevents-json.ts';
import type { Draft } from '../event/event.ts';
import { isRedrivenTo, redriveExtensions } from '../event/redelivery.ts';
import type { Entry, EventLog, Position } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import {
  dropCommand,
  type Letter,
  type LetterState,
  type Letters,
  type Placed,
} from '../projection/letters.ts';

/** Which letters: by their ids, or all that are open, or those of one sink. */
export interface LetterSelection {
  readonly ids?: readonly string[];
  readonly sink?: string;
}

/** What became of the letters that were asked for. */
export interface LetterOutcome {
  readonly done: readonly string[];
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

/** The dead letters, for operators. */
export interface LetterDesk {
  readonly open: number;
  readonly forgotten: number;
  list(which: { readonly sink?: string; readonly state?: LetterState }): readonly Letter[];
  /** The letter and the refused event; the event is undefined when the log no longer has it. */
  show(id: string): Promise<{ letter: Letter; event: unknown } | undefined>;
  /** Resolves once it is durable that every letter that is `done` goes to its sink once more. */
  redrive(which: LetterSelection): Promise<LetterOutcome>;
  /** Resolves once it is durable that nobody waits for these letters any longer. */
  drop(which: LetterSelection): Promise<LetterOutcome>;
}

/** The desk, as the log's reader sees it. */
export interface ReadingDesk extends LetterDesk {
  readonly accepts: (entry: Entry) => boolean;
  step(entry: Entry): void;
  readonly snapshot: Letters['snapshot'];
}

export interface DeskParts {
  readonly gateway: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly letters: Letters;
  readonly sinks: readonly DeskSink[];
  /** Saves how far every reader is. */
  readonly saveCursors: () => Promise<void>;
  readonly signal: AbortSignal;
}

export interface DeskSink {
  readonly sink: { readonly name: string };
  readonly lanes?: { readonly alerts: boolean; readonly readings: boolean };
}

/** In one append; what is asked for at once may be ten thousand. */
const draftsMax = 50;
/** Nearer to the next letter than this, the log is read on instead of searched. */
const nearMax = 5_000;

/** A sink is given what was sent again for it, whatever it selects, and nothing that is for others. */
export function withRedriven(
  sink: string,
  accepts: (entry: Entry) => boolean,
): (entry: Entry) => boolean {
  return (entry) =>
    entry.extensions?.redriveof === undefined ? accepts(entry) : isRedrivenTo(sink, entry);
}

/** Lists letters, and records what is to become of them: both are facts of the log. */
export function createLetterDesk(parts: DeskParts): ReadingDesk {
  const { letters, log } = parts;
  const waiting = new Map<() => void, Position>();
  let passed = 0;
  let turn: Promise<unknown> = Promise.resolve();

  /** Resolves once the letters know of what was recorded at that position. */
  const reached = (position: Position): Promise<void> =>
    new Promise((resolve, reject) => {
      if (passed >= position) return resolve();
      if (parts.signal.aborted) return reject(parts.signal.reason);
      const aborted = (): void => reject(parts.signal.reason);
      parts.signal.addEventListener('abort', aborted, { once: true });
      waiting.set(() => {
        parts.signal.removeEventListener('abort', aborted);
        resolve();
      }, position);
    });
  /** Letters may be of a sink that is no longer configured; a name that nobody bears is a slip. */
  const requireKnown = (sink: string | undefined): void => {
    const names = parts.sinks.map((each) => each.sink.name);
    if (sink === undefined || names.includes(sink)) return;
    for (const letter of letters.all()) if (letter.sink === sink) return;
    throw new GatewayError('GW_SINK_UNKNOWN', `${sink}. There are: ${names.join(', ') || 'none'}`);
  };
  /** One after the other, so that nobody acts upon what another has just changed. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  };
  const append = async (drafts: readonly Draft[]): Promise<void> => {
    if (drafts.length > 0) await reached(await log.append(drafts));
  };
  /** A crash must not offer the refused event itself again, beside what is sent for its letter. */
  const settled = (
    { sink }: LetterSelection,
    work: () => Promise<LetterOutcome>,
  ): Promise<LetterOutcome> =>
    inTurn(async () => {
      requireKnown(sink);
      // Where the disk is full it may, for delivery is at least once.
      await parts.saveCursors().catch(() => {});
      return await work();
    });

  return {
    get open() {
      return letters.open;
    },
    get forgotten() {
      return letters.forgotten;
    },
    accepts: letters.accepts,
    step(entry) {
      letters.step(entry as Placed);
      passed = entry.position;
      for (const [go, position] of waiting) {
        if (passed < position) continue;
        waiting.delete(go);
        go();
      }
    },
    snapshot: letters.snapshot,
    list: ({ sink, state }) => {
      requireKnown(sink);
      return [...letters.all()].filter(
        (letter) =>
          (sink === undefined || letter.sink === sink) &&
          (state === undefined || letter.state === state),
      );
    },
    async show(id) {
      const letter = letters.find(id);
      if (letter === undefined) return undefined;
      for await (const [, event] of eventsOf([letter], log, parts.signal)) return { letter, event };
      return undefined;
    },
    redrive: (which) => settled(which, () => redrive(which, parts, append)),
    drop: (which) => settled(which, () => drop(which, parts, append)),
  };
}

async function redrive(
  which: LetterSelection,
  parts: DeskParts,
  append: (drafts: readonly Draft[]) => Promise<void>,
): Promise<LetterOutcome> {
  const { chosen, refused } = choose(which, parts.letters);
  const ready: { readonly id: string; readonly draft: Draft }[] = [];
  const done: string[] = [];
  const send = async (): Promise<void> => {
    const some = ready.splice(0);
    try {
      await append(some.map(({ draft }) => draft));
      done.push(...some.map(({ id }) => id));
    } catch (error) {
      if (!(error instanceof RangeError) || some.length === 1) throw error;
      // Too large together.
      for (const { id, draft } of some) {
        await append([draft]);
        done.push(id);
      }
    }
  };
  for await (const [letter, event] of eventsOf(chosen, parts.log, parts.signal)) {
    const redriven = redriveOf(letter, event, parts.sinks);
    if ('reason' in redriven) refused.push({ id: letter.id, reason: redriven.reason });
    else ready.push({ id: letter.id, draft: redriven.draft });
    if (ready.length >= draftsMax) await send();
  }
  await send();
  return { done, refused };
}

/** The refused event as it is recorded once more, or why it cannot be. */
function redriveOf(
  letter: Letter,
  event: Readonly<Record<string, unknown>> | undefined,
  sinks: readonly DeskSink[],
): { readonly draft: Draft } | { readonly reason: string } {
  const use = sinks.find(({ sink }) => sink.name === letter.sink);
  if (use === undefined) {
    return { reason: `there is no sink ${letter.sink} in the configuration any more` };
  }
  if (event === undefined) return { reason: 'the log no longer holds its event' };
  try {
    const { id, type, source, subject, time, data, extensions } = fromCloudEventsJson(event);
    const lane = type === 'reading' ? 'readings' : 'alerts';
    if (use.lanes?.[lane] === false) {
      return { reason: `the sink ${letter.sink} no longer selects any ${type}` };
    }
    const redrive = { letter: letter.id, sink: letter.sink, attempt: letter.attempts + 1 };
    const { replayed, ...own } = extensions ?? {};
    const marks = redriveExtensions(own, redrive);
    return { draft: { id, type, source, subject, time, data, extensions: marks } as Draft };
  } catch (error) {
    return { reason: `its event cannot be read: ${messageOf(error)}` };
  }
}

async function drop(
  which: LetterSelection,
  { gateway, clock, letters }: DeskParts,
  append: (drafts: readonly Draft[]) => Promise<void>,
): Promise<LetterOutcome> {
  const { chosen, refused } = choose(which, letters);
  const done = chosen.map(({ id }) => id);
  for (let from = 0; from < done.length; from += draftsMax) {
    const payload = JSON.stringify(done.slice(from, from + draftsMax));
    await append([
      {
        type: 'command',
        source: `/gateways/${gateway}/admin`,
        subject: gateway,
        time: clock.now(),
        data: { name: dropCommand, payload },
      },
    ]);
  }
  return { done, refused };
}

/** In the order of the log. */
function choose({ ids, sink }: LetterSelection, letters: Letters) {
  const refused: { id: string; reason: string }[] = [];
  const chosen: Letter[] = [];
  const isOf = (letter: Letter): boolean => sink === undefined || letter.sink === sink;
  for (const id of new Set(ids)) {
    const letter = letters.find(id);
    if (letter === undefined)
      refused.push({ id, reason: 'there is no such letter (tidegate letters list shows them)' });
    else if (!isOf(letter)) refused.push({ id, reason: `it is a letter of ${letter.sink}` });
    else if (letter.state === 'redriven') refused.push({ id, reason: 'it was redriven already' });
    else if (letter.state === 'dropped') refused.push({ id, reason: 'it was dropped' });
    else chosen.push(letter);
  }
  if (ids === undefined) {
    for (const letter of letters.all()) {
      if (letter.state === 'open' && isOf(letter)) chosen.push(letter);
    }
  }
  chosen.sort((a, b) => a.position - b.position);
  return { chosen, refused };
}

/** The refused event of each letter, read from the log; letters in the order of their positions. */
async function* eventsOf(
  letters: readonly Letter[],
  log: EventLog,
  signal: AbortSignal,
): AsyncGenerator<readonly [Letter, Readonly<Record<string, unknown>> | undefined]> {
  let reader = log.reader(((letters[0]?.position ?? 1) - 1) as Position);
  let entries: readonly Entry[] = [];
  try {
    for (const letter of letters) {
      const { position } = letter;
      if (position - reader.position > nearMax) {
        reader.close();
        reader = log.reader((position - 1) as Position);
      }
      while (reader.position < position && position <= log.last) {
        entries = await reader.next(Math.min(500, position - reader.position), signal);
      }
      const found = entries.findLast((entry) => entry.position === position);
      yield [letter, found?.type === 'rejected' ? found.data.event : undefined];
    }
  } finally {
    reader.close();
  }
}
