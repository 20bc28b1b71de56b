import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'vitest';
import type { Message } from '../../src/source/source.ts';
import { eventually } from '../services/child.ts';
import { createForwardClock, type ForwardClock } from './clock.ts';
import { type GatewayOptions, startBrokerGateway } from './gateway.ts';
import {
  type ConnectOptions,
  connectPacket,
  openRawClient,
  type RawClient,
  type Received,
  type ReceivedPublish,
  type Version,
} from './raw-client.ts';

/** A broker of its own for one test in one version of MQTT. */
export interface World {
  /** 4 is MQTT 3.1.1. */
  readonly version: 4 | 5;
  readonly clock: ForwardClock;
  /** What was ingested, in order. */
  readonly messages: readonly Message[];
  /** The port of a listener: the first, unless told otherwise. */
  port(listener?: number): number;
  /** The gateway is stopped, and starts again from what is on its disk. */
  restart(): Promise<void>;
  /** A connection on which nothing has been said. */
  open(version?: Version): Promise<RawClient>;
  /** A client that is connected, as `client` and with a clean session unless told otherwise. */
  connect(options?: ConnectOptions): Promise<RawClient & { readonly connack: Received<'connack'> }>;
  /** A client whose session lasts for an hour after its connection (3.1.1: for ever). */
  connectKept(id?: string, properties?: object): ReturnType<World['connect']>;
  /** Resolves when so many clients are connected. */
  clientsAre(count: number): Promise<void>;
  /** What `client` was sent and has not taken, once everything sent so far has reached it. */
  deliveries(client: RawClient): Promise<ReceivedPublish[]>;
}

/** Ends of tests are not hurried by the time-outs of the broker. */
const testMs = 15_000;

/**
 * A test of numbered statements: `MQTT-…` of 3.1.1, `MQTT5-…` of 5.0. It runs once for each version
 * that has one of them.
 */
export function promise(
  ids: string,
  title: string,
  body: (world: World) => Promise<void>,
  options: GatewayOptions = {},
): void {
  const all = ids.split(' ');
  const versions = [
    ...(all.some((id) => id.startsWith('MQTT-')) ? [4 as const] : []),
    ...(all.some((id) => id.startsWith('MQTT5-')) ? [5 as const] : []),
  ];
  const name = `${all.map((id) => `[${id}]`).join(' ')} ${title}`;
  it.concurrent(
    name,
    async () => {
      for (const version of versions) {
        try {
          await inWorld(version, body, options);
        } catch (error) {
          if (error instanceof Error) error.message = `MQTT version ${version}: ${error.message}`;
          throw error;
        }
      }
    },
    testMs,
  );
}

async function inWorld(
  version: 4 | 5,
  body: (world: World) => Promise<void>,
  options: GatewayOptions,
): Promise<void> {
  const clients: RawClient[] = [];
  const messages: Message[] = [];
  const clock = createForwardClock();
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-conformance-'));
  const start = async () => await startBrokerGateway(folder, clock, options, messages);
  let gateway = await start();
  const port = (listener = 0) => gateway.source.addresses[listener]!.port;
  let fences = 0;
  const open = async (as: Version = version) => {
    const client = await openRawClient(port(), as);
    clients.push(client);
    return client;
  };
  const connect: World['connect'] = async (given = {}) => {
    const client = await open();
    client.send(connectPacket(version, given));
    const connack = await client.next('connack');
    const code = version === 5 ? connack.reasonCode : connack.returnCode;
    if (code !== 0) throw new Error(`the broker refused the connection: ${code}`);
    return Object.assign(client, { connack });
  };
  try {
    await body({
      ...{ version, clock, messages, port, open, connect },
      async restart() {
        await gateway.stop();
        gateway = await start();
      },
      async connectKept(id = 'kept', properties = {}) {
        if (version === 4) return await connect({ id, clean: false });
        const lasting = { sessionExpiryInterval: 3600, ...properties };
        return await connect({ id, clean: false, properties: lasting });
      },
      clientsAre: async (count) =>
        await eventually(() => {
          const { clients: connected } = gateway.source;
          if (connected !== count) throw new Error(`${connected} clients`);
        }),
      async deliveries(client) {
        fences += 1;
        const topic = `fence/${fences}`;
        await client.subscribe(topic);
        const other = await connect({ id: topic });
        await other.publish(topic);
        const before: ReceivedPublish[] = [];
        for (;;) {
          const found = await client.take('publish');
          if (found.topic === topic) break;
          before.push(found);
        }
        await other.disconnect();
        await client.unsubscribe(topic);
        return before;
      },
    });
  } finally {
    for (const client of clients) client.stream.destroy();
    await gateway.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
