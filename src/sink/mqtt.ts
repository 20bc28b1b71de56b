/**
 * Events to somebody else's broker, one message each: CloudEvents JSON, in MQTT 5 with the content
 * type `application/cloudevents+json`. A retained message on the status topic says `online`; the
 * server puts `offline` there when we are gone (MQTT 5.0, clause 3.1.2.5).
 */
import type { IClientOptions } from 'mqtt';
import { z } from 'zod';
import { duration, secret, size } from '../kind/kind.ts';
import type { Clock } from '../platform/clock.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { type MqttVersion, openSession, type Session, VersionRefused } from './mqtt-connect.ts';
import { createDelivery, type DeliverOptions } from './mqtt-deliver.ts';
import { createTopicOf, topicProblem } from './mqtt-topic.ts';
import { type Connection, factTypes, type Sink } from './sink.ts';
import type { SinkKind, SinkParts } from './sink-kind.ts';
import { tlsOf, tlsOptions } from './tls.ts';

const packetBytesMax = 268_435_455;

const options = z.strictObject({
  url: z
    .url({
      protocol: /^(mqtts?|wss?)$/,
      error: 'must be an address such as mqtts://host:8883; mqtt, mqtts, ws and wss are known',
    })
    .refine((url) => !/^\w+:\/\/[^/?#]*@/.test(url), {
      message: 'must not hold a user name or password: give them in their own keys',
    })
    .describe('The broker: mqtt://host:1883, mqtts://host:8883, ws:// or wss://'),
  topic: z
    .string()
    .default('gateways/{gateway}/{type}/{device}')
    .superRefine((topic, context) => addProblem(context, topicProblem(topic)))
    .describe(
      'Where an event goes. {gateway} {type} {device} {measurement} {rule} {severity} are filled in, each as one level.',
    ),
  qos: z
    .literal([0, 1, 2])
    .default(1)
    .describe(
      'Quality of service. With 0 nothing is acknowledged, so what is lost is not noticed.',
    ),
  retain: z.boolean().default(false).describe('Let the broker keep the last event of a topic.'),
  version: z
    .literal([4, 5])
    .optional()
    .describe('MQTT 3.1.1 (4) or 5. Default: 5, and 4 with a broker that does not speak it.'),
  clientId: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Default: tidegate-<gateway>-<sink>. Further connections get -2 and so on behind it.',
    ),
  username: z.string().optional().describe('The user.'),
  password: secret.optional().describe('The password.'),
  tls: tlsOptions.optional().describe('Who is trusted over TLS, and our own certificate.'),
  keepAlive: duration
    .prefault('30s')
    .describe('How often an idle connection proves that it is alive.'),
  timeout: duration
    .prefault('30s')
    .describe('How long the broker may leave messages without any acknowledgement.'),
  connectTimeout: duration.prefault('10s').describe('How long connecting may take.'),
  window: z
    .int()
    .min(1)
    .max(65_535)
    .default(100)
    .describe('Messages in flight; fewer when the broker wants fewer.'),
  packetBytes: size
    .prefault('256MiB')
    .describe('The largest packet the broker takes, where it does not say so itself.'),
  status: z
    .union([z.literal(false), z.string()])
    .default('gateways/{gateway}/status')
    .superRefine((topic, context) => {
      if (topic !== false) addProblem(context, topicProblem(topic, ['gateway']));
    })
    .describe('The retained topic that says online or offline; false for none.'),
});

type Options = z.output<typeof options>;

function addProblem(context: z.RefinementCtx, message: string | undefined): void {
  if (message !== undefined) context.addIssue({ code: 'custom', message });
}

/** Events to an upstream broker. */
export const mqttKind: SinkKind<typeof options> = {
  options,
  batch: { events: 2_000, bytes: 1_048_576, delayMs: 0 },
  create(given, parts): Sink {
    const topicOf = createTopicOf(given.topic, parts.gateway);
    const slots = createSlots();
    let spoken: MqttVersion | undefined = given.version;
    return {
      name: parts.name,
      types: factTypes,
      async connect(signal) {
        const slot = slots.take();
        const status = slot === 0 ? statusTopic(given, parts.gateway) : undefined;
        let session: Session | undefined;
        try {
          session = await openAny(given, parts, { slot, status, spoken, signal });
          spoken = session.version;
          const limits = limitsOf(session, given);
          await announce(session, status, parts, signal);
          const { clock } = parts;
          const timeoutMs = given.timeout;
          return connectionOf({
            session,
            deliverOptions: { ...given, ...limits, topicOf, timeoutMs, clock },
            status,
            clock,
            closed: () => slots.free(slot),
          });
        } catch (error) {
          session?.client.end(true);
          slots.free(slot);
          throw error;
        }
      },
    };
  },
};

