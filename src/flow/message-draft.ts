import type { Draft, EventData } from '../event/event.ts';
import type { Entry } from '../log/log.ts';
import type { KeptMessage } from '../source/source.ts';

/** What writes an event remembers its subject, so that a longer topic stands in the data. */
const subjectLengthMax = 1_024;

/** The payload is copied: it may be a part of something much larger, and readers are given the draft's. */
export function messageDraft(message: KeptMessage, time: number, source: string): Draft {
  const { topic, payload, qos, retain, properties, from, to, incomingId } = message;
  const isLong = topic.length > subjectLengthMax;
  const data: EventData['message'] = {
    payload: Buffer.from(payload),
    qos,
    retain,
    ...(isLong ? { topic } : {}),
    ...(properties === undefined ? {} : { properties }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(incomingId === undefined ? {} : { incomingId }),
  };
  return { type: 'message', source, subject: isLong ? '' : topic, time, data };
}

export function keptMessageOf({ subject, data }: Entry<'message'>): KeptMessage {
  return { ...data, topic: data.topic ?? subject };
}
