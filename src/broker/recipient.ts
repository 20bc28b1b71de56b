import type { Bounds } from './bounds.ts';
import type { DropReason, Giver, Share } from './delivery.ts';
import type { Journal } from './journal.ts';
import type { Message } from './message.ts';

/** What the outboxes of all sessions share. */
export interface OutboxParts {
  readonly bounds: Bounds;
  /** Messages that may wait for one subscriber. */
  readonly queuedMessages: number;
  /** Topics and payloads that wait for all subscribers. */
  readonly held: { bytes: number };
  /** The monotonic clock. */
  readonly now: () => number;
  /** Absent when nothing outlives the process. */
  readonly journal: () => Journal | undefined;
  dropped(reason: DropReason, messages: number): void;
  /** The journal has failed. */
  failed(error: unknown): void;
}

/** What an outbox asks of its session. */
export interface Recipient {
  readonly client: string;
  /** The session outlives its connection, and is in the journal. */
  readonly isJournaled: boolean;
  /** How its subscriptions want a message; undefined when none does. */
  shareOf(message: Message): Share | undefined;
  /** The client is done with a message that is in the log. */
  acknowledged(message: Message, giver: Giver | undefined): void;
  /** A message would be sent at once. */
  hasRoom(): void;
}
