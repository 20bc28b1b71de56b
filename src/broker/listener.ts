import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Secrets } from '../platform/secrets.ts';
import type { SocketFiles } from '../platform/socket-file.ts';
import type { ListenerOptions } from './options.ts';
import { createWebSocketServer } from './websocket.ts';

export interface ListenerAddress {
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** Of a unix socket, which has neither host nor port. */
  readonly path?: string;
  readonly transport: 'tcp' | 'websocket';
  readonly tls: boolean;
}

export interface Listener {
  readonly address: ListenerAddress;
  /** Takes no more connections; those that are open stay. */
  close(): void;
}

export interface ListenerParts {
  readonly secrets: Secrets;
  readonly socketFiles: SocketFiles;
  readonly handshakeMaxMs: number;
  /** The largest packet that clients may send here. */
  readonly packetBytes: number;
  /** Memory for WebSocket messages that have begun and not ended. */
  readonly unfinishedBytes: number;
  /** Every connection at once, before TLS; it is closed when this returns false. */
  admit(socket: Socket): boolean;
  /** A connection that is ready to talk MQTT. */
  connected(socket: Socket): void;
  /** The listener cannot go on. */
  failed(error: Error): void;
}

/**
 * Resolves when it takes connections. Throws GW_LISTEN_IN_USE, GW_LISTEN_FORBIDDEN or
 * GW_LISTEN_FAILED.
 */
export async function openListener(
  options: ListenerOptions,
  parts: ListenerParts,
): Promise<Listener> {
  const { host, port, path, mode = '0660' } = options;
  const server = await createListener(options, parts);
  server.prependListener('connection', (socket: Socket) => {
    socket.on('error', ignore);
    if (!parts.admit(socket)) socket.destroy();
  });
  try {
    if (path === undefined) await listen(server, { host, port, backlog: 511 });
    else {
      const full = await parts.socketFiles.prepare(path);
      await listen(server, { path: full, backlog: 511 });
      await parts.socketFiles.setMode(path, Number.parseInt(mode, 8));
    }
  } catch (error) {
    server.close();
    throw listenError(options, error as NodeJS.ErrnoException);
  }
  server.on('error', (error: NodeJS.ErrnoException) => parts.failed(listenError(options, error)));
  const bound = server.address();
  const { transport } = options;
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
  const place = path === undefined ? { host, port: boundPort } : { host: '', port: 0, path };
  return {
    address: { ...place, transport, tls: options.tls !== undefined },
    close: () => void server.close(),
  };
}

function listen(server: Server, where: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What is sent leaves at once; a far side that is gone without a word is noticed in a few minutes. */
const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

// A connection that breaks is closed, which is all there is to do about it.
const ignore = (): void => {};

async function createListener(options: ListenerOptions, parts: ListenerParts): Promise<Server> {
  const connected = (socket: Socket): void => {
    if (socket.destroyed) return;
    socket.on('error', ignore);
    parts.connected(socket);
  };
  const tls = await tlsOf(options, parts);
  try {
    if (options.transport === 'websocket') {
      const { urlPath } = options;
      const { handshakeMaxMs, packetBytes, unfinishedBytes } = parts;
      const messageBytes = Math.max(packetBytes, messageBytesMin);
      return createWebSocketServer({
        ...{ tls, urlPath, messageBytes, unfinishedBytes, handshakeMaxMs, connected },
      }).on('tlsClientError', closeSocket);
    }
    if (tls === undefined) return createServer({ ...tcp }, connected);
    const server = createTlsServer({ ...tls, ...tcp });
    server.on('secureConnection', connected);
    return server.on('tlsClientError', closeSocket);
  } catch (error) {
    throw new GatewayError(
      'GW_LISTEN_FAILED',
      `${listenerName(options, options.port)}: TLS: ${messageOf(error)}`,
      error,
    );
  }
}

/** Clients put several packets into one message. */
const messageBytesMin = 64 * 2 ** 10;

function closeSocket(_error: Error, socket: { destroy(): void }): void {
  socket.destroy();
}

async function tlsOf(
  { tls }: ListenerOptions,
  { secrets, handshakeMaxMs }: ListenerParts,
): Promise<TlsOptions | undefined> {
  if (tls === undefined) return undefined;
  const cert = await secrets.pem(tls.cert);
  const key = await secrets.pem(tls.key);
  const ca = tls.clientCa === undefined ? undefined : await secrets.pem(tls.clientCa);
  const asksClients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return {
    ...{ cert, key, ...asksClients },
    minVersion: 'TLSv1.2',
    handshakeTimeout: handshakeMaxMs,
  };
}

function listenError(options: ListenerOptions, error: NodeJS.ErrnoException): GatewayError {
  const name = listenerName(options, options.port);
  if (error.code === 'EADDRINUSE') return new GatewayError('GW_LISTEN_IN_USE', name, error);
  if (error.code === 'EACCES') return new GatewayError('GW_LISTEN_FORBIDDEN', name, error);
  return new GatewayError('GW_LISTEN_FAILED', `${name}: ${messageOf(error)}`, error);
}

/** `127.0.0.1:1883`, `[::1]:1883` or the path of a unix socket. */
export function listenerName(
  { host, path }: Pick<ListenerOptions, 'host' | 'path'>,
  port: number,
): string {
  if (path !== undefined) return path;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
