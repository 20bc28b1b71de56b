import { type ClientRequest, Agent as PlainAgent, request as requestPlain } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import type { DeviceMessage } from '../device.ts';
import type { Link, LinkEvents, Transport } from './link.ts';
import type { TlsOptions } from './stream.ts';

export interface HttpOptions extends TlsOptions {
  /** http:// or https:// of the admin interface, without a path. */
  readonly url: string;
  readonly token?: string;
}

const answerMaxMs = 15_000;

/** `POST /ingest/<topic>`, one after the other on a connection that is kept; 204 acknowledges. */
export function httpTransport(options: HttpOptions): Transport {
  const base = new URL(options.url);
  return {
    name: 'http',
    acknowledges: true,
    open: ({ password }, events) => openHttpLink(base, options, password, events),
  };
}

function openHttpLink(
  base: URL,
  { token, url: _, ...tls }: HttpOptions,
  password: string | undefined,
  events: LinkEvents,
): Link {
  const isTls = base.protocol === 'https:';
  const agent = isTls
    ? new TlsAgent({ keepAlive: true, maxSockets: 1, ...tls })
    : new PlainAgent({ keepAlive: true, maxSockets: 1 });
  const bearer = password ?? token;
  let sending: DeviceMessage | undefined;
  let request: ClientRequest | undefined;
  let ended = false;
  let wasConnected = false;

  const finish = (error?: Error): void => {
    if (ended) return;
    ended = true;
    request?.destroy();
    agent.destroy();
    events.closed(sending === undefined ? [] : [sending], error);
  };
  const answered = (
    message: DeviceMessage,
    startedAt: number,
    status: number,
    text: string,
  ): void => {
    if (ended) return;
    if (status >= 500 || status === 401 || status === 429) {
      finish(new Error(`${status}: ${text}`));
      return;
    }
    sending = undefined;
    if (status < 300) events.acknowledged(message, startedAt);
    else events.refused(message, `The server refuses a message: ${status}: ${text}`);
  };
  // There is no greeting in HTTP: it is connected when it says so, but not before it was returned.
  queueMicrotask(() => {
    if (ended) return;
    wasConnected = true;
    events.connected();
  });
  return {
    get wasConnected() {
      return wasConnected;
    },
    get room() {
      return wasConnected && !ended && sending === undefined ? 1 : 0;
    },
    send(message, startedAt) {
      sending = message;
      const topic = message.topic.split('/').map(encodeURIComponent).join('/');
      request = (isTls ? requestTls : requestPlain)(
        new URL(`/ingest/${topic}`, base),
        {
          ...{ agent, method: 'POST', timeout: answerMaxMs },
          headers: {
            'content-length': message.payload.length,
            'content-type': 'application/octet-stream',
            ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text = (text + chunk).slice(0, 300);
          });
          response.on('end', () =>
            answered(message, startedAt, response.statusCode ?? 0, text.trim()),
          );
        },
      );
      request.on('timeout', () => finish(new Error('The server does not answer.')));
      request.on('error', finish);
      request.end(message.payload);
    },
    tend() {},
    close: () => finish(),
    destroy: () => finish(),
    abandon: () => finish(),
  };
}
