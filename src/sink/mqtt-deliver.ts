/** How the `mqtt` sink hands over a batch: a window of messages in flight, each acknowledged. */

import { toCloudEventsText } from '../event/cloudevents-json.ts';
import type { CloudEvent } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError } from '../platform/errors.ts';
import type { Session } from './mqtt-connect.ts';
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

/**
 * Resolves when the server has acknowledged every event but those returned. Throws when the
 * connection breaks, when acknowledgements stop coming, and the signal's reason once aborted.
 */
export async function deliverOver(
  session: Session,
  events: readonly CloudEvent[],
  options: DeliverOptions,
  signal: AbortSignal,
): Promise<Rejection[]> {
  signal.throwIfAborted();
  if (session.broken !== undefined) throw session.broken;
  const settled = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { signal: settled.signal });
      session.onBroken = reject;
      const flight = startFlight(session, events, options, settled.signal, resolve, reject);
      watchProgress(flight, options, settled.signal).then(reject, () => undefined);
    });
  } finally {
    session.onBroken = () => undefined;
    settled.abort();
  }
}

interface Flight {
  /** Messages that are done with. */
  done: number;
}

function startFlight(
  session: Session,
  events: readonly CloudEvent[],
  options: DeliverOptions,
  settled: AbortSignal,
  resolve: (rejections: Rejection[]) => void,
  reject: (error: Error) => void,
): Flight {
  const { client, version } = session;
  const rejections: Rejection[] = [];
  const flight: Flight = { done: 0 };
  let next = 0;
  let isFilling = false;
  const publishOptions = {
    qos: options.qos,
    retain: options.retain,
    ...(version === 5 && { properties: { contentType } }),
  };

  const finish = (event: CloudEvent, error: Error | null | undefined): void => {
    if (settled.aborted) return;
    if (error) {
      const code = (error as { readonly code?: unknown }).code;
      const refusal = typeof code === 'number' ? refusals.get(code) : undefined;
      if (refusal === undefined) {
        reject(new GatewayError('GW_SINK_UNAVAILABLE', 'The server did not take it', error));
        return;
      }
      rejections.push({
        event,
        reason: `The server answers 0x${(code as number).toString(16)}, ${refusal}.`,
      });
    }
    flight.done++;
    fill();
  };
  const send = (event: CloudEvent): void => {
    const topic = options.topicOf(event);
    const payload = Buffer.from(toCloudEventsText(event));
    const problem = sizeProblem(topic, payload.length, version, options);
    if (problem === undefined) {
      client.publish(topic, payload, publishOptions, (error) => finish(event, error));
    } else {
      rejections.push({ event, reason: problem });
      flight.done++;
    }
  };
  const fill = (): void => {
    // A message without acknowledgement (QoS 0) may be done before publish returns.
    if (isFilling) return;
    isFilling = true;
    while (next < events.length && next - flight.done < options.window) send(events[next++]!);
    isFilling = false;
    if (flight.done === events.length) resolve(rejections);
  };
  fill();
  return flight;
}

/** Resolves with an error when nothing has been acknowledged for too long. */
async function watchProgress(
  flight: Flight,
  { clock, timeoutMs }: DeliverOptions,
  settled: AbortSignal,
): Promise<Error> {
  let before = -1;
  for (let quiet = 0; quiet < 4; quiet++) {
    if (flight.done !== before) quiet = 0;
    before = flight.done;
    await clock.sleep(timeoutMs / 4, settled);
  }
  return new GatewayError(
    'GW_SINK_UNAVAILABLE',
    `The server has acknowledged nothing for ${timeoutMs} ms`,
  );
}

const topicBytesMax = 65_535;

/** [MQTT-3.1.2-24]: a packet above the other side's maximum must not be sent. */
function sizeProblem(
  topic: string,
  payloadBytes: number,
  version: number,
  { qos, packetBytesMax }: DeliverOptions,
): string | undefined {
  const topicBytes = Buffer.byteLength(topic);
  if (topicBytes > topicBytesMax) {
    return `Its topic has ${topicBytes} bytes, and MQTT allows ${topicBytesMax}.`;
  }
  const properties = version === 5 ? 1 + 3 + contentType.length : 0;
  const remaining = 2 + topicBytes + (qos === 0 ? 0 : 2) + properties + payloadBytes;
  const length = remaining < 128 ? 1 : remaining < 16_384 ? 2 : remaining < 2_097_152 ? 3 : 4;
  const bytes = 1 + length + remaining;
  return bytes > packetBytesMax
    ? `Its packet has ${bytes} bytes, and the server takes ${packetBytesMax}.`
    : undefined;
}
