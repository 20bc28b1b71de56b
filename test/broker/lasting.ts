import { connect as connectTcp, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';

/** Where the broker is; it may be gone, and come back elsewhere. */
export type Place = () => number;

type Publish = Extract<Packet, { cmd: 'publish' }>;

/** A connection that is tried again until there is one, and is cut off without a word. */
class Line {
  readonly present: boolean;
  #socket: Socket;
  #isOpen = true;

  private constructor(socket: Socket, present: boolean) {
    this.#socket = socket;
    this.present = present;
    socket.on('close', () => {
      this.#isOpen = false;
    });
  }

  static async open(
    connect: Packet,
    version: 4 | 5,
    place: Place,
    take: (packet: Packet, line: Line) => void,
    isOver: () => boolean,
  ): Promise<Line | undefined> {
    while (!isOver()) {
      const port = place();
      const line = await Line.#try(connect, version, port, take).catch(() => undefined);
      // Who answered last may have been killed since.
      if (line !== undefined && place() === port) return line;
      line?.end(false, version);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return undefined;
  }

  static #try(
    connect: Packet,
    version: 4 | 5,
    port: number,
    take: (packet: Packet, line: Line) => void,
  ): Promise<Line> {
    const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
    const reader = parser({ protocolVersion: version } as never);
    return new Promise((resolve, reject) => {
      let line: Line | undefined;
      const tooLate = setTimeout(() => socket.destroy(), 5_000);
      socket.on('error', reject);
      socket.on('close', () => {
        clearTimeout(tooLate);
        reject(new Error('closed'));
      });
      socket.on('connect', () => socket.write(generate(connect, { protocolVersion: version })));
      socket.on('data', (bytes) => {
        if (!socket.destroyed) reader.parse(bytes);
      });
      reader.on('error', (error) => socket.destroy(error));
      reader.on('packet', (packet) => {
        // What comes on a connection that has been given up was never seen.
        if (socket.destroyed || line?.isOpen === false) return;
        if (packet.cmd !== 'connack') return take(packet, line!);
        clearTimeout(tooLate);
        if ((packet.returnCode ?? packet.reasonCode) !== 0) return void socket.destroy();
        line = new Line(socket, packet.sessionPresent);
        resolve(line);
      });
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(packet: Packet, version: 4 | 5): void {
    if (this.#isOpen) this.#socket.write(generate(packet, { protocolVersion: version }));
  }

  /** Without a word, or in good order. */
  end(politely: boolean, version: 4 | 5): void {
    if (politely)
      this.#socket.end(generate({ cmd: 'disconnect' } as Packet, { protocolVersion: version }));
    this.#isOpen = false;
    if (!politely) this.#socket.destroy();
  }
}

export interface ClientOptions {
  readonly id: string;
  readonly qos: 1 | 2;
  readonly version: 4 | 5;
  readonly place: Place;
}

function connectOf({ id, version }: ClientOptions): Packet {
  return {
    ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId: id },
    ...{ clean: false, keepalive: 0 },
    ...(version === 5 && { properties: { sessionExpiryInterval: 3_600, receiveMaximum: 20 } }),
  } as Packet;
}

/** Anything that broke a promise, in words. */
export type Problems = string[];

interface Sent {
  readonly text: string;
  readonly retain: boolean;
  readonly topic: string;
  /** PUBREC has come. */
  recorded: boolean;
}

/** Sends numbered messages, a few at a time, and what was not acknowledged again, as it must. */
export class LastingPublisher {
  readonly acknowledged: string[] = [];
  readonly options: ClientOptions;
  /** Those that were to be retained, whether acknowledged or not. */
  readonly retained: string[] = [];
  /** How often each message went out. */
  readonly times = new Map<string, number>();
  readonly #problems: Problems;
  readonly #underWay = new Map<number, Sent>();
  #line: Line | undefined;
  #next = 0;
  #id = 0;
  #wasThere = false;
  #isOver = false;

  constructor(options: ClientOptions, problems: Problems) {
    this.options = options;
    this.#problems = problems;
  }

  /** Messages that were sent and not acknowledged. */
  get waiting(): string[] {
    return [...this.#underWay].map(([id, { text, recorded }]) => `${id} ${text} ${recorded}`);
  }

  /** Keeps a connection until `end`. */
  async run(): Promise<void> {
    const { version, place, id } = this.options;
    while (!this.#isOver) {
      const line = await Line.open(
        connectOf(this.options),
        version,
        place,
        (packet, from) => this.#take(packet, from),
        () => this.#isOver,
      );
      if (line === undefined) return;
      if (this.#wasThere && !line.present) this.#problems.push(`the session of ${id} was lost`);
      this.#wasThere = true;
      this.#line = line;
      for (const [messageId, sent] of this.#underWay) this.#send(messageId, sent, true);
      while (line.isOpen && !this.#isOver) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Sends one more message unless too many are under way. */
  publish(topic: string, retain = false): void {
    if (this.#underWay.size >= 10 || this.#line?.isOpen !== true) return;
    do this.#id = (this.#id % 65_535) + 1;
    while (this.#underWay.has(this.#id));
    const text = `${this.options.id}:${this.#next++}`;
    if (retain) this.retained.push(text);
    const sent = { text, retain, topic, recorded: false };
    this.#underWay.set(this.#id, sent);
    this.#send(this.#id, sent, false);
  }

  drop(politely: boolean): void {
    this.#line?.end(politely, this.options.version);
  }

  end(): void {
    this.#isOver = true;
    this.#line?.end(true, this.options.version);
  }

  #send(messageId: number, sent: Sent, dup: boolean): void {
    const { version, qos } = this.options;
    if (sent.recorded) {
      this.#line!.send({ cmd: 'pubrel', messageId } as Packet, version);
      return;
    }
    const { text, topic, retain } = sent;
    this.times.set(text, (this.times.get(text) ?? 0) + 1);
    const packet = { cmd: 'publish', topic, payload: text, qos, retain, dup, messageId } as const;
    this.#line!.send(packet as Packet, version);
  }

  #take(packet: Packet, line: Line): void {
    if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec' && packet.cmd !== 'pubcomp') return;
    const messageId = packet.messageId!;
    const sent = this.#underWay.get(messageId);
    if (sent === undefined) return;
    if (packet.cmd === 'pubrec') {
      if (!sent.recorded) this.acknowledged.push(sent.text);
      sent.recorded = true;
      line.send({ cmd: 'pubrel', messageId } as Packet, this.options.version);
      return;
    }
    if (packet.cmd === 'puback') this.acknowledged.push(sent.text);
    this.#underWay.delete(messageId);
  }
}

interface Got {
  readonly text: string;
  readonly topic: string;
  readonly retained: boolean;
}

/** Subscribes once, comes and goes, and remembers everything that it is sent. */
export class LastingSubscriber {
  readonly got: Got[] = [];
  /** By text: how often it was handed on to the application. */
  readonly times = new Map<string, number>();
  readonly options: ClientOptions;
  readonly filter: string;
  isSubscribed = false;
  repeats = 0;
  readonly #unmarked = new Map<string, number>();
  readonly #problems: Problems;
  /** Of QoS 2: held between PUBLISH and PUBREL. */
  readonly #held = new Map<number, string>();
  #line: Line | undefined;
  #isOver = false;
  #isComing = false;
  #stays = false;
  /** How often the publishers have sent a message: then it may come twice, as two. */
  readonly #sentTimes: (text: string) => number;

  constructor(
    options: ClientOptions & { readonly filter: string },
    sentTimes: (text: string) => number,
    problems: Problems,
  ) {
    this.options = options;
    this.filter = options.filter;
    this.#sentTimes = sentTimes;
    this.#problems = problems;
  }

  /** Is there until `drop`; then it is away until `stay` or the next `visit`. */
  async visit(): Promise<void> {
    if (this.#isComing) return;
    this.#isComing = true;
    const { version, place, id, qos } = this.options;
    const line = await Line.open(
      connectOf(this.options),
      version,
      place,
      (packet, from) => this.#take(packet, from),
      () => this.#isOver,
    );
    this.#isComing = false;
    if (line === undefined) return;
    this.#line = line;
    if (this.isSubscribed && !line.present) this.#problems.push(`the session of ${id} was lost`);
    if (this.isSubscribed) return;
    const subscriptions = [{ topic: this.filter, qos, nl: false, rap: true, rh: 0 }];
    line.send({ cmd: 'subscribe', messageId: 1, subscriptions } as Packet, version);
  }

  /** Comes back whenever it is cut off. */
  async stay(): Promise<void> {
    this.#stays = true;
    while (this.#stays) {
      if (this.#line?.isOpen !== true) await this.visit();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get isThere(): boolean {
    return this.#line?.isOpen === true;
  }

  drop(politely: boolean): void {
    this.#line?.end(politely, this.options.version);
  }

  end(): void {
    this.#isOver = true;
    this.#stays = false;
    this.#line?.end(true, this.options.version);
  }

  #take(packet: Packet, line: Line): void {
    const { version } = this.options;
    if (packet.cmd === 'suback') this.isSubscribed = true;
    else if (packet.cmd === 'pubrel') {
      this.#held.delete(packet.messageId!);
      line.send({ cmd: 'pubcomp', messageId: packet.messageId! } as Packet, version);
    } else if (packet.cmd === 'publish') this.#message(packet, line);
  }

  #message(packet: Publish, line: Line): void {
    const { version } = this.options;
    const { qos, messageId } = packet;
    const text = String(packet.payload);
    if (qos === 0) return;
    if (qos === 1) {
      this.#deliver(packet, text);
      line.send({ cmd: 'puback', messageId: messageId! } as Packet, version);
      return;
    }
    const held = this.#held.get(messageId!);
    if (held === undefined) {
      this.#deliver(packet, text);
      this.#held.set(messageId!, text);
    } else {
      this.repeats += 1;
      if (held !== text) this.#problem(`id ${messageId} stands for ${held} and ${text}`);
      if (!packet.dup) this.#problem(`${text} came again without DUP`);
    }
    line.send({ cmd: 'pubrec', messageId: messageId! } as Packet, version);
  }

  #deliver(packet: Publish, text: string): void {
    const times = this.times.get(text) ?? 0;
    this.times.set(text, times + 1);
    this.got.push({ text, topic: packet.topic, retained: packet.retain });
    if (times > 0) this.#repeated(packet, text);
    if (packet.dup) return;
    // Without the mark it comes as often as its publisher has sent it at most.
    const unmarked = (this.#unmarked.get(text) ?? 0) + 1;
    this.#unmarked.set(text, unmarked);
    if (unmarked > this.#sentTimes(text)) this.#problem(`${text} came again without DUP`);
  }

  #repeated(packet: Publish, text: string): void {
    this.repeats += 1;
    if (packet.qos === 2) this.#problem(`${text} came twice at QoS 2`);
  }

  #problem(what: string): void {
    this.#problems.push(`${this.options.id}: ${what}`);
  }
}

/** What of the acknowledged a subscriber lacks. */
export function missingOf(
  subscriber: LastingSubscriber,
  publisher: LastingPublisher,
  from: number,
): string[] {
  return publisher.acknowledged.slice(from).filter((text) => !subscriber.times.has(text));
}

/** The first time that each message came, messages of one publisher must be in the order sent. */
export function orderProblems(subscriber: LastingSubscriber): string[] {
  const problems: string[] = [];
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  for (const { text, topic } of subscriber.got) {
    if (seen.has(text)) continue;
    seen.add(text);
    const [publisher, number] = text.split(':');
    const key = `${publisher} ${topic}`;
    const before = newest.get(key) ?? -1;
    if (Number(number) < before) {
      problems.push(`${subscriber.options.id}: ${text} came behind number ${before}`);
    }
    newest.set(key, Math.max(before, Number(number)));
  }
  return problems;
}
