/**
 * Batches of CloudEvents by POST: `application/cloudevents-batch+json`, with an `Idempotency-Key`
 * that is the same whenever the same events are offered together. A batch that is refused as a
 * whole is halved until the events that are to blame are alone.
 */
import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { z } from 'zod';
import { toCloudEventsBatch } from '../event/cloudevents-json.ts';
import type { CloudEvent } from '../event/event.ts';
import { duration, secret } from '../kind/kind.ts';
import { GatewayError, RetryLater } from '../platform/errors.ts';
import { type HttpAnswer, type HttpClient, httpUrl, openHttpClient } from './http-client.ts';
import { isolate, type Outcome } from './isolate.ts';
import { retryAfterMsOf } from './retry-after.ts';
import { factTypes, type Sink } from './sink.ts';
import type { SinkKind, SinkParts } from './sink-kind.ts';
import { tlsOf, tlsOptions } from './tls.ts';

/** What the sink itself says about the body. */
const ownHeaders = new Set([
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'idempotency-key',
]);

const options = z.strictObject({
  url: httpUrl.describe('Where batches are posted: https://example.com/hook'),
  headers: z
    .record(
      z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be the name of a header')
        .refine((name) => !ownHeaders.has(name.toLowerCase()), 'is set by the sink itself'),
      secret,
    )
    .default({})
    .describe('Further headers, for instance { authorization: { env: HOOK_TOKEN } }.'),
  timeout: duration
    .prefault('10s')
    .describe('How long to wait for an answer before the batch is sent again.'),
  gzip: z.boolean().default(false).describe('Compress what is sent, if the server can read that.'),
  tls: tlsOptions.optional().describe('Who is trusted over TLS, and our own certificate.'),
});

type Options = z.output<typeof options>;

const compress = promisify(gzip);

/** Events to whoever takes CloudEvents by HTTP. */
export const httpKind: SinkKind<typeof options> = {
  options,
  batch: { events: 500, bytes: 524_288, delayMs: 0 },
  create(given, parts): Sink {
    return {
      name: parts.name,
      types: factTypes,
      async connect(signal) {
        signal.throwIfAborted();
        const headers = await headersOf(given, parts);
        const client = openHttpClient({
          url: given.url,
          tls: await tlsOf(given.tls, parts.secrets),
          timeoutMs: given.timeout,
          clock: parts.clock,
        });
        try {
          // Whatever it answers: it is there, and its certificate is good.
          await client.send('OPTIONS', new URL(given.url), headers, new Uint8Array(0), signal);
        } catch (error) {
          client.close();
          throw error;
        }
        return {
          async deliver(events, signal) {
            const refusals = await isolate(events, async (some) => {
              const answer = await post(client, given, headers, some, signal);
              return outcomeOf(answer, given.url, parts.clock.now());
            });
            return refusals.map(({ item, reason }) => ({ event: item, reason }));
          },
          async close() {
            client.close();
          },
        };
      },
    };
  },
};

type Headers = Readonly<Record<string, string>>;

async function headersOf(given: Options, { secrets, version }: SinkParts): Promise<Headers> {
  const headers: Record<string, string> = {
    'content-type': 'application/cloudevents-batch+json; charset=utf-8',
    'user-agent': `tidegate/${version}`,
  };
  if (given.gzip) headers['content-encoding'] = 'gzip';
  for (const [name, value] of Object.entries(given.headers)) {
    const text = await secrets.text(value);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) {
      const problem = `the header ${name} holds what no header can: a line break or a control`;
      throw new GatewayError('GW_CONFIG_INVALID', problem);
    }
    headers[name.toLowerCase()] = text;
  }
  return headers;
}

async function post(
  client: HttpClient,
  given: Options,
  headers: Headers,
  events: readonly CloudEvent[],
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const text = Buffer.from(toCloudEventsBatch(events));
  const body = given.gzip ? await compress(text, { level: 1 }) : text;
  const key = idempotencyKeyOf(events);
  return await client.send(
    'POST',
    new URL(given.url),
    { ...headers, 'idempotency-key': key },
    body,
    signal,
  );
}

/** The same events in the same order have the same key; any others have another. */
export function idempotencyKeyOf(events: readonly CloudEvent[]): string {
  const names = JSON.stringify(events.map(({ source, id }) => [source, id]));
  return hash('sha256', names, 'hex').slice(0, 32);
}

/** Answers that say something about the place, not about the events. */
const ofThePlace: Readonly<Record<number, string>> = {
  401: 'give the credentials in headers',
  403: 'give the credentials in headers, or the rights to those',
  404: 'correct url',
  405: 'correct url: it takes no POST',
  407: 'log in to the proxy',
  410: 'correct url, or remove the sink',
  411: 'the server or a proxy wants another kind of request',
  415: 'the server must take application/cloudevents-batch+json; with gzip: true also gzip',
  421: 'correct url',
  426: 'correct url',
  428: 'the server wants another kind of request',
  431: 'use shorter headers',
  451: 'correct url, or remove the sink',
};

/** Throws for whatever is worth another try. */
function outcomeOf(answer: HttpAnswer, url: string, nowMs: number): Outcome<CloudEvent> {
  const { status } = answer;
  if (status >= 200 && status < 300) return 'taken';
  const words = answer.text.trim().slice(0, 200);
  const said = `${new URL(url).host} answers ${status}${words && `: ${words}`}`;
  const waitMs = retryAfterMsOf(answer, nowMs);
  if (waitMs !== undefined && (status >= 500 || status === 429 || status === 408)) {
    throw new RetryLater(said, waitMs);
  }
  if (status < 200 || status >= 500 || status === 408 || status === 425 || status === 429) {
    throw new GatewayError('GW_SINK_UNAVAILABLE', said);
  }
  if (status < 400) {
    const location = answer.headers.location ?? 'nowhere';
    throw new GatewayError(
      'GW_SINK_REFUSED',
      `${said} and points to ${location}. Redirects are not followed: correct url.`,
    );
  }
  const remedy = ofThePlace[status];
  if (remedy !== undefined) throw new GatewayError('GW_SINK_REFUSED', `${said}: ${remedy}.`);
  return { reason: said };
}
