import type { CloudEvent, EventType } from '../event/event.ts';

/** An event the far side will never take, however often it is offered. */
export interface Rejection {
  readonly event: CloudEvent;
  /** In the far side's own words where it has any. */
  readonly reason: string;
}

/** Somewhere events go. All a sink knows is how to get a connection. */
export interface Sink {
  readonly name: string;
  /** The types of event it is sent when the configuration selects none. */
  readonly types: readonly EventType[];
  connect(signal: AbortSignal): Promise<Connection>;
}

/** Used until it throws, then thrown away. Never reconnects by itself, never retries. */
export interface Connection {
  /**
   * How many batches may be under way at once; one when it does not say. `deliver` may then be called
   * before the call ahead has settled: the far side is offered the batches in order, they settle in
   * order, and when one throws those behind it throw, too.
   */
  readonly depth?: number;
  /**
   * Resolves when the far side has taken every event but those returned. Throws for whatever is
   * worth another try (`RetryLater` when told how long to wait); then nothing is assumed and the
   * batch is offered again, on a new connection. Obeys the signal within a second.
   */
  deliver(events: readonly CloudEvent[], signal: AbortSignal): Promise<readonly Rejection[]>;
  /** Twice is fine. */
  close(): Promise<void>;
}

/** What most sinks want: everything but the gateway's own pulse. */
export const factTypes = [
  'reading',
  'alert',
  'command',
  'undecodable',
  'rejected',
  'gap',
  'clock',
] as const satisfies readonly EventType[];
