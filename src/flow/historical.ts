import type { Message } from '../source/source.ts';
import type { MappedRoute, Readings } from './route.ts';

/**
 * The same route, its readings marked historical where they are older than `afterMs` when they arrive:
 * a device sends what it kept while it was away.
 */
export function markingHistorical(route: MappedRoute, afterMs: number): MappedRoute {
  const marked = (readings: Readings, { receivedAt }: Message): Readings => ({
    ...readings,
    drafts: readings.drafts.map((draft) =>
      receivedAt - draft.time > afterMs
        ? { ...draft, extensions: { ...draft.extensions, historical: 'true' } }
        : draft,
    ),
  });
  const { codec, subject, mapping } = route;
  return {
    ...{ codec, subject, mapping },
    read: (message) => marked(route.read(message), message),
    readFound: (found, message) => marked(route.readFound(found, message), message),
    readingsOf: (document, message) => marked(route.readingsOf(document, message), message),
  };
}
