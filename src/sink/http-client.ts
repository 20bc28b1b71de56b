import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { onAbort } from '../platform/aborting.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { TlsSettings } from './tls.ts';

export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The beginning of the body: no more than 256 KiB. */
  readonly text: string;
}

/** One kept-alive connection to one server. (`fetch` cannot be given a certificate authority.) */
export interface HttpClient {
  /**
   * Resolves with whatever the server answers; redirects are not followed. Throws
   * `GW_SINK_UNAVAILABLE` when there is no answer in time, and the signal's reason once aborted.
   */
  send(
    method: 'OPTIONS' | 'POST',
    target: URL,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<HttpAnswer>;
  /** Ends the connection and whatever has not been answered; nothing is sent any more. Twice is fine. */
  close(): void;
}

export interface HttpClientOptions {
  /** Where all requests go: only its scheme, host and port matter. */
  readonly url: string;
  readonly tls: TlsSettings;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const bodyCharactersMax = 262_144;
const wasClosed = 'the connection was closed';

/** The address of an HTTP server, without credentials: those are secrets and have their own keys. */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an address such as https://host:port/path' })
  .refine((text) => !/^https?:\/\/[^/?#]*@/i.test(text), {
    message: 'must not hold a user name or password: give them in their own keys',
  });

export function openHttpClient({ url, tls, timeoutMs, clock }: HttpClientOptions): HttpClient {
  const isTls = url.startsWith('https:');
  const settings = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1 };
  const agent = isTls ? new HttpsAgent({ ...settings, ...tls }) : new HttpAgent(settings);
  const deadlines = createDeadlines(timeoutMs, clock);
  const start = isTls ? httpsRequest : httpRequest;
  return {
    async send(method, target, headers, body, signal) {
      signal.throwIfAborted();
      // The agent would open another connection, of which nobody knows.
      if (deadlines.areClosed) throw new GatewayError('GW_SINK_UNAVAILABLE', wasClosed);
      const request = start(target, {
        method,
        agent,
        headers: { ...headers, 'content-length': String(body.byteLength) },
      });
      const settled = onAbort(signal, () => void request.destroy(signal.reason));
      const answered = deadlines.begin(request);
      try {
        request.end(body);
        return await answerOf(request);
      } catch (error) {
        signal.throwIfAborted();
        const detail = `${target.origin}${target.pathname}: ${messageOf(error)}`;
        throw new GatewayError('GW_SINK_UNAVAILABLE', detail, error);
      } finally {
        answered();
        settled();
      }
    },
    close() {
      deadlines.close();
      agent.destroy();
    },
  };
}

type Request = ReturnType<typeof httpRequest>;

interface Due {
  readonly request: Request;
  readonly at: number;
}

/** Ends requests that are not answered in time, with one timer for all that follow each other. */
function createDeadlines(timeoutMs: number, clock: Clock) {
  const closed = new AbortController();
  // In the order in which they began, which is that in which they are due.
  const open: Due[] = [];
  let isWatching = false;
  const watch = async (): Promise<void> => {
    for (;;) {
      const first = open[0];
      if (first === undefined) {
        isWatching = false;
        return;
      }
      const leftMs = first.at - clock.monotonic();
      if (leftMs > 0) await clock.sleep(leftMs, closed.signal);
      else {
        open.shift();
        first.request.destroy(new Error(`no answer within ${timeoutMs} ms`));
      }
    }
  };
  return {
    /** Returns how to say that it has been answered. */
    begin(request: Request): () => void {
      const due = { request, at: clock.monotonic() + timeoutMs };
      open.push(due);
      if (!isWatching) {
        isWatching = true;
        watch().catch(() => {});
      }
      return () => {
        const at = open.indexOf(due);
        if (at >= 0) open.splice(at, 1);
      };
    },
    get areClosed() {
      return closed.signal.aborted;
    },
    close(): void {
      closed.abort();
      for (const { request } of open.splice(0)) request.destroy(new Error(wasClosed));
    },
  };
}

async function answerOf(request: Request): Promise<HttpAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    // Stays for good: what goes wrong after the answer is nobody's news.
    request.on('error', reject);
  });
  let text = '';
  response.setEncoding('utf8');
  // Read to its end, or the connection could not be used again.
  for await (const chunk of response) {
    if (text.length < bodyCharactersMax) text += chunk;
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: text.slice(0, bodyCharactersMax),
  };
}
