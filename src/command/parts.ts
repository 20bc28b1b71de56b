import type { IngestMapping } from '../codec/mapping-options.ts';
import { type OwnMappingOptions, ownMappingKeys, ownMappingOf } from '../codec/own-mapping.ts';
import type { Config, SinkConfig } from '../config/config.ts';
import { createFilter, type Select, selectedTypes } from '../event/filter.ts';
import type { SinkUse } from '../flow/lanes.ts';
import type { GatewayParts } from '../gateway.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Random } from '../platform/random.ts';
import type { Secrets } from '../platform/secrets.ts';
import { ruleKinds } from '../rule/index.ts';
import type { Rule, RuleKind } from '../rule/rule.ts';
import { type SinkKind, sinkKinds } from '../sink/index.ts';
import type { Sink } from '../sink/sink.ts';
import { createHttpSource } from '../source/http.ts';
import { type SourceKind, sourceKinds } from '../source/index.ts';
import type { Source } from '../source/source.ts';

/** What the configured parts are made with. */
export interface Doors {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly secrets: Secrets;
  readonly version: string;
}

/** The rules of the configuration, in its order. */
export function createRules(config: Config): Rule[] {
  return Object.entries(config.rules).map(([name, { kind, ...options }]) =>
    (ruleKinds[kind] as RuleKind).create(options, { name }),
  );
}

/** What is open without being configured: messages by HTTP, from this machine. */
const httpByDefault = 'http';

/** The sources beside the broker, and how the messages of those are read that have no topics. */
export function createSources(
  config: Config,
  doors: Doors & { readonly metrics: Metrics },
): Pick<GatewayParts, 'sourceMappings' | 'claimsIds'> & { readonly sources: Source[] } {
  const gateway = config.gateway.id;
  const mappings = new Map<string, IngestMapping[]>();
  const sources = Object.entries(config.sources).map(([name, { kind, ...given }]) => {
    const { create, mapping } = sourceKinds[kind] as SourceKind;
    const [own, options] = mapping === undefined ? [{}, given] : split(given);
    const defaults = mapping?.({ name, gateway });
    if (defaults !== undefined) {
      const origin = `sources.${name}`;
      mappings.set(name, [ownMappingOf(own as OwnMappingOptions, defaults, origin)]);
    }
    const dataFolder = config.data.dir;
    return create(options as never, { ...doors, name, gateway, dataFolder });
  });
  const posts = Object.values(config.sources).some(({ kind }) => kind === 'http');
  if (!posts && !(httpByDefault in config.sources)) {
    sources.push(createHttpSource({}, { ...doors, name: httpByDefault }));
  }
  return { sources, sourceMappings: mappings, claimsIds: posts };
}

/** The keys of the mapping, and the others. */
function split(given: object): [object, object] {
  const isOwn = ([key]: [string, unknown]) => ownMappingKeys.some((own) => own === key);
  const entries = Object.entries(given);
  return [
    Object.fromEntries(entries.filter(isOwn)),
    Object.fromEntries(entries.filter((entry) => !isOwn(entry))),
  ];
}

/** One sink of the configuration: connects to nothing yet. */
export function createSink(name: string, config: Config, doors: Doors): Sink {
  const { kind, select, batch, retry, expire, from, catchUp, ...options } = config.sinks[name]!;
  return (sinkKinds[kind] as SinkKind).create(options as never, {
    ...doors,
    name,
    gateway: config.gateway.id,
    dataFolder: config.data.dir,
  });
}

/** The sinks of the configuration, in its order, and how each is to be used. */
export function createSinkUses(config: Config, doors: Doors): SinkUse[] {
  return Object.entries(config.sinks).map(([name, options]) =>
    sinkUseOf(createSink(name, config, doors), options as SinkConfig),
  );
}

function sinkUseOf(sink: Sink, options: SinkConfig): SinkUse {
  const type = options.select?.type ?? [...sink.types];
  const select = { ...withoutUndefined(options.select ?? {}), type } as Select;
  const types = new Set(selectedTypes(type));
  const accepts = createFilter(select);
  const { behindAge, rate, ...bounds } = options.catchUp;
  const kindBatch = (sinkKinds[options.kind] as SinkKind).batch;
  return {
    sink,
    accepts,
    lanes: {
      alerts: [...types].some((type) => type !== 'reading'),
      readings: types.has('reading'),
    },
    batch: { ...kindBatch, ...withoutUndefined(options.batch) },
    retry: options.retry,
    from: options.from,
    catchUp: { ...bounds, behindAgeMs: behindAge, ...(rate === undefined ? {} : { rate }) },
    ...(options.expire === undefined ? {} : { expireMs: options.expire }),
  };
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined),
  ) as Partial<T>;
}
