/**
 * Events that are offered again: a dead letter that is sent once more, and history that is replayed.
 * They are marked by extension attributes, which receivers see:
 *
 *   redriveof       the dead letter this is sent again for
 *   redriveto       the only sink it is for
 *   redriveattempt  how often the sink will have been asked then: 2 for the first time it is sent again
 *   replayed        `true`: delivered again on request; never recorded in the log
 */
import type { CloudEvent, Extensions } from './event.ts';

interface Marked {
  readonly extensions?: Extensions;
}

/** Whether it stands in the log only to reach one sink once more: no news to anybody else. */
export function isRedriven(event: Marked): boolean {
  return event.extensions?.redriveof !== undefined;
}

/** Whether it was sent again for this sink. */
export function isRedrivenTo(sink: string, event: Marked): boolean {
  return event.extensions?.redriveof !== undefined && event.extensions.redriveto === sink;
}

/** The extensions of an event that is sent again for a dead letter. */
export function redriveExtensions(
  extensions: Extensions | undefined,
  redrive: { readonly letter: string; readonly sink: string; readonly attempt: number },
): Extensions {
  const { letter, sink, attempt } = redrive;
  return { ...extensions, redriveof: letter, redriveto: sink, redriveattempt: `${attempt}` };
}

/** The same event, marked as replayed. */
export function replayedOf<E extends CloudEvent>(event: E): E {
  return { ...event, extensions: { ...event.extensions, replayed: 'true' } };
}

/** Names the dead letter of an event at a sink, however often it is refused. */
export function letterIdOf(sink: string, eventId: string): string {
  return `rejected.${sink}.${eventId}`;
}

/**
 * The id of the event that says that a sink refused this one: the same again after a crash, another
 * for each time it was sent again. None for what was replayed: each refusal of that is a fact of its own.
 */
export function rejectedIdOf(sink: string, event: CloudEvent): string | undefined {
  const { replayed, redriveattempt } = event.extensions ?? {};
  if (replayed !== undefined) return undefined;
  const id = letterIdOf(sink, event.id);
  return redriveattempt === undefined ? id : `${id}.${redriveattempt}`;
}
