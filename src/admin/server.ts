import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { GatewayEnds, GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { type Answer, answerOfError, failure, json, send, text } from './answer.ts';
import { hasBody, readBody } from './body.ts';
import {
  type ClientOperations,
  clientsPage,
  disconnectAnswer,
  disconnectSchema,
} from './clients.ts';
import { isLoopback, namesLoopback, refusalOf } from './guard.ts';
import { ingestAnswer, ingestPath, type Post } from './ingest.ts';
import { type LetterOperations, lettersAction, lettersPage, selectionSchema } from './letters.ts';
import {
  cancelSchema,
  type ReplayOperation,
  type ReplayTable,
  replayAnswer,
  replaySchema,
  shownReplay,
} from './replay.ts';

/** What can be done to a gateway that runs; undefined while it does not. */
export interface Operations {
  readonly letters: LetterOperations;
  readonly replay: ReplayOperation;
  readonly replays: ReplayTable;
}

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
  /** What became of every event on its way to every sink; undefined until that is known. */
  audit?(): unknown;
  /** Brings the gauges up to date, before they are shown. */
  observe?(): Promise<void>;
  operations?(): Operations | undefined;
  /** Takes messages by HTTP; none where there is no such source. */
  readonly post?: Post;
  /** Of the broker; none where there is no broker. */
  readonly clients?: ClientOperations;
  /** Reads users and rights again, and says what came of it. */
  reload?(): Promise<object>;
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

interface Route {
  readonly get?: (rest: string, query: URLSearchParams) => Answer | Promise<Answer>;
  readonly post?: (request: IncomingMessage, rest: string) => Promise<Answer>;
}

/**
 * Serves health, readiness, metrics, status, dead letters and replay by HTTP: bounded, and while it
 * listens on a loopback address only for requests that name one (against DNS rebinding). Only
 * programs on this machine can change anything. Throws `GW_LISTEN_IN_USE`, `GW_LISTEN_FORBIDDEN` or
 * `GW_LISTEN_FAILED`.
 */
export async function openAdmin(parts: AdminParts): Promise<Admin> {
  const routes = routesOf(parts);
  const answering = new Set<Promise<void>>();
  const closing = new AbortController();
  let mayAsk: (hostHeader: string | undefined) => boolean = () => false;
  const server = createServer(
    { maxHeaderSize: headerBytesMax, headersTimeout: headersMaxMs, requestTimeout: requestMaxMs },
    (request, response) => {
      const answered = answerOf(request, routes, mayAsk, parts)
        .then((answer) => send(request, response, answer, closing.signal))
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
      closing.abort(new GatewayEnds());
      closed ??= close(server, answering);
      return closed;
    },
  };
}

/** By path; one that ends in `/` stands for all that begin so, and `*` for one step. */
function routesOf(parts: AdminParts): ReadonlyMap<string, Route> {
  const { host } = parts.listen;
  const operations = (): Operations => {
    const running = parts.operations?.();
    if (running !== undefined) return running;
    throw new GatewayError('GW_ADMIN_REFUSED', 'it is starting. Try again in a moment.');
  };
  const changeLetters = (action: 'redrive' | 'drop'): Route => ({
    async post(request) {
      const refusal = refusalOf(request, host);
      if (refusal !== undefined) return refusal;
      const body = await readBody(request, selectionSchema);
      if ('refusal' in body) return body.refusal;
      return await lettersAction(operations().letters, action, body.value);
    },
  });
  const showLetters: Route = {
    get: (rest, query) => lettersPage(operations().letters, rest, query),
  };
  return new Map<string, Route>([
    ['/healthz', { get: () => healthOf(parts) }],
    [
      '/readyz',
      { get: () => (parts.ready() ? text(200, 'ok') : text(503, 'Sources are not open yet.')) },
    ],
    [
      '/metrics',
      {
        async get() {
          await parts.observe?.();
          const { registry } = parts.metrics;
          return { status: 200, type: registry.contentType, body: await registry.metrics() };
        },
      },
    ],
    ['/api/v1/status', { get: () => json(parts.status()) }],
    ['/api/v1/audit', { get: () => auditOf(parts) }],
    ...clientRoutes(parts),
    ...reloadRoutes(parts),
    ['/api/v1/letters', showLetters],
    ['/api/v1/letters/', showLetters],
    ['/api/v1/letters/redrive', changeLetters('redrive')],
    ['/api/v1/letters/drop', changeLetters('drop')],
    ...replayRoutes(operations, host),
  ]);
}

function replayRoutes(operations: () => Operations, host: string): [string, Route][] {
  const begin: Route['post'] = async (request) => {
    const refusal = refusalOf(request, host);
    if (refusal !== undefined) return refusal;
    const body = await readBody(request, replaySchema);
    return 'refusal' in body ? body.refusal : await replayAnswer(operations().replay, body.value);
  };
  const cancel: Route['post'] = async (request) => {
    const refusal = refusalOf(request, host);
    if (refusal !== undefined) return refusal;
    const body = await readBody(request, cancelSchema);
    if ('refusal' in body) return body.refusal;
    return json(shownReplay(await operations().replays.cancel(body.value.sink)));
  };
  const list: Route['get'] = () => json({ replays: operations().replays.list().map(shownReplay) });
  return [
    ['/api/v1/replay', { get: list, post: begin }],
    ['/api/v1/replay/cancel', { post: cancel }],
  ];
}

function clientRoutes({ clients, listen }: AdminParts): [string, Route][] {
  if (clients === undefined) return [];
  const post: Route['post'] = async (request, id) => {
    const refusal = refusalOf(request, listen.host);
    if (refusal !== undefined) return refusal;
    const body = await readBody(request, disconnectSchema);
    return 'refusal' in body ? body.refusal : disconnectAnswer(clients, id);
  };
  return [
    ['/api/v1/clients', { get: () => clientsPage(clients) }],
    ['/api/v1/clients/*/disconnect', { post }],
  ];
}

function reloadRoutes({ reload, listen }: AdminParts): [string, Route][] {
  if (reload === undefined) return [];
  const post: Route['post'] = async (request) => {
    const refusal = refusalOf(request, listen.host);
    if (refusal !== undefined) return refusal;
    const body = await readBody(request, reloadSchema);
    return 'refusal' in body ? body.refusal : json(await reload());
  };
  return [['/api/v1/reload', { post }]];
}
/** A POST to reload says nothing more. */
const reloadSchema = z.strictObject({});

function auditOf(parts: AdminParts): Answer {
  const audit = parts.audit?.();
  return audit === undefined ? text(503, 'The gateway is starting.') : json(audit);
}

function healthOf(parts: AdminParts): Answer {
  const reason = parts.health();
  return reason === undefined ? text(200, 'ok') : text(503, reason);
}

async function answerOf(
  request: IncomingMessage,
  routes: ReadonlyMap<string, Route>,
  mayAsk: (hostHeader: string | undefined) => boolean,
  { logger, post }: AdminParts,
): Promise<Answer> {
  if (!mayAsk(request.headers.host)) {
    return text(421, 'This server answers to localhost only.', { connection: 'close' });
  }
  const [path, query = ''] = (request.url ?? '/').split('?', 2) as [string, string?];
  if (post !== undefined && request.method === 'POST' && path.startsWith(ingestPath)) {
    return closedAfter(await ingestAnswer(request, path, post));
  }
  const found = routeOf(path, routes);
  const isPost = request.method === 'POST' && found?.route.post !== undefined;
  if (!isPost && hasBody(request)) {
    return text(413, 'No body is wanted here.', { connection: 'close' });
  }
  if (found === undefined) return text(404, 'There is nothing here.');
  const { route, rest } = found;
  try {
    if (isPost) return closedAfter(await route.post!(request, rest));
    if (route.get !== undefined && (request.method === 'GET' || request.method === 'HEAD')) {
      return await route.get(rest, new URLSearchParams(query));
    }
  } catch (error) {
    const answer = answerOfError(error);
    if (answer !== undefined) return answer;
    logger.error({ address: path, error }, 'An admin page could not be made.');
    const words = 'This page could not be made; the log of the gateway says why.';
    return isPost ? failure(500, words) : text(500, words);
  }
  const allow = route.get === undefined ? 'POST' : 'GET, HEAD';
  return text(405, `Only ${allow.replace(', ', ' and ')} are possible here.`, { allow });
}

/** What was sent and not read must not be taken for the next request. */
function closedAfter(answer: Answer): Answer {
  if (answer.status < 400) return answer;
  return { ...answer, headers: { ...answer.headers, connection: 'close' } };
}

function routeOf(path: string, routes: ReadonlyMap<string, Route>) {
  const exact = routes.get(path);
  if (exact !== undefined) return path.endsWith('/') ? undefined : { route: exact, rest: '' };
  const slash = path.lastIndexOf('/');
  const below = routes.get(path.slice(0, slash + 1));
  if (below !== undefined) return { route: below, rest: path.slice(slash) };
  const [, before, step, behind] = /^(.*\/)([^/]+)(\/[^/]+)$/.exec(path) ?? [];
  const around = step === undefined ? undefined : routes.get(`${before}*${behind}`);
  return around === undefined ? undefined : { route: around, rest: step! };
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
