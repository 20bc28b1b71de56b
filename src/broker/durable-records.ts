import type { EventData } from '../event/event.ts';
import { type MessageJson, messageJson, messageOfJson } from '../event/message-json.ts';
import type { MessageRecord, SessionRecord } from './journal.ts';

type WillDetails = Record<string, unknown> & { message: MessageJson & { topic: string } };

/** A record of a session as the log holds it: its client is the subject. */
export function sessionData(record: SessionRecord): EventData['session'] {
  const { kind, client, ...details } = record;
  if (record.kind !== 'will') return { kind, details };
  const { delaySeconds, message } = record;
  const json = { ...messageJson(message), topic: message.topic };
  return { kind, details: { delaySeconds, message: json } };
}

/** Undefined for a kind that a newer gateway has written. */
export function sessionRecordOf(
  client: string,
  { kind, details }: EventData['session'],
): SessionRecord | undefined {
  if (!kinds.has(kind)) return undefined;
  if (kind !== 'will') return { ...details, kind, client } as SessionRecord;
  const { delaySeconds, message } = details as WillDetails;
  return {
    kind,
    client,
    delaySeconds: delaySeconds as number,
    message: messageRecordOf(message.topic, messageOfJson(message)),
  };
}

export function messageRecordOf(topic: string, data: EventData['message']): MessageRecord {
  return { ...data, kind: 'message', topic: data.topic ?? topic };
}

const kinds: ReadonlySet<string> = new Set<SessionRecord['kind']>([
  'began',
  'back',
  'ended',
  'left',
  'subscribed',
  'unsubscribed',
  'received',
  'released',
  'acknowledged',
  'lost',
  'recorded',
  'will',
  'willGone',
]);
