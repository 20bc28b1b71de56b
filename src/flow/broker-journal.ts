import type { Draft } from '../event/event.ts';
import type { Entry, EventLog } from '../log/log.ts';
import { isWeather } from '../log/weather.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Ledger, Loss, OwnRecord } from '../source/source.ts';
import { messageDraft } from './message-draft.ts';

export interface BrokerJournalParts {
  readonly gateway: string;
  /** The name of the source: records come from `/gateways/<gateway>/<source>`. */
  readonly source: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
}

const retryMs = 1_000;

/** The event log, as a source that keeps records of its own may use it. */
export function createBrokerJournal(parts: BrokerJournalParts): Ledger {
  const { log, clock, logger } = parts;
  const source = `/gateways/${parts.gateway}/${parts.source}`;
  const draftOf = (record: OwnRecord): Draft =>
    record.type === 'message'
      ? messageDraft(record.message, clock.now(), source)
      : { type: 'session', source, subject: record.subject, time: clock.now(), data: record.data };
  /** A disk that cannot be read at the moment is waited for. */
  const entriesAt = async (positions: readonly number[]): Promise<readonly Entry[]> => {
    for (;;) {
      try {
        return await log.entriesAt(positions);
      } catch (error) {
        if (!isWeather(error)) throw error;
        logger.warn({ error: messageOf(error) }, 'Messages cannot be read at the moment.');
        await clock.sleep(retryMs);
      }
    }
  };
  return {
    async append(records) {
      if (records.length === 0) return [];
      const last = await log.append(records.map(draftOf));
      return records.map((_, index) => last - records.length + 1 + index);
    },
    async messages(positions) {
      const entries = await entriesAt(positions);
      return entries.filter((entry): entry is Entry<'message'> => entry.type === 'message');
    },
  };
}

/** Says by the names of the sessions what they will never get, in one append with what they forget. */
export async function recordLosses(
  losses: readonly Loss[],
  { gateway, source: name, log, clock }: BrokerJournalParts,
): Promise<void> {
  const source = `/gateways/${gateway}/${name}`;
  const time = clock.now();
  const drafts = losses.flatMap(({ client, from, upTo }): Draft[] => {
    // No reader has a space in its name.
    const reader = `session ${client}`;
    return [
      {
        ...{ type: 'gap', source, subject: client, time },
        id: `gap.${name}.${client}.${from}.${upTo}`,
        data: { reader, from, to: upTo, reason: 'retention' },
      },
      {
        ...{ type: 'session', source, subject: client, time },
        data: { kind: 'lost', details: { upTo } },
      },
    ];
  });
  if (drafts.length > 0) await log.append(drafts);
}
