import { EventEmitter } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { Bounds } from '../../src/broker/bounds.ts';
import { brokerOptions } from '../../src/broker/options.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { createMetrics, type Metrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import {
  type AuthFileContents,
  type BrokerSource,
  createBrokerSource,
} from '../../src/source/mqtt-broker.ts';
import type { Ingest, Message } from '../../src/source/source.ts';
import { eventually } from '../services/child.ts';

export interface Said {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface TestBroker {
  readonly source: BrokerSource;
  readonly port: number;
  readonly url: string;
  /** Everything that was ingested, in order. */
  readonly messages: Message[];
  readonly said: Said[];
  readonly metrics: Metrics;
  /** Of `tidegate_broker_refused_total` and `tidegate_broker_dropped_total`, by reason. */
  count(what: 'brokerRefused' | 'brokerDropped', reason: string): Promise<number>;
  /** Ends it, and fails if it ended with an error. */
  stop(): Promise<void>;
}

export interface TestBrokerOptions {
  readonly options?: Record<string, unknown>;
  readonly bounds?: Partial<Bounds>;
  readonly clock?: Clock;
  readonly ingest?: Ingest;
  readonly authFiles?: AuthFileContents;
  /** The folder that secrets are relative to. */
  readonly folder?: string;
  /** What `tidegate/status` says of the gateway. */
  readonly status?: Readonly<Record<string, unknown>>;
}

const open: { stop(): Promise<void> }[] = [];

/** Ends whatever the test left open. For `afterEach`. */
export async function stopAll(): Promise<void> {
  for (const { stop } of open.splice(0)) await stop();
}

export async function openTestBroker(given: TestBrokerOptions = {}): Promise<TestBroker> {
  const said: Said[] = [];
  const say = (level: Said['level']) => (fields: Said['fields'], message: string) => {
    said.push({ level, fields, message });
  };
  const logger: Logger = {
    error: say('error'),
    warn: say('warn'),
    info: say('info'),
    debug: say('debug'),
  };
  const metrics = createMetrics();
  const source = createBrokerSource(
    brokerOptions.parse({ listeners: [{ port: 0 }], ...given.options }),
    {
      gateway: 'greenhouse-pi',
      version: '1.2.3',
      clock: given.clock ?? createSystemClock(),
      random: seededRandom(7),
      logger,
      metrics,
      secrets: openSecrets(given.folder ?? '.'),
      ...(given.bounds === undefined ? {} : { bounds: given.bounds }),
      ...(given.authFiles === undefined ? {} : { authFiles: given.authFiles }),
      ...(given.status === undefined ? {} : { status: given.status }),
    },
  );
  const messages: Message[] = [];
  const ingest: Ingest =
    given.ingest ??
    (async (batch) => {
      messages.push(...batch.map(copyOf));
    });
  const ending = new AbortController();
  let ended!: Promise<void>;
  await new Promise<void>((resolve, reject) => {
    ended = source.run(ingest, ending.signal, resolve);
    ended.catch(reject);
  });
  const broker: TestBroker = {
    source,
    port: source.addresses[0]!.port,
    url: `mqtt://127.0.0.1:${source.addresses[0]!.port}`,
    messages,
    said,
    metrics,
    async count(what, reason) {
      const { values } = await metrics[what].get();
      const found = values.filter(({ labels }) => labels.reason === reason);
      return found.reduce((sum, { value }) => sum + value, 0);
    },
    async stop() {
      ending.abort(new Error('The test is over.'));
      await ended;
    },
  };
  open.push(broker);
  return broker;
}

function copyOf(message: Message): Message {
  return { ...message, payload: Buffer.from(message.payload) };
}

/** An ingest that resolves only when it is told to. */
export function createHeldIngest() {
  const messages: Message[] = [];
  let waiting: { resolve(): void; reject(error: Error): void }[] = [];
  const settle = (act: (waiter: (typeof waiting)[number]) => void): void => {
    const now = waiting;
    waiting = [];
    now.forEach(act);
  };
  return {
    messages,
    ingest: (async (batch) => {
      messages.push(...batch.map(copyOf));
      await new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
    }) satisfies Ingest,
    /** Everything handed in so far is safe. */
    release: () => settle((waiter) => waiter.resolve()),
    /** Everything handed in so far will never be. */
    refuse: () => settle((waiter) => waiter.reject(new Error('the log has failed'))),
  };
}

/** A client that speaks MQTT one packet at a time, right or wrong. */
export interface RawClient {
  readonly socket: Socket;
  readonly received: Packet[];
  /** Whether the broker has closed the connection. */
  readonly closed: boolean;
  send(...packets: (Packet | Uint8Array)[]): void;
  /** Waits for a packet of that type that has not been waited for yet. */
  next<T extends Packet['cmd']>(cmd: T): Promise<Extract<Packet, { cmd: T }>>;
  gone(deadlineMs?: number): Promise<void>;
  end(): void;
}

export async function openRawClient(port: number, version: 3 | 4 | 5 = 4): Promise<RawClient> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const received: Packet[] = [];
  const taken = new WeakSet<Packet>();
  const reader = parser({ protocolVersion: version } as never);
  const arrivals = new EventEmitter();
  reader.on('packet', (packet) => {
    received.push(packet);
    arrivals.emit('packet');
  });
  reader.on('error', (error) => received.push({ cmd: 'disconnect', error } as never));
  socket.on('data', (chunk) => reader.parse(chunk));
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
    arrivals.emit('packet');
  });
  const client: RawClient = {
    socket,
    received,
    get closed() {
      return closed;
    },
    send(...packets) {
      const bytes = packets.map((packet) =>
        packet instanceof Uint8Array ? packet : generate(packet, { protocolVersion: version }),
      );
      socket.write(Buffer.concat(bytes));
    },
    next: async (cmd) => {
      const deadline = performance.now() + 5000;
      for (;;) {
        const found = received.find((packet) => packet.cmd === cmd && !taken.has(packet));
        if (found !== undefined) {
          taken.add(found);
          return found as never;
        }
        const leftMs = deadline - performance.now();
        if (leftMs <= 0 || closed) {
          throw new Error(`no ${cmd} came; got ${received.map((packet) => packet.cmd).join()}`);
        }
        await within(arrivals, leftMs);
      }
    },
    gone: async (deadlineMs = 5000) =>
      await eventually(() => {
        if (!closed) throw new Error('the connection is still open');
      }, deadlineMs),
    end: () => void socket.destroy(),
  };
  open.unshift({ stop: async () => client.end() });
  return client;
}

