import {
  type Codec,
  type CodecFiles,
  DecodeError,
  type Document,
  type FoundReading,
  type Reply,
} from '../codec/codec.ts';
import { unpacking } from '../codec/content-encoding.ts';
import { createCodec } from '../codec/index.ts';
import { type IngestMapping, propertyPrefix } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import { type TimeUnit, timestampMsOf } from '../codec/timestamp.ts';
import type { Draft, EventData } from '../event/event.ts';
import { hashIdOf } from '../event/hash-id.ts';
import { parseTopicPattern, type TopicPattern } from '../event/topic.ts';
import type { Clock } from '../platform/clock.ts';
import type { Message } from '../source/source.ts';
import { createFieldReader, type FieldReader, type Fields, foundFieldReader } from './fields.ts';
import { checkLength, foundTagReader, type Source, sourceOf, tagReader } from './naming.ts';

/** What the messages of one topic mean. */
export interface Route {
  readonly codec: Codec;
  /** Whom a message is about that cannot be read: the device, where the topic alone names it. */
  readonly subject: string;
  /** The readings in a message. Throws `DecodeError` when there is none. */
  read(message: Message): Readings;
  /**
   * The readings in a document, one for each element of an array of objects. What fits no reading
   * is left out, and `problem` says why of the first of it.
   */
  readingsOf(document: Document, message: Message): Readings;
}

export interface Readings {
  readonly drafts: readonly Draft<'reading'>[];
  readonly problem?: string;
  /** What the codec says to the other side. */
  readonly replies?: readonly Reply[];
}

export interface MapperParts {
  /** The `source` of the events. */
  readonly source: string;
  readonly clock: Clock;
  /** A device named a time that cannot be; its reading stands at the time of arrival. */
  readonly onRefusedTime: () => void;
  /** What codecs are configured with beside their options. */
  readonly codecFiles?: CodecFiles;
}

/** Topics remembered, so that the patterns need not be tried again. */
const topicsMax = 10_000;
/** A longer topic is not worth the memory. */
const topicLengthMax = 512;
const readingsMax = 10_000;

/**
 * Finds what a topic means by the first mapping that matches it; undefined where none does, and
 * under `tidegate/`, where the gateway itself speaks.
 */
export function createMapper(
  mappings: readonly IngestMapping[],
  parts: MapperParts,
): (topic: string) => Route | undefined {
  const compiled = mappings.map((mapping) => compile(mapping, parts.codecFiles));
  const routes = new Map<string, Route | undefined>();
  const find = (topic: string): Route | undefined => {
    if (topic.startsWith('tidegate/')) return undefined;
    for (const mapping of compiled) {
      const captured = mapping.pattern.match(topic);
      if (captured !== undefined) return createRoute(mapping, topic, captured, parts);
    }
    return undefined;
  };
  return (topic) => {
    const known = routes.get(topic);
    if (known !== undefined || routes.has(topic)) return known;
    const route = find(topic);
    if (topic.length <= topicLengthMax) {
      if (routes.size >= topicsMax) routes.delete(routes.keys().next().value!);
      routes.set(topic, route);
    }
    return route;
  };
}

interface CompiledMapping {
  readonly pattern: TopicPattern;
  readonly codec: Codec;
  readonly device: string;
  readonly measurement: string;
  /** Whether they stand whatever the payload says. */
  readonly deviceStands: boolean;
  readonly measurementStands: boolean;
  readonly tags: readonly (readonly [name: string, template: string])[];
  readonly time: { readonly path: Path; readonly unit: TimeUnit } | undefined;
  readonly fields: FieldReader;
  readonly foundFields: (found: FoundReading) => Fields;
  readonly identity: readonly (Path | { readonly property: string })[];
  /** Whether an element of an array can be told from the others by what it holds. */
  readonly elementsDiffer: boolean;
}

