import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { GatewayError } from '../platform/errors.ts';

/** What a request is answered with: a text, or lines that come one after the other. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Lines;
  readonly headers?: OutgoingHttpHeaders;
}

/** Writes lines until it has no more, or until the signal says that nobody reads them. */
export type Lines = (write: (line: string) => void, gone: AbortSignal) => Promise<void>;

/** Words for people, or for a probe. */
export function text(status: number, body: string, headers: OutgoingHttpHeaders = {}): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n`, headers };
}

/** Anything that JSON can hold, and bigints as their digits. */
export function json(value: unknown, status = 200): Answer {
  const body = `${JSON.stringify(value, withBigints)}\n`;
  return { status, type: 'application/json; charset=utf-8', body };
}

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** An error as programs take it: `{"error":{"code":"GW_…","message":"…"}}`. */
export function failure(status: number, message: string, code = 'GW_ADMIN_REFUSED'): Answer {
  return json({ error: { code, message } }, status);
}

const statuses: Readonly<Record<string, number>> = {
  GW_SINK_UNKNOWN: 404,
  GW_LETTER_UNKNOWN: 404,
  GW_CLIENT_UNKNOWN: 404,
  GW_REPLAY_EMPTY: 404,
  GW_REPLAY_NONE: 404,
  GW_REPLAY_RUNNING: 409,
  GW_RELOAD_REFUSED: 422,
};

/** The answer that stands for an error an operator can meet; undefined for a defect of ours. */
export function answerOfError(error: unknown): Answer | undefined {
  if (!(error instanceof GatewayError)) return undefined;
  return failure(statuses[error.code] ?? 503, error.message, error.code);
}

/** Sends the answer. Resolves when everything has been handed to the system. */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  closing: AbortSignal,
): Promise<void> {
  const { body } = answer;
  response.writeHead(answer.status, {
    'content-type': answer.type,
    ...(typeof body === 'string' ? { 'content-length': Buffer.byteLength(body) } : {}),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  });
  if (typeof body === 'string' || request.method === 'HEAD') {
    response.end(request.method === 'HEAD' || typeof body !== 'string' ? undefined : body);
    return;
  }
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Error('Nobody reads the answer any longer.'));
  response.once('close', leave);
  const stop = (): void => gone.abort(closing.reason);
  closing.addEventListener('abort', stop, { once: true });
  if (closing.aborted) stop();
  try {
    await body((line) => void response.write(`${line}\n`), gone.signal);
  } finally {
    response.off('close', leave);
    closing.removeEventListener('abort', stop);
    response.end();
  }
}
