import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Unpacked. */
  readonly text: string;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
}

/** An HTTP server on a free loopback port that keeps what it is sent. */
export interface HttpReceiver {
  readonly url: string;
  /** Posts, in order. */
  readonly requests: ReceivedRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  /** What it answers to a post. */
  answer: (request: ReceivedRequest) => Answer;
  /** While it is set, it takes requests and answers nothing. */
  isHanging: boolean;
  /** Ends every connection and accepts no more, until `back`. */
  gone(): Promise<void>;
  back(): Promise<void>;
}

export async function startHttpReceiver(): Promise<HttpReceiver> {
  let server: Server;
  let port = 0;
  let connections = 0;
  const sockets = new Set<Socket>();
  const listen = async (): Promise<void> => {
    server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const { method = '', url = '', headers } = incoming;
        const bytes = Buffer.concat(chunks);
        const isPacked = headers['content-encoding'] === 'gzip' && bytes.length > 0;
        const text = (isPacked ? gunzipSync(bytes) : bytes).toString();
        respond({ method, url, headers, text }, response);
      });
    });
    server.on('connection', (socket) => {
      connections++;
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    port = (server.address() as AddressInfo).port;
  };
  const respond = (request: ReceivedRequest, response: ServerResponse): void => {
    if (receiver.isHanging) return;
    const isPost = request.method === 'POST';
    const { status, headers = {}, text = '' } = isPost ? receiver.answer(request) : { status: 204 };
    if (isPost) receiver.requests.push(request);
    response.writeHead(status, headers).end(text);
  };
  const receiver: HttpReceiver = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    requests: [],
    get connections() {
      return connections;
    },
    answer: () => ({ status: 204 }),
    isHanging: false,
    async gone() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    back: listen,
  };
  await listen();
  return receiver;
}
