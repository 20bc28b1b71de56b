import type { MessageRecord, Position } from './journal.ts';
import type { FilterRequest } from './packets.ts';

/** What the log says of one session, for it to be taken up again. */
export interface KeptSession {
  readonly client: string;
  /** 0xffffffff is for ever. */
  readonly expirySeconds: number;
  /**
   * For how long the client has been away, in milliseconds: never more than it really was. 0 when it
   * was connected as the gateway ended: then it is away from now on.
   */
  readonly awayMs: number;
  /** Whether it was connected when the gateway ended without saying so. */
  readonly wasConnected: boolean;
  readonly subscriptions: readonly KeptSubscription[];
  /** Messages that it has not acknowledged, ascending; those in `recorded` too. */
  readonly waiting: readonly Position[];
  /** Of those: PUBREC has come, so that only PUBREL is to be sent. */
  readonly recorded: readonly Position[];
  /** What waits up to here may have been sent before, so that it carries DUP the next time. */
  readonly sentUpTo: Position;
  /** Packet identifiers of incoming QoS 2 messages between PUBLISH and PUBREL, ascending. */
  readonly receivedIds: readonly number[];
}

export interface KeptSubscription {
  readonly request: FilterRequest;
  readonly subscriptionId?: number;
}

/** A shared subscription, by its whole filter (`$share/<name>/<filter>`), and what waits for its members. */
export interface KeptGroup {
  readonly filter: string;
  readonly waiting: readonly Position[];
}

export interface KeptWill {
  readonly client: string;
  readonly message: MessageRecord;
  readonly delaySeconds: number;
  /** For how long the client has been away, as in `KeptSession`. */
  readonly awayMs: number;
}

export interface KeptRetained {
  readonly message: MessageRecord;
  /** Milliseconds since it was published: never more than it really was. */
  readonly ageMs: number;
}

/** All that the broker knew when it ended, as far as it must last. */
export interface KeptState {
  readonly sessions: readonly KeptSession[];
  readonly groups: readonly KeptGroup[];
  readonly wills: readonly KeptWill[];
  readonly retained: readonly KeptRetained[];
}
