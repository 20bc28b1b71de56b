import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Secrets } from '../platform/secrets.ts';
import type { ListenerOptions } from './options.ts';

export interface ListenerAddress {
  readonly host: string;
  readonly port: number;
  readonly transport: 'tcp';
  readonly tls: boolean;
}

export interface Listener {
  readonly address: ListenerAddress;
  /** Takes no more connections; those that are open stay. */
  close(): void;
}

export interface ListenerParts {
  readonly secrets: Secrets;
  readonly handshakeMaxMs: number;
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
  const { host, port } = options;
  const server = await createListener(options, parts);
  server.prependListener('connection', (socket: Socket) => {
    socket.on('error', ignore);
    if (!parts.admit(socket)) socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(options, error)));
    server.listen({ host, port, backlog: 511 }, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', (error: NodeJS.ErrnoException) => parts.failed(listenError(options, error)));
  const bound = server.address();
  return {
    address: {
      host,
      port: typeof bound === 'object' && bound !== null ? bound.port : port,
      transport: options.transport,
      tls: options.tls !== undefined,
    },
    close: () => void server.close(),
  };
}

// A connection that breaks is closed, which is all there is to do about it.
const ignore = (): void => {};

async function createListener(options: ListenerOptions, parts: ListenerParts): Promise<Server> {
  const { tls } = options;
  const connected = (socket: Socket): void => {
    if (socket.destroyed) return;
    socket.on('error', ignore);
    parts.connected(socket);
  };
  if (tls === undefined) return createServer({ noDelay: true }, connected);
  const cert = await parts.secrets.pem(tls.cert);
  const key = await parts.secrets.pem(tls.key);
  const ca = tls.clientCa === undefined ? undefined : await parts.secrets.pem(tls.clientCa);
  const asksClients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  try {
    const server = createTlsServer({
      ...{ cert, key, ...asksClients },
      minVersion: 'TLSv1.2',
      handshakeTimeout: parts.handshakeMaxMs,
      noDelay: true,
    });
    server.on('secureConnection', connected);
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  } catch (error) {
    throw new GatewayError(
      'GW_LISTEN_FAILED',
      `${nameOf(options)}: TLS: ${messageOf(error)}`,
      error,
    );
  }
}

function listenError(options: ListenerOptions, error: NodeJS.ErrnoException): GatewayError {
  const name = nameOf(options);
  if (error.code === 'EADDRINUSE') return new GatewayError('GW_LISTEN_IN_USE', name, error);
  if (error.code === 'EACCES') return new GatewayError('GW_LISTEN_FORBIDDEN', name, error);
  return new GatewayError('GW_LISTEN_FAILED', `${name}: ${messageOf(error)}`, error);
}

function nameOf({ host, port }: ListenerOptions): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
