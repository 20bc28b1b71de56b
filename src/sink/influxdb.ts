/**
 * Points over HTTP, to InfluxDB 1, 2 and 3 and what speaks their protocol.
 *
 *   1   POST /write?db=…&rp=…&precision=n               Basic, or Token with `token`
 *   2   POST /api/v2/write?org=…&bucket=…&precision=ns  Token
 *   3   POST /api/v3/write_lp?db=…&precision=nanosecond&accept_partial=true   Bearer
 *
 * To write a point twice leaves one point, so a batch may be sent again, whole or in part. A point
 * that InfluxDB refuses never holds up the others: see `isolate.ts`.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { z } from 'zod';
import type { CloudEvent } from '../event/event.ts';
import { duration, secret } from '../kind/kind.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { createTurns } from '../platform/turns.ts';
import { type HttpAnswer, type HttpClient, httpUrl, openHttpClient } from './http-client.ts';
import { isDatabaseMissing, outcomeOf } from './influxdb-answer.ts';
import { isolate } from './isolate.ts';
import { createLineBatch, type EventPoint } from './line-batch.ts';
import { createLineEncoder, type LineEncoder } from './line-protocol.ts';
import { orAborted } from './shared.ts';
import type { Connection, Sink } from './sink.ts';
import type { SinkKind, SinkParts } from './sink-kind.ts';
import { tlsOf, tlsOptions } from './tls.ts';

const options = z
  .strictObject({
    version: z.literal([1, 2, 3]).default(1).describe('The version of InfluxDB: 1, 2 or 3.'),
    url: httpUrl.describe('Where it listens: http://127.0.0.1:8086'),
    database: z
      .string()
      .min(1)
      .optional()
      .describe('Versions 1 and 3: the database. Version 2: the bucket, when bucket is not given.'),
    retentionPolicy: z
      .string()
      .min(1)
      .optional()
      .describe('Version 1: the retention policy. Default: that of the database.'),
    org: z.string().min(1).optional().describe('Version 2: the organization.'),
    bucket: z.string().min(1).optional().describe('Version 2: the bucket.'),
    token: secret.optional().describe('The token. In version 1.8: user:password.'),
    username: z.string().optional().describe('Version 1: the user.'),
    password: secret.optional().describe('Version 1: the password of the user.'),
    create: z
      .boolean()
      .default(true)
      .describe('Version 1: create the database when it is missing and we may.'),
    precision: z
      .enum(['ns', 'ms'])
      .default('ns')
      .describe(
        'ns keeps apart what one device sent in one millisecond, by the digits below it. With ms the later of two such readings replaces the earlier.',
      ),
    deviceTag: z.string().min(1).default('device').describe('The tag that holds the device.'),
    tags: z
      .record(z.string().min(1), z.string().min(1))
      .default({})
      .describe('Tags for every point, for instance { gateway: greenhouse-pi }.'),
    alertMeasurement: z.string().min(1).default('alert').describe('The measurement of alerts.'),
    gzip: z.boolean().default(true).describe('Compress what is sent: a seventh of the bytes.'),
    timeout: duration
      .prefault('10s')
      .describe('How long to wait for an answer before the batch is sent again.'),
    tls: tlsOptions.optional().describe('Who is trusted over TLS, and our own certificate.'),
  })
  .superRefine((given, context) => {
    const problem = problemOf(given);
    if (problem !== undefined) context.addIssue({ code: 'custom', ...problem });
  });

type Options = z.output<typeof options>;

function problemOf(given: Options): { message: string; path: string[] } | undefined {
  const { version, database, bucket, org, username, password } = given;
  if (version === 2 && (bucket ?? database) === undefined) {
    return { path: ['bucket'], message: 'is needed in version 2' };
  }
  if (version === 2 && org === undefined) {
    return { path: ['org'], message: 'is needed in version 2' };
  }
  if (version !== 2 && database === undefined) {
    return { path: ['database'], message: `is needed in version ${version}` };
  }
  if ((username === undefined) !== (password === undefined)) {
    return { path: ['password'], message: 'username and password belong together' };
  }
  return undefined;
}

/** InfluxDB takes readings and alerts; other events are rejected. */
export const influxdbKind: SinkKind<typeof options> = {
  options,
  batch: { events: 5_000, bytes: 1_048_576, delayMs: 1_000 },
  create(given, parts): Sink {
    const problem = problemOf(given);
    if (problem !== undefined) {
      const place = `sinks.${parts.name}.${problem.path}`;
      throw new GatewayError('GW_CONFIG_INVALID', `${place} ${problem.message}`);
    }
    const encode = createLineEncoder(given);
    const target = writeUrlOf(given);
    const database = createCreation(async () => await createDatabase(given, parts));
    return {
      name: parts.name,
      types: ['reading', 'alert'],
      async connect(signal) {
        const client = openHttpClient({
          url: given.url,
          tls: await tlsOf(given.tls, parts.secrets),
          timeoutMs: given.timeout,
          clock: parts.clock,
        });
        try {
          const headers = await headersOf(given, parts);
          await prove(client, target, headers, { given, parts, database }, signal);
          return connectionOf({ client, target, headers, encode, given, parts });
        } catch (error) {
          client.close();
          throw error;
        }
      },
    };
  },
};

