import { type Delivery, deliveryOf } from './delivery.ts';
import type { MessageRecord, Position } from './journal.ts';
import { Message } from './message.ts';
import type { OutboxParts, Recipient } from './recipient.ts';

/**
 * Messages read from the log for one subscriber, by their positions; undefined where it does not
 * want one any more, or the log no longer has it. Up to `sentUpTo` they have been sent before.
 */
export async function recalled(
  positions: readonly Position[],
  recipient: Recipient,
  { journal, now }: OutboxParts,
  sentUpTo: Position,
): Promise<Map<Position, Delivery | undefined>> {
  const found = new Map<Position, Delivery | undefined>();
  for (const position of positions) found.set(position, undefined);
  const ascending = [...positions].sort((a, b) => a - b);
  for (const { position, record, ageMs } of (await journal()?.messages(ascending)) ?? []) {
    const message = new Message(record, now(), position, ageMs);
    const isSent = position <= sentUpTo;
    // What was begun is ended, though the subscription is gone [MQTT-3.10.4-3].
    const begun = isSent ? { qos: record.qos, retain: false, subscriptionIds: [] } : undefined;
    const wanted = recipient.shareOf(message);
    // What a subscription brought carries the flag whenever it is sent [MQTT-3.3.1-8].
    const share =
      wanted === undefined ? begun : { ...wanted, retain: wanted.retain || isFed(record) };
    if (share !== undefined) found.set(position, { ...deliveryOf(message, share), isSent });
  }
  return found;
}

const isFed = ({ to }: MessageRecord): boolean => to !== undefined;
