/**
 * Every error an operator can meet: what happened and what to do about it. A code is never reused.
 * `{detail}` is filled in where the error is made.
 */
export const errorTable = {
  GW_CONFIG_INVALID: 'The configuration is not valid: {detail}',
  GW_CONFIG_MISSING: 'There is no configuration file {detail}. Give its path with --config.',
  GW_SECRET_MISSING: 'A secret could not be read: {detail}',
  GW_CONFIG_KEY_INVALID:
    'A key of log.encryption is not 32 bytes in hexadecimal (64 digits) or base64: {detail}. Make one with: openssl rand -hex 32',
  GW_CONFIG_KEY_MISSING:
    'The event log cannot be read with the configured keys: {detail}. Give that key as log.encryption.key, or among log.encryption.previous. Nothing was changed.',
  GW_DATA_UNREADABLE:
    'The data folder {detail}. Give the user that runs Tidegate read and write access to it, or choose another with --data.',
  GW_DATA_IN_USE:
    'Another gateway is running on the data folder {detail}. Stop it first, or choose another folder with --data.',
  GW_LOG_WRITE_FAILED:
    'The event log could not be written: {detail}. What was acknowledged is safe. The gateway stops, because only reading the disk again can tell what it holds; check the disk and start again.',
  GW_LOG_UNSUPPORTED:
    'The event log was written by a newer Tidegate: {detail}. Install that version, or choose another folder with --data.',
  GW_LISTEN_IN_USE:
    'The address {detail} is in use. Stop the program that holds it, or set another port in the configuration.',
  GW_LISTEN_FORBIDDEN:
    'The address {detail} may not be used by this user. Choose a port above 1023, or grant CAP_NET_BIND_SERVICE.',
  GW_LISTEN_FAILED: 'Cannot listen on {detail}.',
  GW_BROKER_UNREACHABLE: 'The broker cannot be followed: {detail}',
  GW_SINK_UNAVAILABLE: '{detail}',
  GW_SINK_REFUSED: 'The far side takes nothing at all: {detail}',
  GW_SINK_UNKNOWN: 'There is no sink {detail}.',
  GW_REPLAY_RUNNING:
    'A replay to the sink {detail} is running. Wait until it has ended, or stop it: tidegate replay --cancel --sink {detail}',
  GW_REPLAY_EMPTY:
    'There is nothing to replay: no event that the sink selects was recorded in that time. {detail}',
  GW_REPLAY_NONE:
    'No replay to the sink {detail} is running. See which are with: tidegate replay --status',
  GW_REPLAY_INTERRUPTED:
    'The gateway has ended; it goes on with the replay when it starts again. {detail}',
  GW_REPLAY_FAILED: 'The replay has ended before its time: {detail}',
  GW_LETTER_UNKNOWN:
    'There is no dead letter {detail}. See which there are with: tidegate letters list --all',
  GW_CLIENT_UNKNOWN: 'No client {detail} is connected. See which are with: GET /api/v1/clients',
  GW_RELOAD_REFUSED:
    'Users and rights stay as they were. Correct their files, and reload again. {detail}',
  GW_ADMIN_UNREACHABLE:
    'The gateway does not answer at {detail}. Start it with: tidegate run. If it runs with another configuration, give that with --config.',
  GW_ADMIN_REFUSED: 'The gateway refuses: {detail}',
} as const;

export type ErrorCode = keyof typeof errorTable;

/** An operating error: expected, explained, with a remedy. Everything else is a defect of ours. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  constructor(code: ErrorCode, detail: string, cause?: unknown) {
    super(
      errorTable[code].replaceAll('{detail}', () => detail),
      cause === undefined ? {} : { cause },
    );
    this.code = code;
  }
}

/** Why a signal is aborted: the gateway ends, and what can go on goes on when it starts again. */
export class GatewayEnds extends Error {
  constructor() {
    super('The gateway stops.');
  }
}

/** Thrown by a connection that was told when to come back (Retry-After, RFC 9110 clause 10.2.3). */
export class RetryLater extends Error {
  override readonly name = 'RetryLater';
  readonly afterMs: number;
  constructor(message: string, afterMs: number) {
    super(message);
    this.afterMs = afterMs;
  }
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A failed fetch hides what happened in its cause.
  const cause = error.cause instanceof Error ? messageOf(error.cause) : undefined;
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return cause !== undefined && !error.message.includes(cause)
    ? `${error.message}: ${cause}`
    : error.message;
}
