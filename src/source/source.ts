/** Bytes as they came in. */
export interface Message {
  /** The MQTT topic, or what stands for it: a port, a path. */
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** MQTT 5 user properties, or headers. */
  readonly properties?: Readonly<Record<string, string | readonly string[]>>;
  /** Why it cannot be what was sent, such as a wrong checksum: it is kept as `undecodable`. */
  readonly problem?: string;
}

/** Resolves when all the messages are safe in the log; only then may a source acknowledge them. */
export type Ingest = (messages: readonly Message[]) => Promise<void>;

/** Somewhere messages come from. */
export interface Source {
  readonly name: string;
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
  /** Sends a command down, where a source has a way to its device; rejects when it is not open. */
  command?(payload: Uint8Array): Promise<void>;
}