function compile(mapping: IngestMapping, files: CodecFiles | undefined): CompiledMapping {
  const pattern = parseTopicPattern(mapping.topic);
  const { time } = mapping;
  const identity = mapping.identity.map((text) =>
    text.startsWith(propertyPrefix)
      ? { property: text.slice(propertyPrefix.length) }
      : parsePath(text),
  );
  return {
    pattern,
    codec: unpacking(createCodec(mapping.codec, files), mapping.contentEncoding),
    device: mapping.device ?? (pattern.captures.includes('device') ? '{device}' : ''),
    measurement: mapping.measurement ?? defaultMeasurement(pattern),
    deviceStands: mapping.device !== undefined && mapping.isFallback !== true,
    measurementStands: mapping.measurement !== undefined && mapping.isFallback !== true,
    tags: Object.entries(mapping.tags),
    time: time === undefined ? undefined : { path: parsePath(time.path), unit: time.unit },
    fields: createFieldReader(mapping),
    foundFields: foundFieldReader(mapping),
    identity,
    elementsDiffer: identity.some((each) => Array.isArray(each)),
  };
}

function defaultMeasurement(pattern: TopicPattern): string {
  if (pattern.captures.includes('measurement')) return '{measurement}';
  return pattern.lastWord ?? 'reading';
}

function createRoute(
  mapping: CompiledMapping,
  topic: string,
  captured: readonly string[],
  parts: MapperParts,
): Route {
  const levels = new Map(mapping.pattern.captures.map((name, index) => [name, captured[index]!]));
  const slash = topic.lastIndexOf('/');
  levels.set('topic', topic);
  levels.set('parent', slash > 0 ? topic.slice(0, slash) : topic);
  levels.set('last', topic.slice(slash + 1));

  const device = sourceOf(mapping.device, levels);
  const measurement = sourceOf(mapping.measurement, levels);
  const tagsOf = tagReader(mapping.tags, levels);
  const nameOf = (source: Source, document: Document): string | undefined =>
    typeof source === 'string' ? source : source(document);
  const deviceOf = (document: Document): string => {
    const subject = nameOf(device, document);
    if (subject !== undefined && subject !== '') return subject;
    const why =
      mapping.device === ''
        ? 'neither topic nor payload has one'
        : `nothing stands for ${mapping.device}`;
    throw new DecodeError(`The device cannot be told: ${why}.`);
  };
  const measurementOf = (document: Document): string => nameOf(measurement, document) || 'reading';

  const readingOf = (document: Document, message: Message, index: number): Draft<'reading'> => {
    const subject = deviceOf(document);
    const name = measurementOf(document);
    checkLength('A device', subject);
    checkLength('A measurement', name);
    const claimed = mapping.time === undefined ? undefined : timeIn(document, mapping.time);
    const time = claimed === undefined ? message.receivedAt : believable(claimed, message, parts);
    const fields = mapping.fields.read(document, claimed !== undefined && time !== claimed);
    const data = { measurement: name, tags: tagsOf(document), fields };
    const id = identityOf([parts.source, subject, name], mapping, document, message, index);
    return draftOf(parts.source, subject, time, data, id);
  };
  const foundTagsOf = foundTagReader(mapping.tags.length > 0, tagsOf);
  const readingOfFound = (found: FoundReading, message: Message, index: number) => {
    // To the paths of a mapping it is a document like any other.
    const document = found as unknown as Document;
    const subject = (mapping.deviceStands ? undefined : found.device) || deviceOf(document);
    const name =
      (mapping.measurementStands ? undefined : found.measurement) || measurementOf(document);
    checkLength('A device', subject);
    checkLength('A measurement', name);
    const claimed = mapping.time === undefined ? found.time : timeIn(document, mapping.time);
    const time = claimed === undefined ? message.receivedAt : believable(claimed, message, parts);
    const all = mapping.foundFields(found);
    const isKept = claimed !== undefined && time !== claimed && !Number.isNaN(claimed);
    const fields = isKept ? { time: claimed, ...all } : all;
    const data = { measurement: name, tags: foundTagsOf(found, document), fields };
    const id = identityOf([parts.source, subject, name], mapping, document, message, index);
    const draft = draftOf(parts.source, subject, time, data, id);
    const { extensions } = found;
    return extensions === undefined ? draft : { ...draft, extensions };
  };
  const readingsOf = (document: Document, message: Message): Readings => {
    if (!isList(document)) return { drafts: [readingOf(document, message, 0)] };
    checkCount(document.length);
    return eachOf(document, (element, index) => readingOf(element, message, index));
  };
  const { codec } = mapping;
  return {
    codec,
    subject: typeof device === 'string' && device !== '' ? device : topic,
    readingsOf,
    read(message) {
      if (codec.find === undefined) return readingsOf(codec.decode(message.payload), message);
      const found = codec.find(message.payload, message.topic, message.receivedAt);
      const readings =
        'document' in found
          ? readingsOf(found.document, message)
          : ofFound(found.readings, message);
      const { problem, replies } = found;
      if (problem === undefined && replies === undefined) return readings;
      return { ...readings, ...(problem && { problem }), ...(replies && { replies }) };
    },
  };

  function ofFound(found: readonly FoundReading[], message: Message): Readings {
    checkCount(found.length);
    return eachOf(found, (each, index) => readingOfFound(each, message, index));
  }
}

