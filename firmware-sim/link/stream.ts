import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { platform } from 'node:os';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';

export interface TlsOptions {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly rejectUnauthorized?: boolean;
}

export interface StreamEvents {
  opened(): void;
  /** The bytes are only valid during the call. */
  data(bytes: Buffer): void;
  closed(error: Error | undefined): void;
}

/** Bytes in order, there and back. */
export interface ByteStream {
  write(bytes: Uint8Array): void;
  /** Takes nothing more from the network until it is resumed. */
  pause(): void;
  resume(): void;
  /** Ends it once all is written. */
  end(): void;
  destroy(): void;
}

export type OpenStream = (events: StreamEvents) => ByteStream;

/** `mqtt://`, `mqtts://`, `ws://` or `wss://`; throws for any other address. */
export function streamsTo(url: string, tls: TlsOptions): OpenStream {
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  switch (protocol) {
    case 'mqtt:':
    case 'tcp:':
      return (events) => openPlain(host, Number(port || 1883), events);
    case 'mqtts:':
      return (events) => openTls(host, Number(port || 8883), tls, events);
    case 'ws:':
    case 'wss:': {
      const path = pathname === '/' ? '/mqtt' : pathname;
      const address = `${protocol}//${hostname}${port === '' ? '' : `:${port}`}${path}${search}`;
      return (events) => openWebSocket(address, tls, events);
    }
    default:
      throw new Error(`${url} is not an address such as mqtt://127.0.0.1:1883`);
  }
}

/** Into this all plain connections read, one after the other: ten thousand buffers would be 640 MB. */
const shared = Buffer.allocUnsafeSlow(65_536);
/** Elsewhere a read is under way while others are. */
const canShare = platform() !== 'win32';

function openPlain(host: string, port: number, events: StreamEvents): ByteStream {
  const onread = {
    buffer: shared,
    callback(length: number) {
      events.data(shared.subarray(0, length));
      return true;
    },
  };
  const socket = connectPlain({ host, port, noDelay: true, ...(canShare ? { onread } : {}) });
  if (!canShare) socket.on('data', (bytes: Buffer) => events.data(bytes));
  socket.once('connect', events.opened);
  return overSocket(socket, events);
}

function openTls(host: string, port: number, tls: TlsOptions, events: StreamEvents): ByteStream {
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = connectTls({ host, port, ...servername, ...tls });
  socket.on('data', (bytes: Buffer) => events.data(bytes));
  socket.once('secureConnect', events.opened);
  return overSocket(socket, events);
}

function overSocket(socket: Socket, events: StreamEvents): ByteStream {
  let problem: Error | undefined;
  socket.once('error', (error) => {
    problem = error;
  });
  socket.once('close', () => events.closed(problem));
  return {
    write: (bytes) => void socket.write(bytes),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

function openWebSocket(address: string, tls: TlsOptions, events: StreamEvents): ByteStream {
  const socket = new WebSocket(address, 'mqtt', { perMessageDeflate: false, ...tls });
  let problem: Error | undefined;
  socket.once('open', events.opened);
  socket.on('message', (bytes: Buffer) => events.data(bytes));
  socket.once('error', (error) => {
    problem = error;
  });
  socket.once('close', () => events.closed(problem));
  return {
    write(bytes) {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.close(),
    destroy: () => socket.terminate(),
  };
}
