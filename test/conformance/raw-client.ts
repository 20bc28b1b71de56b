import { EventEmitter, once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';

export type Version = 3 | 4 | 5;
export type Received<T extends Packet['cmd'] = Packet['cmd']> = Extract<Packet, { cmd: T }> & {
  /** The whole packet as it came. */
  readonly bytes: Buffer;
};
export type ReceivedPublish = IPublishPacket & { readonly bytes: Buffer };

export interface PublishOptions {
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly id?: number;
  readonly properties?: object;
}

export interface Filter {
  readonly topic: string;
  readonly qos?: 0 | 1 | 2;
  readonly nl?: boolean;
  readonly rap?: boolean;
  readonly rh?: 0 | 1 | 2;
}

const deadlineMs = 5000;

/** Speaks MQTT one packet at a time, right or wrong, and acknowledges nothing by itself. */
export class RawClient {
  readonly version: Version;
  readonly stream: Duplex;
  /** Everything that came and was not taken yet, in order. */
  readonly pending: Received[] = [];
  isClosed = false;
  #unread: Buffer = Buffer.alloc(0);
  #lastId = 0;
  readonly #events = new EventEmitter();

  constructor(stream: Duplex, version: Version) {
    this.stream = stream;
    this.version = version;
    stream.on('data', (chunk: Buffer) => this.#arrived(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      this.isClosed = true;
      this.#events.emit('change');
    });
  }

  /** Bytes go out as they are; packets as mqtt-packet writes them. All in one piece. */
  send(...packets: readonly (object | Uint8Array)[]): void {
    this.stream.write(Buffer.concat(packets.map((each) => this.encode(each))));
  }

  encode(given: object | Uint8Array): Uint8Array {
    if (given instanceof Uint8Array) return given;
    return generate(given as Packet, { protocolVersion: this.version });
  }

  /** The first packet of that type which was not taken yet; waits for it. */
  async take<T extends Packet['cmd']>(cmd: T): Promise<Received<T>> {
    const found = await this.#until(() => this.pending.find((each) => each.cmd === cmd), cmd);
    this.pending.splice(this.pending.indexOf(found), 1);
    return found as Received<T>;
  }

  /** The next packet; throws unless it is of that type. */
  async next<T extends Packet['cmd']>(cmd: T): Promise<Received<T>> {
    const found = await this.#until(() => this.pending[0], cmd);
    if (found.cmd !== cmd) throw new Error(`expected ${cmd}, but ${said(found)} came`);
    this.pending.shift();
    return found as Received<T>;
  }

  /** Resolves when the broker has closed the connection. */
  async closed(): Promise<void> {
    await this.#until(() => this.isClosed || undefined, 'end');
  }

  /** The broker closes the connection, and with MQTT 5 says why (one of these); nothing else comes. */
  async refused(...reasons: readonly number[]): Promise<void> {
    if (this.version === 5) {
      const { reasonCode } = await this.next('disconnect');
      if (!reasons.includes(reasonCode!)) throw new Error(`reason ${reasonCode}, not ${reasons}`);
    }
    await this.closed();
    if (this.pending.length > 0) throw new Error(`more came: ${this.pending.map(said)}`);
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Publishes, and waits for every acknowledgement. Resolves with the last. */
  async publish(
    topic: string,
    payload: string | Buffer = 'x',
    options: PublishOptions = {},
  ): Promise<Received | undefined> {
    const { qos = 0, id = this.nextId() } = options;
    this.send(publishPacket(topic, payload, { ...options, id }));
    if (qos === 1) return this.#same(id, await this.take('puback'));
    if (qos === 0) return;
    this.#same(id, await this.take('pubrec'));
    this.send({ cmd: 'pubrel', messageId: id });
    return this.#same(id, await this.take('pubcomp'));
  }

  /** Resolves with the codes of SUBACK. */
  async subscribe(
    filters: string | Filter | readonly Filter[],
    qosOrProperties: 0 | 1 | 2 | object = 0,
  ): Promise<number[]> {
    const qos = typeof qosOrProperties === 'number' ? qosOrProperties : 0;
    const list = typeof filters === 'string' ? [{ topic: filters, qos }] : [filters].flat();
    const messageId = this.nextId();
    this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: list.map((each) => ({ qos: 0, nl: false, rap: false, rh: 0, ...each })),
      ...(typeof qosOrProperties === 'object' ? { properties: qosOrProperties } : {}),
    });
    const suback = this.#same(messageId, await this.take('suback'));
    return (suback as Received<'suback'>).granted as number[];
  }

  async unsubscribe(...filters: readonly string[]): Promise<Received<'unsuback'>> {
    const messageId = this.nextId();
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions: filters });
    return this.#same(messageId, await this.take('unsuback')) as Received<'unsuback'>;
  }

  /** Takes the next PUBLISH and answers it as its QoS asks. */
  async receive(): Promise<ReceivedPublish> {
    const found = await this.take('publish');
    const { messageId } = found;
    if (found.qos === 1) this.send({ cmd: 'puback', messageId });
    if (found.qos === 2) {
      this.send({ cmd: 'pubrec', messageId });
      await this.take('pubrel');
      this.send({ cmd: 'pubcomp', messageId });
    }
    return found;
  }

  /** DISCONNECT, and waits for the end of the connection. */
  async disconnect(more: object = {}): Promise<void> {
    this.send({ cmd: 'disconnect', ...more });
    await this.closed();
  }

  /** The connection breaks, as when a cable is pulled: nothing is said. */
  async vanish(): Promise<void> {
    this.stream.destroy();
    if (!this.isClosed) await once(this.stream, 'close');
  }

  #same<T extends Received>(id: number, found: T): T {
    if (found.messageId !== id) throw new Error(`${said(found)} instead of ${id}`);
    return found;
  }

  #arrived(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    for (let size = this.#size(); size > 0; size = this.#size()) {
      const bytes = this.#unread.subarray(0, size);
      this.#unread = this.#unread.subarray(size);
      const reader = parser({ protocolVersion: this.version } as never);
      reader.on('packet', (found) => this.pending.push(Object.assign(found, { bytes })));
      reader.on('error', (error) => {
        throw new Error(`The broker sent ${bytes.toString('hex')}: ${error.message}`);
      });
      reader.parse(bytes);
    }
    this.#events.emit('change');
  }

  /** Of the packet that has arrived; 0 when it is not whole. */
  #size(): number {
    let length = 0;
    for (let at = 1; at < this.#unread.length; at++) {
      length += (this.#unread[at]! & 0x7f) * 128 ** (at - 1);
      if (this.#unread[at]! < 0x80) {
        return at + 1 + length <= this.#unread.length ? at + 1 + length : 0;
      }
    }
    return 0;
  }

  async #until<T>(probe: () => T | undefined, what: string): Promise<T> {
    const late = AbortSignal.timeout(deadlineMs);
    for (;;) {
      const found = probe();
      if (found !== undefined) return found;
      if (this.isClosed || late.aborted) {
        const had = this.pending.map(said).join(', ') || 'nothing';
        throw new Error(`no ${what}, but ${had}${this.isClosed ? ', then the end' : ''}`);
      }
      await once(this.#events, 'change', { signal: late }).catch(() => {});
    }
  }
}

function said(packet: Received): string {
  return `${packet.cmd} ${packet.messageId ?? ''} ${packet.bytes.toString('hex').slice(0, 40)}`;
}

export function publishPacket(topic: string, payload: string | Buffer, options: PublishOptions) {
  const { qos = 0, retain = false, dup = false, id, properties } = options;
  return {
    ...{ cmd: 'publish', topic, payload, qos, retain, dup },
    ...(qos === 0 ? {} : { messageId: id }),
    ...(properties === undefined ? {} : { properties }),
  };
}

/** A connection on which nothing has been said. */
export async function openRawClient(port: number, version: Version): Promise<RawClient> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return new RawClient(socket, version);
}

export interface ConnectOptions {
  readonly id?: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: object;
  readonly username?: string;
  readonly password?: string;
  readonly properties?: object;
}

export function connectPacket(version: Version, options: ConnectOptions = {}): object {
  const { id = 'client', clean = true, keepalive = 0, password, ...more } = options;
  return {
    ...{ cmd: 'connect', protocolId: version === 3 ? 'MQIsdp' : 'MQTT' },
    ...{ protocolVersion: version, clientId: id, clean, keepalive, ...more },
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
  };
}
