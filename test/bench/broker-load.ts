/**
 * A load on an MQTT broker: pre-encoded QoS 1 messages, so many unacknowledged at a time on each of
 * so many connections. A process of its own, so that it does not slow down what is measured.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';

export interface Load {
  readonly port: number;
  /** Of the server, whose processor time is looked at. */
  readonly pid: number;
  readonly clients: number;
  readonly window: number;
  /** So long, and until so many have been acknowledged, but at most ten times as long. */
  readonly warmMs: number;
  readonly warmMessages?: number;
  readonly measureMs: number;
  /** Messages a second from all clients together; as many as are acknowledged when not given. */
  readonly perSecond?: number;
  /** Counted is what a subscriber to everything gets, at QoS 0, instead of what is acknowledged. */
  readonly subscriber?: boolean;
}

export interface LoadResult {
  readonly messagesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of all threads of the server. */
  readonly cpuUsPerMessage: number;
}

const idsPerRound = 1024;
const payloadBytes = 120;
const ticksPerSecond = 100;

/** What a device measures next; all are of one length. */
function payloadOf(index: number): Buffer {
  const reading = {
    temperature: (2_001 + 10 * (index % 70) + (index % 9)) / 100,
    humidity: (401 + (index % 9)) / 10,
    pressure: (101_321 + (index % 7)) / 100,
    battery: 3.71,
    seq: 1_000 + index,
  };
  const text = JSON.stringify({ ...reading, note: '' });
  return Buffer.from(text.replace('""', `"${'x'.repeat(payloadBytes - text.length)}"`));
}

/** So many messages in a row, their packet identifiers from 1; twice over, so any part is whole. */
function encodeRound(device: string): { readonly bytes: Buffer; readonly size: number } {
  const topic = Buffer.from(`sensors/${device}/climate`);
  const remaining = 2 + topic.length + 2 + payloadBytes;
  const packets: Buffer[] = [];
  for (let index = 0; index < 2 * idsPerRound; index++) {
    const id = 1 + (index % idsPerRound);
    const length = [(remaining & 0x7f) | 0x80, remaining >> 7];
    packets.push(
      Buffer.from([0x32, ...length, 0, topic.length]),
      topic,
      Buffer.from([id >> 8, id & 0xff]),
      payloadOf(index % idsPerRound),
    );
  }
  const bytes = Buffer.concat(packets);
  return { bytes, size: bytes.length / (2 * idsPerRound) };
}

const typeAndLengthBytes = 3;

/** Subscribes to `#` at QoS 0, and counts what comes: packets are all of one length. */
async function openSubscriber(port: number, delivered: (messages: number) => void) {
  const topicBytes = 'sensors/gh-000/climate'.length;
  const packetBytes = typeAndLengthBytes + 2 + topicBytes + payloadBytes;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  socket.write(connectPacket('everything'));
  await new Promise((resolve) => socket.once('data', resolve));
  socket.write(Buffer.from([0x82, 6, 0, 1, 0, 1, 0x23, 0]));
  await new Promise((resolve) => socket.once('data', resolve));
  let partial = 0;
  socket.on('data', (chunk: Buffer) => {
    partial += chunk.length;
    delivered(Math.floor(partial / packetBytes));
    partial %= packetBytes;
  });
  return socket;
}

function connectPacket(id: string): Buffer {
  const body = Buffer.concat([
    Buffer.from([0, 4]),
    Buffer.from('MQTT'),
    Buffer.from([4, 2, 0, 0, 0, id.length]),
    Buffer.from(id),
  ]);
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}

interface Publisher {
  readonly socket: Socket;
  start(): void;
  /** Lets so many more messages go, as far as the window allows. */
  allow(messages: number): void;
}

