import type { CloudEvent, EventData, EventType } from '../event/event.ts';
import type { ClockQuality } from '../platform/clock.ts';

/** What the envelope of a message says of the reading in it. */
export interface Claims {
  /** Unique for ever: a repeat is dropped. */
  readonly id?: string;
  readonly device?: string;
  /** Milliseconds since the epoch. */
  readonly at?: number;
  readonly measurement?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** Bytes as they came in. */
export interface Message {
  /** The MQTT topic, or what stands for it: a port, a path. */
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** MQTT 5 user properties, or headers. */
  readonly properties?: Readonly<Record<string, string | readonly string[]>>;
  /** What its envelope says; it stands before what the mapping finds. */
  readonly claims?: Claims;
  /** Told why it cannot be read, where somebody waits to hear it. */
  readonly onProblem?: (problem: string) => void;
  /** Why it cannot be what was sent, such as a wrong checksum: it is kept as `undecodable`. */
  readonly problem?: string;
  /** What the source itself wants to have kept of it, in one append with what is made of it. */
  readonly record?: KeptMessage;
  /** Nothing but the record is to be kept. */
  readonly recordOnly?: true;
}

/** A message as it was published. */
export type KeptMessage = EventData['message'] & { readonly topic: string };

/**
 * Resolves when all the messages are safe in the log; only then may a source acknowledge them. With the
 * positions of their records, in order, where any message has one.
 */
export type Ingest = (
  messages: readonly Message[],
  // biome-ignore lint/suspicious/noConfusingVoidType: who keeps no records has nothing to say.
) => Promise<readonly number[] | void>;

/** One message, or several, by HTTP. */
export interface PostedMessage {
  /** What stands in the address behind `/ingest/`, decoded. */
  readonly topic: string;
  /** By name in lower case (RFC 9110 clause 5.1). */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  /** Whether it was sent from this machine. */
  readonly isLocal: boolean;
}

/** How a request is answered; 204 says that all of it is durable. */
export interface PostAnswer {
  readonly status: 204 | 400 | 401 | 403 | 404 | 413 | 503;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
}

/** An event of the log, in its place. */
export type Recorded<T extends EventType = EventType> = CloudEvent<T> & {
  readonly position: number;
  readonly boot: string;
  readonly monotonic: number;
  readonly clock: ClockQuality;
};

/** What a source writes down for itself in the event log. */
export type OwnRecord =
  | { readonly type: 'message'; readonly message: KeptMessage }
  | { readonly type: 'session'; readonly subject: string; readonly data: EventData['session'] };

/** The event log, as a source may use it. */
export interface Ledger {
  /**
   * Resolves with the position of each when all are durable, together or not at all. Waits while there
   * is no room; rejects with a RangeError for what is larger than the log takes, about 1 MiB.
   */
  append(records: readonly OwnRecord[]): Promise<readonly number[]>;
  /** The messages at these positions, which ascend: those that are still there. */
  messages(positions: readonly number[]): Promise<readonly Recorded<'message'>[]>;
}

/** Something that waited for somebody, and that the log no longer has. */
export interface Loss {
  readonly client: string;
  readonly from: number;
  readonly upTo: number;
  readonly messages: number;
}

/** What a source must not forget: all of it follows from the events of the log, and it is never saved but to begin there. */
export interface Memory {
  /**
   * Begins with what `snapshot` has given, or with null. When records of that are damaged it comes later,
   * without them: what `step` has made of the log up to then stays where it says nothing.
   */
  restore(state: unknown): void;
  /** Takes every event of the log, in order. */
  step(entry: Recorded): void;
  /** Whatever JSON can hold. */
  snapshot(): unknown;
  /** About what a snapshot takes as JSON. */
  readonly bytes: number;
  /** The oldest message that is still wanted; Infinity when none is. */
  readonly oldest: number;
  /** What is wanted and gone, where `isGone` says so; what is returned is recorded. */
  losses(isGone: (position: number) => boolean): readonly Loss[];
  /** Called once, before the source runs: everything in the log has been taken. */
  begin(ledger: Ledger): void;
}

/** Somewhere messages come from. */
export interface Source {
  readonly name: string;
  /** What it speaks to may be away: the gateway is ready without it, and tries again for ever. */
  readonly mayBeAway?: true;
  /** The longest wait before it is opened again, where it costs little to look. Default: a minute. */
  readonly retryMaxMs?: number;
  /**
   * Runs until the signal is aborted, then resolves within a second; throws when it cannot go on.
   * Calls `opened` once messages can arrive.
   */
  run(ingest: Ingest, signal: AbortSignal, opened: () => void): Promise<void>;
  /**
   * Publishes for the gateway itself, where a source can; never ingested. Before it is open only what
   * is to be retained is kept.
   */
  publish?(
    topic: string,
    payload: Uint8Array | string,
    options: { readonly retain: boolean; readonly qos: 0 | 1 | 2 },
  ): Promise<void>;
  /** Takes what came by HTTP, where a source has no socket of its own. */
  post?(message: PostedMessage): Promise<PostAnswer>;
  /** What it remembers from one life of the gateway to the next. */
  readonly memory?: Memory;
  /** Sends a command down, where a source has a way to its device; rejects when it is not open. */
  command?(payload: Uint8Array): Promise<void>;
}