/** The lanes of a sink connect side by side: each needs a client id that no other uses meanwhile. */
function createSlots() {
  const taken = new Set<number>();
  return {
    take(): number {
      let slot = 0;
      while (taken.has(slot)) slot++;
      taken.add(slot);
      return slot;
    },
    free(slot: number): void {
      taken.delete(slot);
    },
  };
}

interface Opening {
  readonly slot: number;
  readonly status: string | undefined;
  /** The version that the server is known to speak. */
  readonly spoken: MqttVersion | undefined;
  readonly signal: AbortSignal;
}

async function openAny(given: Options, parts: SinkParts, opening: Opening): Promise<Session> {
  const { secrets, clock } = parts;
  const { slot, status, spoken, signal } = opening;
  const clientId = given.clientId ?? `tidegate-${parts.gateway}-${parts.name}`;
  const clientOptions: IClientOptions = {
    ...(await tlsOf(given.tls, secrets)),
    clientId: slot === 0 ? clientId : `${clientId}-${slot + 1}`,
    keepalive: Math.max(1, Math.round(given.keepAlive / 1000)),
    ...(given.username !== undefined && { username: given.username }),
    ...(given.password !== undefined && { password: await secrets.text(given.password) }),
    ...(status && {
      will: { topic: status, payload: Buffer.from('offline'), qos: 1, retain: true },
    }),
  };
  const open = async (version: MqttVersion) =>
    await openSession(given.url, version, clientOptions, {
      clock,
      timeoutMs: given.connectTimeout,
      signal,
    });
  try {
    return await open(spoken ?? 5).catch(async (error: unknown) => {
      if (!(error instanceof VersionRefused) || spoken !== undefined) throw error;
      return await open(4);
    });
  } catch (error) {
    if (!(error instanceof VersionRefused)) throw error;
    throw new GatewayError('GW_SINK_UNAVAILABLE', error.message, error);
  }
}

/** One status for all lanes: that of the first connection. */
function statusTopic(given: Options, gateway: string): string | undefined {
  if (given.status === false) return undefined;
  return given.status.replaceAll('{gateway}', () => gateway.replace(/[/+#]/g, '_'));
}

function limitsOf(session: Session, given: Options) {
  const properties = session.connack.properties ?? {};
  const qosMax = (properties as { readonly maximumQoS?: number }).maximumQoS ?? 2;
  if (given.qos > qosMax) {
    throw new GatewayError(
      'GW_SINK_REFUSED',
      `The broker takes QoS ${qosMax} at most, and qos is ${given.qos}. With less, events may be lost: choose qos: ${qosMax} if that is acceptable.`,
    );
  }
  return {
    window: Math.min(given.window, properties.receiveMaximum ?? given.window),
    packetBytesMax: Math.min(given.packetBytes, properties.maximumPacketSize ?? packetBytesMax),
  };
}

/** Says `online`. A server that refuses just this may still take the events. */
async function announce(
  session: Session,
  topic: string | undefined,
  { name, logger }: SinkParts,
  signal: AbortSignal,
): Promise<void> {
  if (topic === undefined) return;
  const settled = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { signal: settled.signal });
      session.onBroken = reject;
      session.client.publish(topic, 'online', { qos: 1, retain: true }, (error) => {
        if (session.broken !== undefined) return;
        if (error) {
          logger.warn({ sink: name, topic, error: messageOf(error) }, 'The status was refused.');
        }
        resolve();
      });
    });
  } finally {
    settled.abort();
  }
}

interface ConnectionParts {
  readonly session: Session;
  readonly deliverOptions: DeliverOptions;
  readonly status: string | undefined;
  readonly clock: Clock;
  readonly closed: () => void;
}

const farewellMs = 500;

function connectionOf(its: ConnectionParts): Connection {
  const { session, deliverOptions, status, clock, closed } = its;
  const deliver = createDelivery(session, deliverOptions);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const left = new AbortController();
    try {
      await Promise.race([farewell(session, status), clock.sleep(farewellMs, left.signal)]);
    } finally {
      left.abort();
      // Without waiting: MQTT.js never calls back for a stream that is closed already.
      session.client.end(true);
      closed();
    }
  };
  return {
    depth: 2,
    deliver,
    async close() {
      closing ??= close();
      await closing;
    },
  };
}

/** Ends the session in good order, so that the server does not take us for dead. */
async function farewell(session: Session, status: string | undefined): Promise<void> {
  const { client } = session;
  if (session.broken !== undefined) return;
  if (status !== undefined) {
    await client.publishAsync(status, 'offline', { qos: 1, retain: true }).catch(() => undefined);
  }
  await client.endAsync().catch(() => undefined);
}
