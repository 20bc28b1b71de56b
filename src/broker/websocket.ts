import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';

export interface WebSocketParts {
  /** Undefined for plain connections. */
  readonly tls: TlsOptions | undefined;
  /** The only path that is answered; any when not given. */
  readonly urlPath: string | undefined;
  /** The largest message; one MQTT packet may span many, and one may hold many packets. */
  readonly messageBytes: number;
  /** Memory for messages that have begun and not ended, of all connections. */
  readonly unfinishedBytes: number;
  readonly handshakeMaxMs: number;
  /** A connection that is ready to talk MQTT. */
  connected(socket: Socket): void;
}

const headerBytesMax = 8 * 1024;
const keepAliveMs = 60_000;
/** Names of MQTT in WebSockets: that of the standard [MQTT-6.0.0-3], and of clients before it. */
const protocols = ['mqtt', 'mqttv3.1'] as const;

/**
 * An HTTP server that takes WebSockets with MQTT in them, and nothing else (OASIS MQTT 5.0, clause
 * 6). Does not listen yet.
 */
export function createWebSocketServer(parts: WebSocketParts): Server {
  const options = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: parts.handshakeMaxMs,
    requestTimeout: parts.handshakeMaxMs,
    connectionsCheckingInterval: Math.max(10, parts.handshakeMaxMs / 4),
    noDelay: true,
    // Of TCP: half-open connections end.
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  };
  const server =
    parts.tls === undefined
      ? createServer(options, refuse)
      : createTlsServer({ ...options, ...parts.tls }, refuse);
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Compression costs memory for every client, and lets few bytes become many.
    perMessageDeflate: false,
    maxPayload: parts.messageBytes,
    handleProtocols: (offered) => protocols.find((name) => offered.has(name)) ?? false,
  });
  const unfinished = { bytes: 0, max: parts.unfinishedBytes };
  server.on('upgrade', (request, socket, head) => {
    const carrier = socket as Socket;
    carrier.on('error', ignore);
    const status = refusalOf(request, parts.urlPath);
    if (status !== undefined) {
      carrier.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      parts.connected(new Channel(webSocket, carrier, unfinished) as unknown as Socket);
    });
  });
  return server;
}

const ignore = (): void => {};

function refuse(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { connection: 'close', upgrade: 'websocket' });
  response.end('This is an MQTT listener: connect with a WebSocket.\n');
}

/** The HTTP status that a request is refused with. */
function refusalOf(request: IncomingMessage, urlPath: string | undefined): number | undefined {
  const path = (request.url ?? '/').split('?', 1)[0];
  if (urlPath !== undefined && path !== urlPath) return 404;
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',');
  const isMqtt = offered.some((name) => protocols.some((known) => known === name.trim()));
  return isMqtt ? undefined : 400;
}

/**
 * The bytes in the messages of a WebSocket, in place of a socket. Messages begin and end where they
 * like [MQTT-6.0.0-2]; a text message closes the connection [MQTT-6.0.0-1].
 */
class Channel extends Duplex {
  /** The socket below. */
  readonly carrier: Socket;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localPort: number | undefined;
  readonly #webSocket: WebSocket;

  constructor(webSocket: WebSocket, carrier: Socket, unfinished: Unfinished) {
    super();
    this.#webSocket = webSocket;
    this.carrier = carrier;
    this.remoteAddress = carrier.remoteAddress;
    this.remotePort = carrier.remotePort;
    this.localPort = carrier.localPort;
    webSocket.binaryType = 'nodebuffer';
    webSocket.on('message', (bytes: Buffer, isBinary: boolean) => {
      if (!isBinary) webSocket.close(1003, 'MQTT is binary');
      else if (!this.push(bytes)) webSocket.pause();
    });
    webSocket.on('error', () => this.destroy());
    // What came before is still read.
    webSocket.on('close', () => {
      this.push(null);
      this.end();
    });
    countUnfinished(webSocket, carrier, unfinished);
  }

  get bytesRead(): number {
    return this.carrier.bytesRead;
  }

  get bytesWritten(): number {
    return this.carrier.bytesWritten;
  }

  override _read(): void {
    this.#webSocket.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) done();
    else this.#webSocket.send(bytes, { binary: true }, (error) => done(error ?? null));
  }

  override _writev(
    pieces: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(pieces.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: () => void): void {
    this.#webSocket.resume();
    this.#webSocket.close(1000);
    done();
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.#webSocket.terminate();
    done(null);
  }

  /** As of a socket: what was written leaves, then it closes. */
  destroySoon(): void {
    this.end();
  }
}

/** Header and mask of a ping (RFC 6455, clause 5.2). */
const controlBytes = 6;

interface Unfinished {
  bytes: number;
  readonly max: number;
}

/** Ends the connection that has so much of a message that all together have too much. */
function countUnfinished(webSocket: WebSocket, carrier: Socket, unfinished: Unfinished): void {
  let held = 0;
  const hold = (bytes: number): void => {
    unfinished.bytes += bytes - held;
    held = bytes;
  };
  carrier.prependListener('data', (chunk: Buffer) => {
    hold(held + chunk.length);
    if (unfinished.bytes > unfinished.max) webSocket.terminate();
  });
  webSocket.on('message', () => hold(0));
  // They may come amid a message, which they do not end.
  const control = (data: Buffer): void => hold(Math.max(0, held - data.length - controlBytes));
  webSocket.on('ping', control);
  webSocket.on('pong', control);
  webSocket.on('close', () => hold(0));
}
