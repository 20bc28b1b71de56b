import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import { z } from 'zod';
import { duration, pem, secret } from '../kind/kind.ts';
import { messageOf } from '../platform/errors.ts';
import { within } from '../platform/within.ts';
import type { Ingest, Message, Source } from './source.ts';
import type { SourceKind, SourceParts } from './source-kind.ts';

export const mqttSourceOptions = z.strictObject({
  url: z
    .string()
    .regex(/^(mqtts?|wss?):\/\/[^/\s]+/, 'must be an address such as mqtt://broker.example:1883')
    .describe('The broker: mqtt://, mqtts://, ws:// or wss://.'),
  topics: z
    .array(z.string().min(1))
    .min(1)
    .max(100)
    .describe(
      'Topic filters to subscribe to. $share/GROUP/FILTER shares one stream among several gateways.',
    ),
  qos: z
    .union([z.literal(0), z.literal(1)])
    .default(1)
    .describe('1: acknowledged once it is on the disk here. 0: what is lost on the way is lost.'),
  version: z
    .union([z.literal(4), z.literal(5)])
    .default(5)
    .describe('The protocol: 5, or 4 for 3.1.1.'),
  clientId: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Default: tidegate-, the id of the gateway, and the name of the source.'),
  username: z.string().optional().describe('The user name.'),
  password: secret.optional().describe('Its password.'),
  ca: pem.optional().describe('The authority that signed the certificate of the broker.'),
  cert: pem.optional().describe('The certificate to show.'),
  key: secret.optional().describe('Its private key.'),
  session: duration
    .prefault('7d')
    .describe('How long the broker keeps messages for us while we are away; 0s for not at all.'),
  retained: z
    .enum(['keep', 'ignore'])
    .default('ignore')
    .describe('Messages that were retained before we came: ignore, or record them every time.'),
  timeout: duration.prefault('10s').describe('How long to wait for an answer.'),
});
type Options = z.output<typeof mqttSourceOptions>;

/** What may wait to be durable before no more is read. */
const waitingMessagesMax = 2_000;
const waitingBytesMax = 4 * 2 ** 20;
const endMaxMs = 500;

/**
 * Subscriptions on somebody else's broker. What it sends at QoS 1 is acknowledged once it is
 * durable here; what it had sent before is sent again after a break.
 */
export const mqttSourceKind: SourceKind<typeof mqttSourceOptions> = {
  options: mqttSourceOptions,
  create: createMqttSource,
};

function createMqttSource(options: Options, parts: SourceParts): Source {
  return {
    name: parts.name,
    mayBeAway: true,
    async run(ingest, signal, opened) {
      const { connect } = await import('mqtt');
      const client = connect(options.url, await clientOptionsOf(options, parts));
      let fail!: (error: Error) => void;
      const failed = new Promise<never>((_resolve, reject) => {
        fail = reject;
      });
      failed.catch(() => undefined);
      client.on('error', fail);
      client.on('close', () => fail(new Error(`${options.url} has closed the connection.`)));
      client.on('disconnect', ({ reasonCode, properties }) =>
        fail(new Error(`${options.url} sends us away: ${properties?.reasonString ?? reasonCode}.`)),
      );
      const told = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      try {
        const intake = receive(client, options, parts, ingest, fail);
        const subscribed = subscribe(client, options, parts, signal);
        const first = await Promise.race([subscribed, failed, told.then(() => 'told' as const)]);
        if (first === 'told') return;
        parts.logger.info({ source: parts.name, url: options.url }, 'Subscribed.');
        opened();
        await Promise.race([told, failed]);
        await within(intake.idle(), endMaxMs, parts.clock);
      } finally {
        await end(client, parts);
      }
    },
  };
}

