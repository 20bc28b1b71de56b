import { createServer, type Server, type Socket } from 'node:net';
import { Aedes } from 'aedes';

/** What a device said, as the broker heard it. */
export interface Heard {
  readonly client: string;
  readonly topic: string;
  readonly boot: number;
  readonly seq: number;
}

/** A real broker in this process, with a mood, that can die and come back on the same port. */
export interface Broker {
  readonly url: string;
  /** Everything that was published, whether or not it was acknowledged, in order. */
  readonly heard: readonly Heard[];
  readonly connections: number;
  /** The most that were open at once. */
  readonly mostConnections: number;
  /** While true, nothing is acknowledged. */
  holding: boolean;
  /** Cuts every connection without a word and refuses new ones. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

export async function startBroker(port = 0): Promise<Broker> {
  const heard: Heard[] = [];
  const sockets = new Set<Socket>();
  let aedes: Aedes | undefined;
  let server: Server | undefined;
  let listening = port;
  let mostConnections = 0;
  const broker = {
    get url() {
      return `mqtt://127.0.0.1:${listening}`;
    },
    heard,
    get connections() {
      return sockets.size;
    },
    get mostConnections() {
      return mostConnections;
    },
    holding: false,
    async start() {
      aedes = await Aedes.createBroker();
      aedes.authorizePublish = (client, packet, done) => {
        const { boot, seq } = namesIn(packet.payload.toString());
        heard.push({ client: client?.id ?? '', topic: packet.topic, boot, seq });
        if (!broker.holding) done(null);
      };
      const { handle } = aedes;
      server = createServer((socket) => {
        sockets.add(socket);
        mostConnections = Math.max(mostConnections, sockets.size);
        socket.on('close', () => sockets.delete(socket));
        handle(socket);
      });
      const opened = server;
      await new Promise<void>((resolve) => opened.listen(listening, '127.0.0.1', resolve));
      const address = opened.address();
      if (typeof address === 'object' && address) listening = address.port;
    },
    async kill() {
      for (const socket of sockets) socket.destroy();
      const [dying, closing] = [aedes, server];
      await new Promise<void>((resolve) => closing?.close(() => resolve()) ?? resolve());
      await new Promise<void>((resolve) => dying?.close(() => resolve()) ?? resolve());
    },
  };
  await broker.start();
  return broker;
}

/** Which message it is, where it says so. */
function namesIn(payload: string): { boot: number; seq: number } {
  try {
    const { boot = 0, seq = 0 } = JSON.parse(payload);
    return { boot, seq };
  } catch {
    return { boot: 0, seq: 0 };
  }
}
