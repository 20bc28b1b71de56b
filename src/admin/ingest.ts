/** Messages by HTTP: `POST /ingest/<topic…>`. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Answer, failure, text } from './answer.ts';
import { isLoopback } from './guard.ts';

/** Where such messages are taken to. */
export type Post = (message: {
  readonly topic: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly isLocal: boolean;
}) => Promise<{
  readonly status: number;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
}>;

export const ingestPath = '/ingest/';
const bodyBytesMax = 2 ** 20;

/** 204 once all of it is durable; else the reason in words. */
export async function ingestAnswer(
  request: IncomingMessage,
  path: string,
  post: Post,
): Promise<Answer> {
  const refusal = siteProblem(request);
  if (refusal !== undefined) return refusal;
  const body = await bytesOf(request);
  if (body === undefined) {
    return failure(413, `A message must not be larger than ${bodyBytesMax} bytes.`);
  }
  const { status, message, retryAfterSeconds } = await post({
    topic: topicOf(path),
    headers: request.headers,
    body,
    isLocal: isLoopback(request.socket.remoteAddress ?? ''),
  });
  if (message === undefined) return text(status, '');
  const answer = failure(status, message, 'GW_INGEST_REFUSED');
  if (retryAfterSeconds === undefined) return answer;
  return { ...answer, headers: { 'retry-after': `${retryAfterSeconds}` } };
}

/** No page of another site makes somebody's browser send readings. */
function siteProblem({ headers }: IncomingMessage): Answer | undefined {
  const { host, origin } = headers;
  if (origin === undefined || origin.toLowerCase() === `http://${host?.toLowerCase()}`)
    return undefined;
  return failure(403, `Pages of ${origin.slice(0, 200)} may not do that.`);
}

function topicOf(path: string): string {
  const encoded = path.slice(ingestPath.length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return '';
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
