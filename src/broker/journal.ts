import type { FilterRequest, MessageProperties } from './packets.ts';

/** A place in the event log. */
export type Position = number;

/** A message as it was published, kept because a session that lasts wants it, or to be retained. */
export interface MessageRecord {
  readonly kind: 'message';
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
  /** Who published it; not given for the gateway itself. For "no local". */
  readonly from?: string;
  /** The only client it is for: a retained message that its subscription brings. */
  readonly to?: string;
  /** The packet identifier of an incoming QoS 2 message: known until its `released`. */
  readonly incomingId?: number;
}

/** A change of one client's session (OASIS MQTT 5.0, clause 4.1). */
export type SessionRecord =
  | { readonly kind: 'began'; readonly client: string; readonly expirySeconds: number }
  /** The client has taken its session up again. */
  | { readonly kind: 'back'; readonly client: string; readonly expirySeconds: number }
  | { readonly kind: 'ended'; readonly client: string }
  /** Of what it has not acknowledged, everything up to `sentUpTo` has been sent: 0 for nothing. */
  | {
      readonly kind: 'left';
      readonly client: string;
      readonly expirySeconds: number;
      readonly sentUpTo: Position;
    }
  | {
      readonly kind: 'subscribed';
      readonly client: string;
      readonly subscriptionId?: number;
      readonly requests: readonly FilterRequest[];
    }
  | { readonly kind: 'unsubscribed'; readonly client: string; readonly filters: readonly string[] }
  /** A QoS 2 message of which nothing else is kept has come in. */
  | { readonly kind: 'received'; readonly client: string; readonly id: number }
  | { readonly kind: 'released'; readonly client: string; readonly id: number }
  /** Everything up to `upTo`, and what is listed beyond it, was acknowledged by the client. */
  | {
      readonly kind: 'acknowledged';
      readonly client: string;
      readonly upTo: Position;
      readonly beyond: readonly Position[];
      /**
       * What came by way of shared subscriptions, by their whole filters (`$share/<name>/<filter>`):
       * each position is named, and `upTo` says nothing of them. The client need not have a session
       * that is kept.
       */
      readonly shared?: Readonly<Record<string, readonly Position[]>>;
    }
  /** The log no longer has what waited for the client up to there. */
  | { readonly kind: 'lost'; readonly client: string; readonly upTo: Position }
  /** The client has sent PUBREC for the message: only its PUBREL is still to be sent. */
  | { readonly kind: 'recorded'; readonly client: string; readonly position: Position }
  | {
      readonly kind: 'will';
      readonly client: string;
      readonly delaySeconds: number;
      readonly message: MessageRecord;
    }
  | { readonly kind: 'willGone'; readonly client: string };

export type JournalRecord = MessageRecord | SessionRecord;

export interface Journaled<R extends JournalRecord = JournalRecord> {
  readonly position: Position;
  readonly record: R;
  /** Milliseconds since it was recorded: never more than it really was. */
  readonly ageMs: number;
}

/** What the broker needs of the event log. */
export interface Journal {
  /** Resolves with the position of each when all are durable. */
  append(records: readonly JournalRecord[]): Promise<readonly Position[]>;
  /**
   * The messages at these positions, ascending; those the log no longer has are missing. What is
   * asked for is bounded by the caller.
   */
  messages(positions: readonly Position[]): Promise<readonly Journaled<MessageRecord>[]>;
}
