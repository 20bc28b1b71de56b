import type { CloudEvent, EventData } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';
import { messageRecordOf, sessionData } from './durable-records.ts';
import { ageMsOf, type Stamp } from './durable-time.ts';
import type { Journal, MessageRecord, Position } from './journal.ts';

/** What the event log has for the broker: the `Ledger` of a source. */
export interface LogDoor {
  append(records: readonly LogRecord[]): Promise<readonly Position[]>;
  messages(
    positions: readonly Position[],
  ): Promise<readonly (CloudEvent<'message'> & Stamp & { readonly position: Position })[]>;
}

type LogRecord =
  | { readonly type: 'message'; readonly message: MessageRecord }
  | { readonly type: 'session'; readonly subject: string; readonly data: EventData['session'] };

/** The journal that is kept in the event log. */
export function createJournal(log: LogDoor, clock: Clock): Journal {
  return {
    append: (records) =>
      log.append(
        records.map((record) =>
          record.kind === 'message'
            ? { type: 'message', message: record }
            : { type: 'session', subject: record.client, data: sessionData(record) },
        ),
      ),
    async messages(positions) {
      const entries = await log.messages(positions);
      return entries.map((entry) => ({
        position: entry.position,
        record: messageRecordOf(entry.subject, entry.data),
        ageMs: ageMsOf(entry, clock),
      }));
    },
  };
}