/** Calls `acknowledged` with the delay of every acknowledgement, in milliseconds. */
async function openPublisher(
  { port, window, perSecond }: Load,
  name: string,
  acknowledged: (delayMs: number) => void,
): Promise<Publisher> {
  const { bytes, size } = encodeRound(name);
  const sentAt = new Float64Array(idsPerRound);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let next = 0;
  let expected = 0;
  let partial = 0;
  let unacknowledged = 0;
  let allowed = 0;
  const send = (messages: number): void => {
    const now = performance.now();
    for (let index = 0; index < messages; index++) sentAt[(next + index) % idsPerRound] = now;
    socket.write(bytes.subarray(next * size, (next + messages) * size));
    next = (next + messages) % idsPerRound;
  };
  socket.write(connectPacket(name));
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', () => resolve());
  });
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    // An acknowledgement is four bytes, and they come in the order of the messages.
    const messages = (partial + chunk.length) >> 2;
    partial = (partial + chunk.length) & 3;
    const now = performance.now();
    for (let index = 0; index < messages; index++) {
      acknowledged(now - sentAt[expected]!);
      expected = (expected + 1) % idsPerRound;
    }
    unacknowledged -= messages;
    allow(perSecond === undefined ? messages : 0);
  });
  const allow = (messages: number): void => {
    // What the window keeps back is not sent later: the pace is a limit, not a debt.
    allowed = Math.min(window, allowed + messages);
    const now = Math.min(Math.floor(allowed), window - unacknowledged);
    if (now <= 0) return;
    allowed -= now;
    unacknowledged += now;
    send(now);
  };
  return { socket, allow, start: () => allow(perSecond === undefined ? window : 0) };
}

/** Buckets of a hundredth of a power of ten each, from a microsecond on. */
class Histogram {
  readonly #counts = new Uint32Array(800);
  #total = 0;

  add(ms: number): void {
    this.#counts[Math.min(799, Math.max(0, Math.round(Math.log10(ms * 1000) * 100)))]! += 1;
    this.#total += 1;
  }

  percentileMs(share: number): number {
    let left = this.#total * share;
    const bucket = this.#counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return 10 ** (bucket / 100) / 1000;
  }
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(load: Load): Promise<LoadResult> {
  let messages = 0;
  let acknowledged = 0;
  let histogram = new Histogram();
  const publishers: Publisher[] = [];
  const subscriber =
    load.subscriber === true
      ? await openSubscriber(load.port, (delivered) => {
          messages += delivered;
        })
      : undefined;
  for (let index = 0; index < load.clients; index++) {
    const name = `gh-${String(index).padStart(3, '0')}`;
    publishers.push(
      await openPublisher(load, name, (delayMs) => {
        acknowledged += 1;
        if (subscriber === undefined) messages += 1;
        // Looking at each would cost the generator more than sending it.
        if (acknowledged % 8 === 0) histogram.add(delayMs);
      }),
    );
  }
  for (const publisher of publishers) publisher.start();
  const pace = startPace(load, publishers);
  await pause(load.warmMs);
  // What is compiled on the way is compiled once.
  for (let more = 9; more > 0 && messages < (load.warmMessages ?? 0); more--)
    await pause(load.warmMs);
  histogram = new Histogram();
  messages = 0;
  const cpu = cpuSecondsOf(load.pid);
  const start = performance.now();
  await pause(load.measureMs);
  const seconds = (performance.now() - start) / 1000;
  const cpuSeconds = cpuSecondsOf(load.pid) - cpu;
  const result = {
    messagesPerSecond: messages / seconds,
    p50Ms: histogram.percentileMs(0.5),
    p99Ms: histogram.percentileMs(0.99),
    cpuUsPerMessage: (cpuSeconds * 1e6) / messages,
  };
  clearInterval(pace);
  for (const { socket } of publishers) socket.destroy();
  subscriber?.destroy();
  return result;
}

const paceMs = 5;

/** Spreads the messages evenly over time and publishers. */
function startPace({ perSecond }: Load, publishers: readonly Publisher[]): NodeJS.Timeout {
  let last = performance.now();
  return setInterval(() => {
    const now = performance.now();
    const messages = ((perSecond ?? 0) * (now - last)) / 1000 / publishers.length;
    last = now;
    if (perSecond !== undefined) for (const publisher of publishers) publisher.allow(messages);
  }, paceMs);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.stdout.write(`${JSON.stringify(await measure(JSON.parse(process.argv[2]!)))}\n`);
}
