import { fromCloudEventsJson } from '../event/cloudevents-json.ts';
import type { Draft } from '../event/event.ts';
import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';

/**
 * Resolves what still fires though its rule has left the configuration: nobody else ever would.
 * `orphans` gives the firing alerts in the CloudEvents JSON format; each is resolved once.
 */
export function createRetirement(parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly orphans: () => readonly string[];
}): () => void {
  const retired = new Set<string>();
  return () => {
    const drafts: Draft[] = [];
    for (const text of parts.orphans()) {
      const event = fromCloudEventsJson(text);
      if (event.type !== 'alert' || retired.has(event.data.incident)) continue;
      retired.add(event.data.incident);
      drafts.push({
        type: 'alert',
        source: event.source,
        subject: event.subject,
        time: parts.clock.now(),
        id: `${event.data.incident}.resolved`,
        extensions: {
          ...event.extensions,
          causationid: event.id,
        },
        data: {
          ...event.data,
          state: 'resolved',
          summary: `The rule ${event.data.rule} is no longer configured.`,
        },
      });
    }
    if (drafts.length > 0) void parts.log.append(drafts);
  };
}
