import { type Codec, type CodecFiles, DecodeError, type Found } from '../codec/codec.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import type { SchemaRegistry } from '../schema/registry.ts';
import type { Message } from '../source/source.ts';
import {
  type CompiledMapping,
  compileAll,
  levelsOf,
  payloadObjection,
  topicObjection,
} from './compiled-mapping.ts';
import { markingHistorical } from './historical.ts';
import {
  createRoute,
  foundBy,
  type MappedRoute,
  type Readings,
  type Route,
  type RouteParts,
} from './route.ts';

export type { Readings, Route } from './route.ts';

export interface MapperParts extends RouteParts {
  /** What codecs are configured with beside their options. */
  readonly codecFiles?: CodecFiles;
  readonly schemas?: SchemaRegistry;
}

/** Topics remembered, so that the patterns need not be tried again. */
const topicsMax = 10_000;
/** A longer topic is not worth the memory. */
const topicLengthMax = 512;

/**
 * Finds what a topic means by the first mapping that matches it; undefined where none does, and
 * under `tidegate/`, where the gateway itself speaks. Where mappings ask for something in the payload,
 * the first whose conditions hold counts.
 */
export function createMapper(
  mappings: readonly IngestMapping[],
  parts: MapperParts,
): (topic: string) => Route | undefined {
  const compiled = compileAll(mappings, parts.codecFiles);
  const routes = new Map<string, Route | undefined>();
  const seen = new SeenTopics();
  return (topic) => {
    const known = routes.get(topic);
    if (known !== undefined || routes.has(topic)) return known;
    const candidates = candidatesFor(topic, compiled, parts);
    const found = candidates.length > 1 ? firstThatFits(candidates) : onlyRoute(candidates[0]);
    const check = found === undefined ? undefined : parts.schemas?.forTopic(topic);
    const route = found === undefined || check === undefined ? found : checking(found, check);
    const isFull = routes.size >= topicsMax;
    if (topic.length <= topicLengthMax && (!isFull || seen.again(topic))) {
      if (isFull) routes.delete(routes.keys().next().value!);
      routes.set(topic, route);
    }
    return route;
  };
}

/** Topics of late of which it is known whether they have come before; by their hashes. */
const seenMax = 2 ** 14;

/**
 * Tells topics that come again from those that come once: of more topics than can be remembered each
 * would push out another before that one comes again.
 */
class SeenTopics {
  readonly #hashes = new Uint32Array(seenMax);

  /** Whether the topic was asked about not long ago. */
  again(topic: string): boolean {
    let hash = 0x811c9dc5;
    for (let at = 0; at < topic.length; at++) {
      hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
    }
    hash >>>= 0;
    const slot = (hash ^ (hash >>> 14)) & (seenMax - 1);
    if (this.#hashes[slot] === hash) return true;
    this.#hashes[slot] = hash;
    return false;
  }
}

/** The mappings for a topic, in order, up to the first that has no further conditions. */
export function candidatesFor(
  topic: string,
  compiled: readonly CompiledMapping[],
  parts: RouteParts,
): readonly MappedRoute[] {
  const candidates: MappedRoute[] = [];
  if (topic.startsWith('tidegate/')) return candidates;
  for (const mapping of compiled) {
    const levels = levelsOf(mapping, topic);
    if (levels === undefined || topicObjection(mapping, topic, levels) !== undefined) continue;
    const route = createRoute(mapping, topic, levels, parts);
    const { historicalAfter } = mapping.mapping;
    candidates.push(
      historicalAfter === undefined ? route : markingHistorical(route, historicalAfter),
    );
    if (mapping.ofPayload.length === 0) break;
  }
  return candidates;
}

function onlyRoute(route: MappedRoute | undefined): Route | undefined {
  return route === undefined || route.mapping.ofPayload.length === 0
    ? route
    : firstThatFits([route]);
}

/**
 * Asks one after the other. A codec that several share reads a message once; one with conditions
 * that cannot read it is passed over, unless none of the others can, either.
 */
function firstThatFits(candidates: readonly MappedRoute[]): Route {
  const last = candidates.at(-1)!;
  const pick = (message: Message): readonly [MappedRoute, Found] | undefined => {
    const read = new Map<Codec, Found | DecodeError>();
    let failure: DecodeError | undefined;
    for (const route of candidates) {
      const { codec, mapping } = route;
      if (mapping.mapping.ignore === true && mapping.ofPayload.length === 0) {
        return [route, nothing];
      }
      const found = read.get(codec) ?? tryReading(codec, message);
      read.set(codec, found);
      if (found instanceof DecodeError) failure ??= found;
      else if (payloadObjection(mapping, documentOf(found)) === undefined) return [route, found];
    }
    if (failure !== undefined) throw failure;
    return undefined;
  };
  return {
    codec: last.codec,
    subject: last.subject,
    read(message) {
      const picked = pick(message);
      return picked === undefined ? unmatched : picked[0].readFound(picked[1], message);
    },
    readingsOf(document, message) {
      const fits = candidates.find(({ mapping }) => {
        return payloadObjection(mapping, document) === undefined;
      });
      return fits === undefined ? unmatched : fits.readingsOf(document, message);
    },
  };
}

type Check = NonNullable<ReturnType<SchemaRegistry['forTopic']>>;

/** The same route, its readings as their schema leaves them. */
function checking(route: Route, check: Check): Route {
  const checked = (readings: Readings): Readings => {
    const { drafts, problem } = check(readings.drafts);
    const why = readings.problem ?? problem;
    return { ...readings, drafts, ...(why === undefined ? {} : { problem: why }) };
  };
  return {
    ...route,
    read: (message) => checked(route.read(message)),
    readingsOf: (document, message) => checked(route.readingsOf(document, message)),
  };
}

const nothing: Found = { document: null };
const unmatched: Readings = Object.freeze({ drafts: [], passed: 'unmatched' });

function tryReading(codec: Codec, message: Message): Found | DecodeError {
  try {
    return foundBy(codec, message);
  } catch (error) {
    if (error instanceof DecodeError) return error;
    throw error;
  }
}

/** Readings that name themselves have no payload that a condition could ask about. */
export function documentOf(found: Found) {
  return 'document' in found ? found.document : undefined;
}
