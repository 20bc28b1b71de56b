import { z } from 'zod';
import { brokerOptions } from '../broker/options.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { duration, secret, size } from '../kind/kind.ts';
import { selectSchema } from '../kind/select.ts';
import { ingestOptions } from '../profile/profile.ts';
import { ruleKinds } from '../rule/index.ts';
import { schemaOptions } from '../schema/options.ts';
import { sinkKinds } from '../sink/index.ts';
import { sourceSchema } from './sources.ts';

/** Names that operators give: they become names of readers, files, topics and metrics. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be a name of up to 64 letters, digits, - and _');

const gateway = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be up to 64 letters, digits, -, . and _')
    .optional()
    .describe('Names this gateway in every event. Default: the name of the host.'),
  waitForClock: duration
    .prefault('2m')
    .describe(
      'On a machine without a clock chip: how long deliveries wait after the start for the clock to be set, so that they carry the right times; 0s not to wait.',
    ),
});

const data = z.strictObject({
  dir: z
    .string()
    .min(1)
    .optional()
    .describe('The folder of everything that must last. Default: $STATE_DIRECTORY, else ./data.'),
});

const encryption = z.strictObject({
  key: secret
    .optional()
    .describe(
      'The key of what is written from now on: 32 bytes in hexadecimal or base64, as openssl rand -hex 32 makes them. Without it new data is written in plain.',
    ),
  previous: z
    .array(secret)
    .max(16)
    .default([])
    .describe('Keys that were used before; what was written with them is still read.'),
});

const log = z.strictObject({
  maxBytes: size
    .refine((bytes) => bytes >= 16 * 2 ** 20, 'must be at least 16MiB')
    .prefault('1GiB')
    .describe('What the event log may take on the disk.'),
  maxAge: duration.prefault('30d').describe('How long delivered events are kept for replay.'),
  whenFull: z
    .enum(['dropOldest', 'thinOut', 'refuseNew'])
    .default('dropOldest')
    .describe(
      'At maxBytes, with events that some sink has not taken yet: dropOldest gives up the oldest readings; thinOut makes old readings fewer, twice, before it gives them up; both keep alerts as long as they can and say in gap events what is missing. refuseNew acknowledges nothing more, so that devices keep their data.',
    ),
  keepEvery: z
    .int()
    .min(2)
    .max(1_000)
    .default(10)
    .describe(
      'Under thinOut: every so many-th reading of a device stays, and those with the lowest and the highest value of each field.',
    ),
  commitDelayMs: z
    .int()
    .min(0)
    .max(10_000)
    .default(0)
    .describe(
      'How long a write may wait for others, in milliseconds. Spares an SD card; devices wait longer for their acknowledgement.',
    ),
  encryption: encryption
    .optional()
    .describe('Encrypts the event log and the cursors on the disk, with AES-256-GCM.'),
});

interface BatchLimits {
  readonly events: number;
  readonly bytes: number;
  readonly delayMs: number;
}

/** How much is sent at once; what suits the kind of sink is the default. */
const batchOf = ({ events, bytes, delayMs }: BatchLimits) =>
  z.strictObject({
    events: z.int().min(1).max(100_000).default(events).describe('At most so many events.'),
    bytes: size
      .refine((value) => value >= 1_024 && value <= 64 * 2 ** 20, 'must be from 1KiB to 64MiB')
      .prefault(bytes)
      .describe('At most about so many bytes.'),
    delayMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(delayMs)
      .describe('How long to wait for a batch to fill, in milliseconds.'),
  });

const retry = z
  .strictObject({
    minMs: z.int().min(10).default(500).describe('The first wait after a failure, at most.'),
    maxMs: z
      .int()
      .min(10)
      .max(86_400_000)
      .default(60_000)
      .describe('Each failure in a row doubles the wait, up to this.'),
  })
  .refine(({ minMs, maxMs }) => minMs <= maxMs, {
    message: 'must be at least minMs',
    path: ['maxMs'],
  });

const catchUp = z.strictObject({
  order: z
    .enum(['liveFirst', 'oldestFirst'])
    .default('liveFirst')
    .describe(
      'After an outage: liveFirst sends new readings at once and what was missed beside them, oldest first, marked historical; oldestFirst sends everything in order.',
    ),
  behindEvents: z
    .int()
    .min(1)
    .default(10_000)
    .describe('A sink that is further behind than so many events has missed them, …'),
  behindAge: duration.prefault('60s').describe('… or further behind than this.'),
  rate: z
    .int()
    .min(1)
    .optional()
    .describe(
      'What was missed goes out at most at so many events a second. Default: as fast as the sink takes it while new readings go first.',
    ),
});

/** What every sink takes beside the options of its kind. */
const sinkUse = {
  select: selectSchema
    .optional()
    .describe('Only these events. Default: what the kind of sink is made for.'),
  retry: retry.prefault({}).describe('Waits between failures, in milliseconds; tried for ever.'),
  expire: duration
    .optional()
    .describe('An event older than this is no longer worth sending: counted, never silent.'),
  from: z
    .enum(['oldest', 'newest'])
    .default('oldest')
    .describe('Where a sink that is new begins: with all that is kept, or with what comes.'),
  catchUp: catchUp.prefault({}).describe('How readings that a sink has missed reach it.'),
};