function draftOf(
  source: string,
  subject: string,
  time: number,
  data: EventData['reading'],
  id: string | undefined,
): Draft<'reading'> {
  return id === undefined
    ? { type: 'reading', source, subject, time, data }
    : { type: 'reading', source, subject, time, data, id };
}

function checkCount(count: number): void {
  if (count > readingsMax) {
    throw new DecodeError(`More than ${readingsMax} readings in one message.`);
  }
}

/** An array of objects is several readings; any other array is one with several values. */
function isList(document: Document): document is readonly Document[] {
  return (
    Array.isArray(document) &&
    document.length > 0 &&
    document.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))
  );
}

function eachOf<T>(
  elements: readonly T[],
  readingOf: (element: T, index: number) => Draft<'reading'>,
): Readings {
  const drafts: Draft<'reading'>[] = [];
  let problem: string | undefined;
  elements.forEach((element, index) => {
    try {
      drafts.push(readingOf(element, index));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      problem ??= `Reading ${index + 1} of ${elements.length}: ${error.message}`;
    }
  });
  return problem === undefined ? { drafts } : { drafts, problem };
}

/** NaN for a claim that is no time; undefined where there is none. */
function timeIn(
  document: Document,
  { path, unit }: { readonly path: Path; readonly unit: TimeUnit },
): number | undefined {
  const claim = valueAt(document, path);
  return claim === undefined || claim === null ? undefined : timestampMsOf(claim, unit);
}

const year2000 = Date.UTC(2000, 0, 1);
const year2025 = Date.UTC(2025, 0, 1);
const year2100 = Date.UTC(2100, 0, 1);
const dayMs = 86_400_000;

/**
 * The time a device claims, or else the time of arrival. Without a set clock it says a time of the
 * last century, and what lies ahead of a clock that is set must be wrong too.
 */
function believable(claimed: number, message: Message, parts: MapperParts): number {
  const { receivedAt } = message;
  if (claimed >= year2000 && claimed <= receivedAt + dayMs) return claimed;
  const isAhead = claimed > receivedAt && claimed < year2100;
  // The gateway may be the one that is wrong: this program is younger than 2025.
  const mayBeBehind = receivedAt < year2025 || parts.clock.quality() === 'unsynchronised';
  if (isAhead && mayBeBehind) return claimed;
  parts.onRefusedTime();
  return receivedAt;
}

/**
 * Adds what makes the reading unique to what it is of, and names it by that. Undefined unless the
 * message has all of it: what cannot be told apart is never dropped.
 */
function identityOf(
  of: (string | number | bigint | boolean)[],
  mapping: CompiledMapping,
  document: Document,
  message: Message,
  index: number,
): string | undefined {
  if (mapping.identity.length === 0) return undefined;
  for (const each of mapping.identity) {
    const value = 'property' in each ? propertyOf(message, each.property) : valueAt(document, each);
    if (value === undefined || value === null || typeof value === 'object') return undefined;
    of.push(value);
  }
  if (!mapping.elementsDiffer) of.push(index);
  return hashIdOf(of);
}

function propertyOf(message: Message, name: string): string | undefined {
  const { properties } = message;
  if (properties === undefined || !Object.hasOwn(properties, name)) return undefined;
  const value = properties[name]!;
  return typeof value === 'string' ? value : value.join('\n');
}