async function clientOptionsOf(options: Options, parts: SourceParts): Promise<IClientOptions> {
  const { secrets } = parts;
  const { username, password, ca, cert, key, version, session } = options;
  const keeps = session > 0;
  return {
    protocolVersion: version,
    clientId: options.clientId ?? `tidegate-${parts.gateway}-${parts.name}`,
    clean: version === 5 ? false : !keeps,
    ...(version === 5
      ? {
          properties: {
            sessionExpiryInterval: Math.min(0xffff_fffe, Math.round(session / 1_000)),
            receiveMaximum: 1_000,
          },
        }
      : {}),
    // Who supervises decides when to try again.
    reconnectPeriod: 0,
    connectTimeout: options.timeout,
    resubscribe: false,
    timerVariant: 'native',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: await secrets.text(password) }),
    ...(ca === undefined ? {} : { ca: await secrets.pem(ca) }),
    ...(cert === undefined ? {} : { cert: await secrets.pem(cert) }),
    ...(key === undefined ? {} : { key: await secrets.pem(key) }),
  };
}

async function subscribe(
  client: MqttClient,
  options: Options,
  { clock }: SourceParts,
  signal: AbortSignal,
): Promise<void> {
  const { qos, topics, timeout, url } = options;
  const rh = options.retained === 'ignore' ? 2 : 0;
  const work = new Promise<void>((resolve, reject) => {
    client.once('connect', () => {
      const wanted = Object.fromEntries(
        topics.map((topic) => [topic, { qos, ...(topic.startsWith('$share/') ? {} : { rh }) }]),
      );
      client.subscribe(wanted, (error, granted) => {
        if (error) return reject(new Error(`${url}: ${messageOf(error)}`, { cause: error }));
        const refused = (granted ?? []).filter((each) => each.qos > 2).map(({ topic }) => topic);
        if (refused.length === 0) resolve();
        else reject(new Error(`${url} refuses to let us subscribe to ${refused.join(', ')}.`));
      });
    });
  });
  const over = new AbortController();
  const late = clock.sleep(timeout, AbortSignal.any([over.signal, signal])).then(() => {
    throw new Error(`${url} does not answer within ${timeout} ms.`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    over.abort(new Error('It is over.'));
    late.catch(() => undefined);
    work.catch(() => undefined);
  }
}

/** Only what stands here of MQTT.js 5.16.0 is not public: where it would answer. */
interface Answering {
  _sendPacket(packet: { cmd: string; messageId?: number }, done?: () => void): void;
}

function receive(
  client: MqttClient,
  options: Options,
  parts: SourceParts,
  ingest: Ingest,
  fail: (error: Error) => void,
) {
  let batch: Message[] = [];
  let safe: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  let messages = 0;
  let bytes = 0;
  const held: (() => void)[] = [];

  const flush = async (): Promise<void> => {
    await parts.clock.sleep(0);
    const taken = batch;
    batch = [];
    next = undefined;
    await ingest(taken);
    messages -= taken.length;
    for (const { payload } of taken) bytes -= payload.length;
    for (const resume of held.splice(0)) resume();
  };
  const take = (packet: IPublishPacket): void => {
    const { topic, payload } = packet;
    if (isOurs(topic) || (packet.retain && options.retained === 'ignore')) return;
    const message = { topic, payload: Buffer.from(payload), receivedAt: parts.clock.now() };
    const properties = packet.properties?.userProperties;
    batch.push(properties === undefined ? message : { ...message, properties: { ...properties } });
    messages += 1;
    bytes += message.payload.length;
    if (next === undefined) {
      next = flush();
      const before = safe;
      safe = next.then(() => before);
      safe.catch(fail);
    }
  };
  client.handleMessage = (packet, done) => {
    take(packet);
    if (messages < waitingMessagesMax && bytes < waitingBytesMax) done();
    else held.push(() => done());
  };
  // MQTT.js works on one message after the other: were it told to wait until one is durable, every
  // message would cost a sync. So it may go on, and only its answer waits.
  const answering = client as unknown as Answering;
  const send = answering._sendPacket.bind(client);
  answering._sendPacket = (packet, done) => {
    if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return send(packet, done);
    safe.then(() => send(packet)).catch(() => undefined);
    done?.();
  };
  return { idle: () => safe };
}

/** What a gateway publishes for itself is never ingested. */
function isOurs(topic: string): boolean {
  return topic.startsWith('tidegate/') || topic.startsWith('$');
}

async function end(client: MqttClient, { clock }: SourceParts): Promise<void> {
  client.removeAllListeners('close');
  client.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => client.end(false, {}, () => resolve()));
  await within(ended, endMaxMs, clock);
  client.end(true);
}