export interface ConnectOptions {
  readonly id?: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: object;
  readonly properties?: object;
}

/** Resolves with the next packet, or when the time is over. */
async function within(arrivals: EventEmitter, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      arrivals.off('packet', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    arrivals.on('packet', done);
  });
}

export function connectPacket(version: 3 | 4 | 5, options: ConnectOptions = {}): Packet {
  const { id = 'device', clean = true, keepalive = 0, will, properties } = options;
  return {
    ...{ cmd: 'connect', protocolId: version === 3 ? 'MQIsdp' : 'MQTT' },
    ...{ protocolVersion: version, clientId: id, clean, keepalive },
    ...(will === undefined ? {} : { will }),
    ...(properties === undefined ? {} : { properties }),
  } as Packet;
}

/** A raw client that is connected. */
export async function connectRaw(
  port: number,
  version: 3 | 4 | 5 = 4,
  options: ConnectOptions = {},
): Promise<RawClient> {
  const client = await openRawClient(port, version);
  client.send(connectPacket(version, options));
  const { returnCode, reasonCode } = await client.next('connack');
  const code = version === 5 ? reasonCode : returnCode;
  if (code !== 0) throw new Error(`the broker refused the connection: ${code}`);
  return client;
}

export function publishPacket(
  topic: string,
  payload: string | Buffer,
  qos: 0 | 1 | 2 = 0,
  messageId = 1,
  more: object = {},
): Packet {
  const id = qos === 0 ? {} : { messageId };
  return {
    ...{ cmd: 'publish', topic, payload, qos, retain: false, dup: false },
    ...id,
    ...more,
  } as Packet;
}

/** The clock of the machine, so many times as fast. */
export function createFastClock(times: number): Clock {
  const clock = createSystemClock();
  return {
    ...clock,
    monotonic: () => clock.monotonic() * times,
    sleep: async (ms, signal) => await clock.sleep(ms / times, signal),
  };
}

/** A client that goes on working: fails if it ever waits longer than `deadlineMs` for an answer. */
export async function keepsWorking(port: number, deadlineMs: number) {
  const client = await connectRaw(port, 4, { id: 'honest' });
  let worst = 0;
  let over = false;
  const work = (async () => {
    for (let id = 1; !over; id = 1 + (id % 65_535)) {
      const start = performance.now();
      client.send(publishPacket('honest/a', `${id}`, 1, id));
      await client.next('puback');
      worst = Math.max(worst, performance.now() - start);
    }
  })();
  return {
    /** Resolves when it has worked all the while. */
    async check(): Promise<void> {
      over = true;
      await work;
      if (worst > deadlineMs) throw new Error(`an answer took ${worst.toFixed(0)} ms`);
    },
  };
}
