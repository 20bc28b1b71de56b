import type { Position } from './journal.ts';
import type { Message } from './message.ts';

/** Who has given a message to one of several members, and takes it back if that one goes. */
export interface Giver {
  /** The whole filter of the shared subscription. */
  readonly filter: string;
  /** Ascending in `sequence`. */
  takeBack(messages: readonly Message[]): void;
  /** A member has room again. */
  give(): void;
}

/** One message for one subscriber. */
export interface Delivery {
  readonly message: Message;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
  /** Given where the message is one member's share. */
  readonly giver: Giver | undefined;
  /** The packet identifier; 0 while it has none. */
  id: number;
  /** Its PUBLISH has been sent, on whatever connection. */
  isSent: boolean;
  /** PUBREC has come: only PUBREL is still to be sent. */
  isRecorded: boolean;
  /** It takes one of the places that the client has on this connection [MQTT5-4.9]. */
  isCounted: boolean;
}

export interface Share {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
}

/** That of several subscriptions of one client, while it is being found. */
export interface CombinedShare {
  qos: 0 | 1 | 2;
  retain: boolean;
  readonly subscriptionIds: number[];
}

export function deliveryOf(message: Message, share: Share, giver?: Giver): Delivery {
  const { qos, retain, subscriptionIds } = share;
  const fresh = { id: 0, isSent: false, isRecorded: false, isCounted: false };
  return { message, qos, retain, subscriptionIds, giver, ...fresh };
}

/** The packet identifier under which a message of the log is sent, also after a restart. */
export function idOf(position: Position): number {
  return (position % 65_535) + 1;
}

/** Why a subscriber missed a message. */
export type DropReason =
  | 'slow'
  | 'too_large_for_subscriber'
  | 'expired'
  | 'queue_full'
  | 'session_evicted';

/** Notes that a message goes back to who has given it. */
export function giveBack(back: Map<Giver, Message[]>, giver: Giver, message: Message): void {
  const given = back.get(giver);
  if (given === undefined) back.set(giver, [message]);
  else given.push(message);
}
