/**
 * The dead letters by HTTP:
 *
 *   GET  /api/v1/letters?sink=NAME&state=open   {"letters":[…],"open":2,"forgotten":0}
 *   GET  /api/v1/letters/<id>                   {"letter":{…},"event":{…}}
 *   POST /api/v1/letters/redrive                {"ids":[…]}, {"sink":"name"} or {"all":true}
 *   POST /api/v1/letters/drop                   likewise; both answer {"done":[…],"refused":[…]}
 */
import { z } from 'zod';
import { GatewayError } from '../platform/errors.ts';
import { type Letter, type LetterState, letterStates } from '../projection/letters.ts';
import { type Answer, failure, json } from './answer.ts';

interface Selection {
  readonly ids?: readonly string[];
  readonly sink?: string;
}

/** The dead letters, as the gateway has them. */
export interface LetterOperations {
  readonly open: number;
  readonly forgotten: number;
  list(which: { readonly sink?: string; readonly state?: LetterState }): readonly Letter[];
  show(id: string): Promise<{ readonly letter: Letter; readonly event: unknown } | undefined>;
  redrive(which: Selection): Promise<unknown>;
  drop(which: Selection): Promise<unknown>;
}

/** Which letters a POST is about; to mean all of them must be said. */
export const selectionSchema = z
  .strictObject({
    ids: z.array(z.string().min(1).max(1_024)).min(1).max(10_000).optional(),
    sink: z.string().min(1).optional(),
    all: z.literal(true).optional(),
  })
  .refine(({ ids, sink, all }) => ids !== undefined || sink !== undefined || all === true, {
    message: 'Name the letters: {"ids":[…]}, {"sink":"…"} or {"all":true}.',
  });

/** The answer to GET, by what follows `/api/v1/letters`. */
export async function lettersPage(
  letters: LetterOperations,
  rest: string,
  query: URLSearchParams,
): Promise<Answer> {
  if (rest !== '') {
    const id = decoded(rest.slice(1));
    const found = await letters.show(id);
    if (found === undefined) throw new GatewayError('GW_LETTER_UNKNOWN', id.slice(0, 200));
    return json({ letter: shown(found.letter), event: found.event });
  }
  const state = query.get('state') ?? undefined;
  if (state !== undefined && !letterStates.some((each) => each === state)) {
    return failure(400, `state must be one of ${letterStates.join(', ')}.`);
  }
  const sink = query.get('sink') ?? undefined;
  const which = {
    ...(sink === undefined ? {} : { sink }),
    ...(state === undefined ? {} : { state: state as LetterState }),
  };
  const { open, forgotten } = letters;
  return json({ letters: letters.list(which).map(shown), open, forgotten });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Redrives or drops. */
export async function lettersAction(
  letters: LetterOperations,
  action: 'redrive' | 'drop',
  { ids, sink }: z.output<typeof selectionSchema>,
): Promise<Answer> {
  const which = {
    ...(ids === undefined ? {} : { ids }),
    ...(sink === undefined ? {} : { sink }),
  };
  return json(await letters[action](which));
}

function shown({ time, ...letter }: Letter): Record<string, unknown> {
  const date = new Date(time);
  return { ...letter, time: Number.isNaN(date.getTime()) ? time : date.toISOString() };
}
