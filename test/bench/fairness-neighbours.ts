/** The bad neighbours of the fairness benchmark, each a process of its own: <name> <port>. */
import { connect as connectTcp, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { generate, type Packet, parser } from 'mqtt-packet';

export const neighbours = [
  ['silent', 'a reader of # that reads nothing'],
  ['storm', '1,000 clients that reconnect all the time'],
  ['flood', 'a publisher at line rate'],
  ['hash', '100 subscriptions to #'],
  ['retained', '50,000 retained messages, read again'],
  ['filters', '10,000 filters'],
  ['keeping', 'retained messages at line rate'],
] as const;
export type Neighbour = (typeof neighbours)[number][0] | 'idle';

export interface BenchClient {
  readonly socket: Socket;
  publish(topic: string, payload: string, qos?: 0 | 1, id?: number, retain?: boolean): boolean;
  subscribe(filters: readonly string[]): Promise<void>;
}

/** Connects with MQTT 3.1.1 and a clean session; `heard` gets every packet. */
export async function openClient(
  port: number,
  clientId: string,
  heard: (packet: Packet) => void = () => {},
): Promise<BenchClient> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  const reader = parser();
  let answered: (() => void) | undefined;
  const answer = () =>
    new Promise<void>((resolve) => {
      answered = resolve;
    });
  reader.on('packet', (packet: Packet) => {
    if (packet.cmd === 'connack' || packet.cmd === 'suback') answered?.();
    heard(packet);
  });
  socket.on('data', (chunk) => reader.parse(chunk));
  socket.on('error', () => {});
  socket.write(
    generate({
      cmd: 'connect',
      clientId,
      clean: true,
      keepalive: 0,
      protocolId: 'MQTT',
      protocolVersion: 4,
    }),
  );
  const accepted = answer();
  await Promise.race([accepted, new Promise((resolve) => socket.once('close', resolve))]);
  return {
    socket,
    publish(topic, payload, qos = 0, messageId = 1, retain = false) {
      const packet = {
        cmd: 'publish',
        topic,
        payload,
        qos,
        messageId,
        retain,
        dup: false,
      } as const;
      return socket.write(generate(packet));
    },
    async subscribe(filters) {
      const subscriptions = filters.map((topic) => ({ topic, qos: 0 as const }));
      const done = answer();
      socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
      await done;
    },
  };
}

const payload = JSON.stringify({ temperature: 21.53, note: 'x'.repeat(100) });
const retainedMessages = 50_000;
const drained = (socket: Socket) => new Promise((resolve) => socket.once('drain', resolve));

/** Publishes so many messages a second, spread evenly. */
function trickle(client: BenchClient, perSecond: number): void {
  setInterval(() => {
    for (let count = 0; count < perSecond / 50; count++) client.publish('noise/a/b', payload);
  }, 20);
}

async function flood(client: BenchClient, topic: () => string, retain: boolean): Promise<void> {
  for (;;) {
    for (let count = 0; count < 100; count++) client.publish(topic(), payload, 0, 1, retain);
    if (client.socket.writableNeedDrain) await drained(client.socket);
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

async function inParts(count: number, size: number, act: (index: number) => Promise<unknown>) {
  for (let from = 0; from < count; from += size) {
    const part = Array.from({ length: Math.min(size, count - from) }, (_, at) => act(from + at));
    await Promise.all(part);
  }
}

const acts: Record<Neighbour, (port: number) => Promise<void>> = {
  async silent(port) {
    const reader = await openClient(port, 'silent');
    await reader.subscribe(['#']);
    reader.socket.pause();
    trickle(await openClient(port, 'silent-feeder'), 2000);
  },
  async storm(port) {
    const reconnect = async (index: number): Promise<void> => {
      for (;;) {
        const client = await openClient(port, `storm-${index}`);
        client.socket.destroy();
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    };
    for (let index = 0; index < 1000; index++) void reconnect(index);
  },
  async flood(port) {
    void flood(await openClient(port, 'flood'), () => 'noise/flood/climate', false);
  },
  async keeping(port) {
    let count = 0;
    const topic = (): string => {
      count = (count + 1) % retainedMessages;
      return `noise/keeping/${count}`;
    };
    void flood(await openClient(port, 'keeping'), topic, true);
  },
  async hash(port) {
    await inParts(100, 20, async (index) => {
      await (await openClient(port, `hash-${index}`)).subscribe(['#']);
    });
  },
  async retained(port) {
    let done = (): void => {};
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    const publisher = await openClient(port, 'retained', ({ cmd }) => {
      if (cmd === 'puback') done();
    });
    for (let index = 0; index < retainedMessages; index++) {
      const isLast = index === retainedMessages - 1;
      if (!publisher.publish(`noise/retained/${index}`, payload, isLast ? 1 : 0, 1, true)) {
        await drained(publisher.socket);
      }
    }
    // What the broker has not read yet is another neighbour's doing.
    await all;
    const read = async (): Promise<void> => {
      for (;;) {
        const client = await openClient(port, 'retained-reader');
        await client.subscribe(['noise/retained/#']);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        client.socket.destroy();
      }
    };
    void read();
  },
  async filters(port) {
    await inParts(10, 5, async (index) => {
      const client = await openClient(port, `filters-${index}`);
      for (let from = 0; from < 1000; from += 100) {
        const names = Array.from({ length: 100 }, (_, at) => `noise/+/${index}/${from + at}/#`);
        await client.subscribe(names);
      }
    });
    trickle(await openClient(port, 'filters-feeder'), 500);
  },
  async idle(port) {
    await inParts(5000, 200, async (index) => await openClient(port, `idle-${index}`));
  },
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await acts[process.argv[2] as Neighbour](Number(process.argv[3]));
  process.stdout.write('ready\n');
}
