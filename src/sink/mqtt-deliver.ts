/**
 * How the `mqtt` sink hands over batches: one window of messages in flight that slides over all of
 * them, each message acknowledged. MQTT.js connects, reads and keeps alive; what is published is
 * written past it, many packets in one piece, which costs a fifth of the processor time.
 */
import { toCloudEventsText } from '../event/cloudevents-json.ts';
import type { CloudEvent } from '../event/event.ts';
import { onAbort } from '../platform/aborting.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError } from '../platform/errors.ts';
import { idsOfClient, type Session } from './mqtt-connect.ts';
import { createPacketWriter, packetBytesOf, topicBytesMax } from './mqtt-packets.ts';
import type { Rejection } from './sink.ts';

export interface DeliverOptions {
  readonly topicOf: (event: CloudEvent) => string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly window: number;
  /** The largest packet the server takes. */
  readonly packetBytesMax: number;
  /** How long the server may leave everything in flight without an acknowledgement. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const contentType = 'application/cloudevents+json';

/** Reason codes of PUBACK and PUBREC that stay the same however often the message is sent. */
const refusals = new Map([
  [0x87, 'not authorized'],
  [0x90, 'topic name invalid'],
  [0x99, 'payload format invalid'],
]);
/** This and above are errors. */
const firstError = 0x80;
const idMax = 65_535;
/** So many are encoded before whoever else waits for the processor has a turn. */
const sliceMax = 100;
/** In a row, without an acknowledgement in between. */
const pingsMax = 2;
const pingRequest = Buffer.from([0xc0, 0]);

interface Batch {
  readonly events: readonly CloudEvent[];
  readonly rejections: Rejection[];
  /** Messages that have been written, and that are done with. */
  next: number;
  done: number;
  readonly resolve: (rejections: Rejection[]) => void;
  readonly reject: (error: Error) => void;
}

interface Message {
  readonly event: CloudEvent;
  readonly batch: Batch;
}

/** What is acknowledged, as MQTT.js tells it. */
interface Answer {
  readonly cmd: string;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/**
 * Delivers over that session. A batch may follow before the one ahead of it is settled: its messages
 * then fill the same window. They resolve in order, with the events that the server refuses for good;
 * all throw when the connection breaks, when acknowledgements stop coming, and when one is aborted.
 */
export function createDelivery(session: Session, options: DeliverOptions) {
  const { client, version } = session;
  const { qos, retain, window } = options;
  const shape = { version, qos, retain, contentType };
  const packets = createPacketWriter(shape);
  const inFlight = new Map<number, Message>();
  const batches: Batch[] = [];
  let failure: Error | undefined;
  let id = idsOfClient;
  let isPlanned = false;
  /** Acknowledgements, and pings since the last of them. */
  let answered = 0;
  let pings = 0;
  let isHeard = false;
  let idle: AbortController | undefined;

  const write = (bytes: Uint8Array): void => void client.stream.write(bytes);
  const fail = (error: Error): void => {
    failure ??= error;
    inFlight.clear();
    idle?.abort();
    for (const batch of batches.splice(0)) batch.reject(failure);
  };
  const settle = (): void => {
    while (batches.length > 0 && batches[0]!.done === batches[0]!.events.length) {
      const { resolve, rejections } = batches.shift()!;
      resolve(rejections);
    }
    if (batches.length > 0) return;
    idle?.abort();
    session.onBroken = () => undefined;
  };
  const nextId = (): number => {
    do id = id >= idMax ? idsOfClient + 1 : id + 1;
    while (inFlight.has(id));
    return id;
  };
  const send = (batch: Batch): void => {
    const event = batch.events[batch.next++]!;
    const topic = options.topicOf(event);
    const payload = toCloudEventsText(event);
    const problem = sizeProblem(topic, payload, options.packetBytesMax, shape);
    if (problem !== undefined) batch.rejections.push({ event, reason: problem });
    if (problem !== undefined || qos === 0) batch.done++;
    if (problem !== undefined) return;
    const number = qos === 0 ? 0 : nextId();
    if (qos > 0) inFlight.set(number, { event, batch });
    packets.add(topic, payload, number);
  };
  const fill = (): void => {
    isPlanned = false;
    if (failure !== undefined) return;
    if (client.stream.writableNeedDrain) {
      isPlanned = true;
      client.stream.once('drain', fill);
      return;
    }
    let left = sliceMax;
    for (const batch of batches) {
      while (left > 0 && batch.next < batch.events.length && inFlight.size < window) {
        send(batch);
        left--;
      }
    }
    const bytes = packets.take();
    if (bytes !== undefined) write(bytes);
    else if (inFlight.size > 0 && isHeard && pings < pingsMax) {
      // With nothing to carry ours, TCP acknowledges late, and Nagle's algorithm at the server
      // holds back its next answers until then: 40 ms, for every batch. A ping carries it, and the
      // answer to the last one may be among what is held back.
      pings++;
      write(pingRequest);
    }
    isHeard = false;
    if (left === 0) plan();
    settle();
  };
  /** Once for all that arrives together. */
  const plan = (): void => {
    if (isPlanned) return;
    isPlanned = true;
    options.clock.sleep(0).then(fill).catch(fail);
  };
  const finish = (number: number, { event, batch }: Message, code: number): void => {
    if (code >= firstError) {
      const refusal = refusals.get(code);
      const text = `0x${code.toString(16)}`;
      if (refusal === undefined) {
        const words = `The server did not take it: it answers ${text}`;
        fail(new GatewayError('GW_SINK_UNAVAILABLE', words));
        return;
      }
      batch.rejections.push({ event, reason: `The server answers ${text}, ${refusal}.` });
    }
    inFlight.delete(number);
    batch.done++;
  };
  client.on('packetreceive', (packet) => {
    const { cmd, messageId = 0, reasonCode = 0 } = packet as Answer;
    if (cmd === 'pingresp') {
      isHeard = true;
      plan();
    }
    const message = inFlight.get(messageId);
    if (message === undefined || !/^pub(ack|rec|comp)$/.test(cmd)) return;
    answered++;
    pings = 0;
    isHeard = true;
    if (cmd === 'pubrec' && reasonCode < firstError) {
      write(Buffer.from([0x62, 2, messageId >> 8, messageId & 255]));
    } else finish(messageId, message, reasonCode);
    plan();
  });

  /** Fails when nothing has been answered for too long. */
  const watch = async (settled: AbortSignal): Promise<void> => {
    const { clock, timeoutMs } = options;
    let before = -1;
    for (let quiet = 0; quiet < 4; quiet++) {
      if (answered !== before) quiet = 0;
      before = answered;
      await clock.sleep(timeoutMs / 4, settled);
    }
    const words = `The server has acknowledged nothing for ${timeoutMs} ms`;
    fail(new GatewayError('GW_SINK_UNAVAILABLE', words));
  };

  return async (events: readonly CloudEvent[], signal: AbortSignal): Promise<Rejection[]> => {
    signal.throwIfAborted();
    const unusable = session.broken ?? failure;
    if (unusable !== undefined) throw unusable;
    const settled = onAbort(signal, () => fail(signal.reason));
    try {
      return await new Promise((resolve, reject) => {
        if (batches.length === 0) {
          session.onBroken = fail;
          idle = new AbortController();
          watch(idle.signal).catch(() => undefined);
        }
        batches.push({ events, rejections: [], next: 0, done: 0, resolve, reject });
        fill();
      });
    } finally {
      settled();
    }
  };
}

/** [MQTT-3.1.2-24]: a packet above the other side's maximum must not be sent. */
function sizeProblem(
  topic: string,
  payload: string,
  packetBytesMax: number,
  shape: Parameters<typeof packetBytesOf>[2],
): string | undefined {
  const topicBytes = Buffer.byteLength(topic);
  if (topicBytes > topicBytesMax) {
    return `Its topic has ${topicBytes} bytes, and MQTT allows ${topicBytesMax}.`;
  }
  const bytes = packetBytesOf(topicBytes, Buffer.byteLength(payload), shape);
  return bytes > packetBytesMax
    ? `Its packet has ${bytes} bytes, and the server takes ${packetBytesMax}.`
    : undefined;
}
