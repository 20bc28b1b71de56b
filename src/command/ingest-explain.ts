import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import { timeTextOf, typeNameOf } from '../event/cloudevents-json.ts';
import type { Draft } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import { createExplainer, type Explanation } from '../flow/explain.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import { readCodecFiles } from './codec-files.ts';
import { type Command, type Context, configOption, exitStatus, UsageError } from './command.ts';
import { followTopic } from './ingest-follow.ts';
import { explanationText } from './ingest-text.ts';
import { readSchemas } from './schema-files.ts';

const payloadBytesMax = 2 ** 20;

export const explain: Command = {
  name: 'explain',
  summary: 'Show which mapping or profile takes a message, and what it makes of it.',
  usage: '--topic T --payload F [--hex|--base64|--json] | --follow T [--url U]',
  options: {
    topic: { value: 'T', description: 'The topic of the message.' },
    payload: { value: 'FILE', description: 'The bytes of the message; - is standard input.' },
    hex: { description: 'The file holds them as hexadecimal digits.' },
    base64: { description: 'The file holds them as base64.' },
    follow: {
      value: 'TOPIC',
      description: 'Instead: what comes on these topics of the running gateway. + and # allowed.',
    },
    url: {
      value: 'URL',
      description: 'With --follow: the broker, with user and password if it wants them.',
    },
    json: { description: 'Print JSON, one object per message.' },
    config: configOption,
  },
  notes: 'Nothing is recorded. The exit status is 1 when the message cannot be read.',
  async run(context) {
    checkUsage(context.options);
    const { explainer, brokerUrl } = await openExplainer(context);
    const { options, print } = context;
    const show = async (explanation: Explanation): Promise<void> => {
      const text =
        options.json === undefined
          ? explanationText(explanation, eventOf)
          : `${toLosslessJson({ ...explanation, readings: undefined, events: explanation.readings.map(eventOf) })}\n`;
      await print(text);
    };
    if (options.follow !== undefined) {
      const url = options.url ?? brokerUrl;
      context.say(`Following ${options.follow} on ${withoutPassword(url)}. Ctrl-C stops it.`);
      await followTopic(url, options.follow, context.signal, (message) => show(explainer(message)));
      return exitStatus.done;
    }
    const payload = await payloadOf(context);
    const receivedAt = createSystemClock().now();
    const explanation = explainer({ topic: options.topic!, payload, receivedAt });
    await show(explanation);
    return explanation.outcome === 'undecodable' ? exitStatus.failed : exitStatus.done;
  },
};

function checkUsage(options: Context['options']): void {
  if (options.follow !== undefined) {
    const odd = ['topic', 'payload', 'hex', 'base64'].find((name) => options[name] !== undefined);
    if (odd !== undefined) throw new UsageError(`--${odd} does not go with --follow.`);
    return;
  }
  if (options.topic === undefined) throw new UsageError('Give --topic and --payload, or --follow.');
  if (/[#+]/.test(options.topic)) {
    throw new UsageError(
      '--topic is the topic of one message: no + and no #. --follow takes them.',
    );
  }
  if (options.payload === undefined) throw new UsageError('--payload is missing: a file, or -.');
  if (options.hex !== undefined && options.base64 !== undefined) {
    throw new UsageError('--hex or --base64, not both.');
  }
  if (options.url !== undefined) throw new UsageError('--url goes with --follow.');
}

async function openExplainer(context: Context) {
  const { environment, cwd, options } = context;
  const loaded = await loadConfig({
    ...{ environment, cwd },
    ...(options.config === undefined ? {} : { path: options.config }),
  });
  const { files: codecFiles, problems } = await readCodecFiles(loaded, cwd);
  const schemas = await readSchemas(loaded);
  if (problems.length + schemas.problems.length > 0) {
    throw new ConfigError([...problems, ...schemas.problems]);
  }
  const { config } = loaded;
  const explainer = createExplainer(config.ingest, {
    source: `/gateways/${config.gateway.id}/broker`,
    clock: createSystemClock(),
    onRefusedTime: () => {},
    codecFiles,
    checked: (topic, drafts) => schemas.registry.forTopic(topic)?.(drafts) ?? { drafts },
  });
  const plain = config.broker.listeners.find(({ tls, transport }) => {
    return tls === undefined && transport === 'tcp';
  });
  const { host, port } = plain ?? { host: '127.0.0.1', port: 1883 };
  const here = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const name = here.includes(':') ? `[${here}]` : here;
  return { explainer, brokerUrl: `mqtt://${name}:${port}` };
}

/** An event as it would be recorded, but for its id. */
function eventOf({ source, subject, time, data, extensions }: Draft<'reading'>): object {
  const type = typeNameOf('reading');
  return { type, source, subject, time: timeTextOf(time), ...extensions, data };
}

async function payloadOf({ options, cwd }: Context): Promise<Uint8Array> {
  const given = options.payload!;
  const bytes = given === '-' ? await fromStandardInput() : await fromFile(resolve(cwd, given));
  if (options.hex === undefined && options.base64 === undefined) return bytes;
  const text = bytes.toString('latin1').replaceAll(/\s/g, '');
  const isWell =
    options.hex === undefined
      ? /^[A-Za-z0-9+/_-]*={0,2}$/.test(text)
      : /^([0-9A-Fa-f]{2})*$/.test(text);
  if (!isWell) {
    throw new UsageError(
      `${given} does not hold ${options.hex === undefined ? 'base64' : 'pairs of hexadecimal digits'}.`,
    );
  }
  return Buffer.from(text, options.hex === undefined ? 'base64' : 'hex');
}

async function fromFile(path: string): Promise<Buffer> {
  try {
    const handle = await open(path, 'r');
    try {
      return await readAll(handle.createReadStream());
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}.`);
  }
}

async function fromStandardInput(): Promise<Buffer> {
  return await readAll(process.stdin);
}

async function readAll(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).byteLength;
    if (length > payloadBytesMax) {
      throw new UsageError(`The payload has more than ${payloadBytesMax} bytes.`);
    }
  }
  return Buffer.concat(chunks);
}

function withoutPassword(url: string): string {
  try {
    const parsed = new URL(url);
    parsed.password = '';
    parsed.username = '';
    return parsed.href;
  } catch {
    throw new GatewayError('GW_CONFIG_INVALID', `${url} is no URL such as mqtt://127.0.0.1:1883.`);
  }
}