type SinkKinds = typeof sinkKinds;
type RuleKinds = typeof ruleKinds;
interface AnyKind {
  readonly options: z.ZodObject;
  readonly batch?: BatchLimits;
}
type Uses<Kinds extends Record<string, AnyKind>, More> = {
  [K in keyof Kinds]: z.output<Kinds[K]['options']> & { readonly kind: K } & More;
}[keyof Kinds];

const sinkUseObject = z.strictObject(sinkUse);
/** A sink as configured: the options of its kind, and what every sink takes. */
export type SinkConfig = Uses<
  SinkKinds,
  z.output<typeof sinkUseObject> & { readonly batch: BatchLimits }
>;
export type RuleConfig = Uses<RuleKinds, unknown>;

/** One of several kinds, told apart by `kind`; each takes what is common to all, too. */
function oneOfKinds<Output>(
  kinds: Readonly<Record<string, AnyKind>>,
  common: z.ZodRawShape,
): z.ZodType<Output> {
  const branches = Object.entries(kinds).map(([kind, { options, batch }]) =>
    // With `safeExtend` the kind's own checks of the whole stay.
    options.safeExtend({
      kind: z.literal(kind),
      ...common,
      ...(batch === undefined
        ? {}
        : { batch: batchOf(batch).prefault({}).describe('How much is sent at once.') }),
    }),
  );
  const union = z.discriminatedUnion('kind', branches as unknown as [z.ZodObject, z.ZodObject]);
  return union as unknown as z.ZodType<Output>;
}

/** Strict everywhere: an unknown key is an error, so that a misspelt option is never ignored. */
export const configSchema = z.strictObject({
  gateway: gateway.prefault({}).describe('This gateway.'),
  data: data.prefault({}).describe('Where data is kept.'),
  log: log.prefault({}).describe('The event log.'),
  broker: brokerOptions.prefault({}).describe('The embedded MQTT broker.'),
  ingest: ingestOptions
    .optional()
    .describe(
      'How a message becomes readings; the first match wins. auto, the default, knows what is on most topics by its profiles, see profiles.md; in a list it stands for all of them. A profile is asked for by its name.',
    ),
  profiles: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A folder of profiles of your own: NAME.yaml. One that has the name of ours stands in its place.',
    ),
  schemas: z
    .record(name, schemaOptions)
    .prefault({})
    .describe('What readings must look like, in versions; see schemas.md.'),
  sources: z
    .record(
      name.refine((given) => given !== 'broker', 'is the name of the broker; choose another'),
      sourceSchema,
    )
    .prefault({})
    .describe('Where messages come from beside the broker.'),
  rules: z
    .record(name, oneOfKinds<RuleConfig>(ruleKinds, {}))
    .prefault({})
    .describe('What raises alerts.'),
  sinks: z
    .record(name, oneOfKinds<SinkConfig>(sinkKinds, sinkUse))
    .prefault({})
    .describe('Where events go beside the log.'),
  admin: z
    .strictObject({
      listen: z
        .string()
        .regex(/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, {
          abort: true,
          error: 'must be an address such as 127.0.0.1:8080 or [::1]:8080',
        })
        .refine((text) => portOf(text) <= 65_535, 'must have a port from 0 to 65535')
        .prefault('127.0.0.1:8080')
        .transform(addressOf)
        .describe('Address of health, metrics and status; port 0 takes any free one.'),
    })
    .prefault({})
    .describe('The HTTP interface for operators.'),
});

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function addressOf(address: string): { readonly host: string; readonly port: number } {
  const host = address.slice(0, address.lastIndexOf(':'));
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: portOf(address) };
}

type Parsed = z.output<typeof configSchema>;

/** The whole configuration, checked, with every default filled in. Deeply frozen. */
export type Config = Readonly<
  Omit<Parsed, 'gateway' | 'data' | 'ingest'> & {
    gateway: { readonly id: string; readonly waitForClock: number };
    /** An absolute path. */
    data: { readonly dir: string };
    /** Every mapping, those of profiles in their places. */
    ingest: readonly IngestMapping[];
  }
>;

/** Fills in the defaults that depend on the machine, and freezes. */
export function completeConfig(
  parsed: Parsed,
  machine: { readonly hostName: string; readonly dataDir: string },
  ingest: readonly IngestMapping[],
): Config {
  return deepFreeze({
    ...parsed,
    gateway: { ...parsed.gateway, id: parsed.gateway.id ?? gatewayIdOf(machine.hostName) },
    data: { dir: machine.dataDir },
    ingest,
  }) as Config;
}

function gatewayIdOf(hostName: string): string {
  return hostName.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 64) || 'tidegate';
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const each of Object.values(value)) deepFreeze(each);
  return Object.freeze(value);
}
