import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';

export interface AdminParts {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Why the gateway is not healthy; undefined while it is. */
  health(): string | undefined;
  /** Whether messages can arrive. */
  ready(): boolean;
  /** Anything that JSON can hold, bigints too. */
  status(): unknown;
  /** Brings the gauges up to date, before they are shown. */
  observe?(): Promise<void>;
}

export interface Admin {
  /** Where it really listens: port 0 has become a number. */
  readonly address: { readonly host: string; readonly port: number };
  /** Requests that are being answered get their answer; nobody is waited for. Twice is fine. */
  close(): Promise<void>;
}

const headerBytesMax = 8 * 1024;
const headersMaxMs = 5_000;
const requestMaxMs = 10_000;
const idleMaxMs = 5_000;
const connectionsMax = 64;
const requestsPerConnectionMax = 1_000;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: OutgoingHttpHeaders;
}
type Page = () => Answer | Promise<Answer>;

/**
 * Serves health, readiness, metrics and status by HTTP: read-only, bounded, and while it listens on
 * a loopback address only for requests that name one (against DNS rebinding). Throws
 * `GW_LISTEN_IN_USE`, `GW_LISTEN_FORBIDDEN` or `GW_LISTEN_FAILED`.
 */
export async function openAdmin(parts: AdminParts): Promise<Admin> {
  const pages = pagesOf(parts);
  const answering = new Set<Promise<void>>();
  let mayAsk: (hostHeader: string | undefined) => boolean = () => false;
  const server = createServer(
    { maxHeaderSize: headerBytesMax, headersTimeout: headersMaxMs, requestTimeout: requestMaxMs },
    (request, response) => {
      const answered = answerOf(request, pages, mayAsk, parts.logger)
        .then((answer) => send(request, response, answer))
        .catch(() => void response.destroy())
        .finally(() => answering.delete(answered));
      answering.add(answered);
    },
  );
  server.keepAliveTimeout = idleMaxMs;
  server.maxConnections = connectionsMax;
  server.maxRequestsPerSocket = requestsPerConnectionMax;
  const address = await listen(server, parts.listen);
  server.on('error', (error) => parts.logger.error({ error }, 'The admin server has trouble.'));
  if (isLoopback(address.host)) mayAsk = (header) => namesLoopback(header, parts.listen.host);
  else mayAsk = () => true;
  let closed: Promise<void> | undefined;
  return {
    address,
    close() {
      closed ??= close(server, answering);
      return closed;
    },
  };
}

function pagesOf(parts: AdminParts): ReadonlyMap<string, Page> {
  return new Map<string, Page>([
    [
      '/healthz',
      () => {
        const reason = parts.health();
        return reason === undefined ? text(200, 'ok') : text(503, reason);
      },
    ],
    ['/readyz', () => (parts.ready() ? text(200, 'ok') : text(503, 'Sources are not open yet.'))],
    [
      '/metrics',
      async () => {
        await parts.observe?.();
        const { registry } = parts.metrics;
        return { status: 200, type: registry.contentType, body: await registry.metrics() };
      },
    ],
    [
      '/api/v1/status',
      () => {
        const body = `${JSON.stringify(parts.status(), withBigints)}\n`;
        return { status: 200, type: 'application/json; charset=utf-8', body };
      },
    ],
  ]);
}

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function text(status: number, body: string, headers: OutgoingHttpHeaders = {}): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n`, headers };
}

async function answerOf(
  request: IncomingMessage,
  pages: ReadonlyMap<string, Page>,
  mayAsk: (hostHeader: string | undefined) => boolean,
  logger: Logger,
): Promise<Answer> {
  if (!mayAsk(request.headers.host)) {
    return text(421, 'This server answers to localhost only.', { connection: 'close' });
  }
  if (hasBody(request)) return text(413, 'No body is wanted here.', { connection: 'close' });
  const path = (request.url ?? '/').split('?', 1)[0]!;
  const page = pages.get(path);
  if (page === undefined) return text(404, 'There is nothing here.');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return text(405, 'Only GET and HEAD are possible here.', { allow: 'GET, HEAD' });
  }
  try {
    return await page();
  } catch (error) {
    logger.error({ address: path, error }, 'An admin page could not be made.');
    return text(500, 'This page could not be made; the log of the gateway says why.');
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || length !== '0';
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

function isLoopback(host: string): boolean {
  return host === '::1' || host === 'localhost' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host);
}

/** A page of another site cannot make a browser send these: its own name is in `Host`. */
function namesLoopback(header: string | undefined, configured: string): boolean {
  // Only a browser can be tricked, and browsers always send it.
  if (header === undefined) return true;
  const host = header
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return isLoopback(host) || host === configured.toLowerCase() || host.endsWith('.localhost');
}

function listen(server: Server, wanted: AdminParts['listen']): Promise<Admin['address']> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenErrorOf(error, wanted)));
    server.listen({ host: wanted.host, port: wanted.port }, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({ host: address, port });
    });
  });
}

function listenErrorOf(error: NodeJS.ErrnoException, { host, port }: AdminParts['listen']) {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port} (admin)`;
  if (error.code === 'EADDRINUSE') return new GatewayError('GW_LISTEN_IN_USE', where, error);
  if (error.code === 'EACCES') return new GatewayError('GW_LISTEN_FORBIDDEN', where, error);
  return new GatewayError('GW_LISTEN_FAILED', `${where}: ${messageOf(error)}`, error);
}

async function close(server: Server, answering: ReadonlySet<Promise<void>>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await Promise.all(answering);
  server.closeAllConnections();
  await closed;
}
