import { toCloudEventsJson } from '../event/cloudevents-json.ts';
import type { Draft } from '../event/event.ts';
import { rejectedIdOf } from '../event/redelivery.ts';
import type { Rejection } from '../sink/sink.ts';
import { appendAll } from './append.ts';
import type { DeliverParts } from './delivery.ts';

/** Records what a sink refused for good. Resolves with how many of it there is no event of. */
export async function recordRejections(
  rejections: readonly Rejection[],
  sink: string,
  attempt: number,
  parts: Omit<DeliverParts, 'random'>,
): Promise<number> {
  if (rejections.length === 0) return 0;
  const { event, reason } = rejections[0]!;
  parts.logger.warn(
    { sink, events: rejections.length, reason, device: event.subject, id: event.id },
    'A sink refused events for good; they are kept as rejected events.',
  );
  // A refused refusal is not news: recording it would feed the log with its own echo.
  const news = rejections.filter((rejection) => rejection.event.type !== 'rejected');
  const time = parts.clock.now();
  const drafts = news.map((each) => rejectionOf(each, sink, attempt, time, parts.gateway));
  await appendAll(drafts, parts.log, withoutData);
  parts.metrics.rejected.inc({ sink }, rejections.length);
  return rejections.length - news.length;
}

function rejectionOf(
  { event, reason }: Rejection,
  sink: string,
  attempt: number,
  time: number,
  gateway: string,
): Draft {
  const id = rejectedIdOf(sink, event);
  return {
    type: 'rejected',
    source: `/gateways/${gateway}/sinks/${sink}`,
    subject: event.subject,
    time,
    ...(id === undefined ? {} : { id }),
    extensions: { causationid: event.id },
    data: {
      sink,
      reason,
      attempt: Number(event.extensions?.redriveattempt ?? attempt),
      event: toCloudEventsJson(event),
    },
  };
}

/** What is kept of a refused event that fills a record alone: all but its data. */
function withoutData(draft: Draft, error: Error): Draft {
  if (draft.type !== 'rejected') return draft;
  const { data: _left, ...event } = draft.data.event;
  const reason = `${draft.data.reason} (The data is not kept: ${error.message}.)`;
  return { ...draft, data: { ...draft.data, reason, event } };
}