function writeUrlOf(given: Options): URL {
  const { version, database, bucket, org, retentionPolicy, precision } = given;
  const url = new URL(given.url);
  const path = { 1: '/write', 2: '/api/v2/write', 3: '/api/v3/write_lp' }[version];
  url.pathname = url.pathname.replace(/\/$/, '') + path;
  const set = (name: string, value: string) => url.searchParams.set(name, value);
  if (version === 2) {
    set('org', org!);
    set('bucket', (bucket ?? database)!);
    set('precision', precision);
  } else {
    set('db', database!);
    if (version === 1 && retentionPolicy !== undefined) set('rp', retentionPolicy);
    // An unknown precision is silently nanoseconds in version 1.
    if (version === 1) set('precision', precision === 'ns' ? 'n' : 'ms');
    else {
      set('precision', precision === 'ns' ? 'nanosecond' : 'millisecond');
      set('accept_partial', 'true');
    }
  }
  return url;
}

type Headers = Readonly<Record<string, string>>;

async function headersOf(given: Options, { secrets, version }: SinkParts): Promise<Headers> {
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'user-agent': `tidegate/${version}`,
  };
  if (given.token !== undefined) {
    const scheme = given.version === 3 ? 'Bearer' : 'Token';
    return { ...headers, authorization: `${scheme} ${await secrets.text(given.token)}` };
  }
  if (given.username !== undefined && given.password !== undefined) {
    const pair = `${given.username}:${await secrets.text(given.password)}`;
    return { ...headers, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
  }
  return headers;
}

/**
 * Writes nothing, to learn whether we could: of an empty body InfluxDB checks the rights and the
 * database, and then takes it (version 1) or has nothing to write (400).
 */
async function prove(
  client: HttpClient,
  target: URL,
  headers: Headers,
  { given, parts, database }: Proving,
  signal: AbortSignal,
): Promise<void> {
  const { count } = database;
  const answer: HttpAnswer = await client.send('POST', target, headers, new Uint8Array(0), signal);
  if (answer.status === 400 || answer.status === 422) return;
  if (given.version === 1 && given.create && isDatabaseMissing(answer)) {
    // Not again what was made since we asked.
    if (database.count === count) await orAborted(database.make(), signal);
    return;
  }
  outcomeOf(answer, [], parts.clock.now());
}

interface Proving {
  readonly given: Options;
  readonly parts: SinkParts;
  readonly database: Creation;
}

/** Something that both lanes find missing, and that is made once. */
interface Creation {
  /** How often it has been made. */
  readonly count: number;
  /** Whoever asks while it is being made waits for that. */
  make(): Promise<void>;
}

function createCreation(work: () => Promise<void>): Creation {
  let current: Promise<void> | undefined;
  let count = 0;
  const make = async (): Promise<void> => {
    try {
      await work();
      count++;
    } finally {
      current = undefined;
    }
  };
  return {
    get count() {
      return count;
    },
    async make() {
      current ??= make();
      await current;
    },
  };
}

async function createDatabase(given: Options, { name, logger, secrets }: SinkParts): Promise<void> {
  const { InfluxDB } = await import('influx');
  const url = new URL(given.url);
  const isTls = url.protocol === 'https:';
  const administration = new InfluxDB({
    hosts: [
      {
        host: url.hostname,
        port: Number(url.port || (isTls ? 443 : 80)),
        protocol: isTls ? 'https' : 'http',
        path: url.pathname.replace(/\/$/, ''),
        options: await tlsOf(given.tls, secrets),
      },
    ],
    // Without these it would introduce itself as root.
    username: given.username ?? '',
    password: given.password === undefined ? '' : await secrets.text(given.password),
    pool: { requestTimeout: given.timeout, maxRetries: 0 },
  });
  const database = given.database!;
  try {
    await administration.createDatabase(database);
    logger.info({ sink: name, database }, 'Created the database in InfluxDB.');
  } catch (error) {
    // Somebody else may create it: the writes will tell.
    logger.warn(
      { sink: name, database, error: messageOf(error) },
      'Could not create the database in InfluxDB.',
    );
  }
}

interface ConnectionParts {
  readonly client: HttpClient;
  readonly target: URL;
  readonly headers: Headers;
  readonly encode: LineEncoder;
  readonly given: Options;
  readonly parts: SinkParts;
}

const compress = promisify(gzip);
/** What is live does not wait for more than this while a large batch is encoded. */
const turnMs = 1;
// Below this, compressing takes longer than sending.
const gzipBytesMin = 1_024;

function connectionOf(its: ConnectionParts): Connection {
  const { client, target, headers, encode, given, parts } = its;
  const batch = createLineBatch(encode);
  const gzipHeaders = { ...headers, 'content-encoding': 'gzip' };

  const pack = async (body: Buffer) => {
    const isCompressed = given.gzip && body.length >= gzipBytesMin;
    if (!isCompressed) return { headers, body };
    return { headers: gzipHeaders, body: await compress(body, { level: 1 }) };
  };
  const deliver = async (events: readonly CloudEvent[], signal: AbortSignal) => {
    const turns = createTurns(parts.clock, turnMs);
    const { points, rejections } = await batch.encode(events, turns);
    const offer = async (some: readonly EventPoint[]) => {
      const packed = await pack(batch.bytesOf(some));
      const answer = await client.send('POST', target, packed.headers, packed.body, signal);
      return outcomeOf(answer, some, parts.clock.now());
    };
    const refusals = await isolate(points, offer);
    for (const { item, reason } of refusals) rejections.push({ event: item.event, reason });
    return rejections;
  };

  return {
    deliver,
    async close() {
      client.close();
    },
  };
}
