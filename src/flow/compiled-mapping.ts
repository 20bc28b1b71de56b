import type { Codec, CodecFiles, Document, FoundReading } from '../codec/codec.ts';
import { unpacking } from '../codec/content-encoding.ts';
import { createCodec } from '../codec/index.ts';
import { KnownLayouts } from '../codec/json-layout.ts';
import { topicPartOf } from '../codec/mapping-fields.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { type Path, parsePath, valueAt } from '../codec/path.ts';
import { createGlob } from '../event/glob.ts';
import { parseTopicPattern, type TopicPattern } from '../event/topic.ts';
import { createFieldReader, type FieldReader, type Fields, foundFieldReader } from './fields.ts';
import { type Identity, parseIdentity } from './identity.ts';
import { type TimeOf, timeOf } from './reading-time.ts';
import { isShaped } from './shaped-fields.ts';

/** One mapping and one of its topics, ready to be asked about a topic. */
export interface CompiledMapping {
  readonly mapping: IngestMapping;
  /** The one of its topics that this is for, as it is written. */
  readonly topic: string;
  readonly pattern: TopicPattern;
  readonly codec: Codec;
  readonly device: string;
  readonly measurement: string;
  /** Whether they stand whatever the payload says. */
  readonly deviceStands: boolean;
  readonly measurementStands: boolean;
  readonly time: TimeOf | undefined;
  readonly each: Path | undefined;
  /** How its devices write JSON, as far as that is known. */
  readonly layouts: KnownLayouts;
  readonly identity: Identity;
  /** Undefined where fields depend on more than paths: see `shaped-fields.ts`. */
  readonly fields: FieldReader | undefined;
  readonly foundFields: ((found: FoundReading) => Fields) | undefined;
  readonly ofTopic: readonly TopicCondition[];
  readonly ofPayload: readonly PayloadCondition[];
  /** Every topic that it matches begins so. */
  readonly head: string;
  readonly excluded: readonly TopicPattern[];
}

interface TopicCondition {
  readonly part: string;
  readonly fits: (text: string) => boolean;
}

interface PayloadCondition {
  readonly text: string;
  readonly path: Path;
  readonly fits: (value: Document | undefined) => boolean;
}

/** One for each topic of each mapping, in their order. Codecs without memory are shared. */
export function compileAll(
  mappings: readonly IngestMapping[],
  files: CodecFiles | undefined,
): readonly CompiledMapping[] {
  const shared = new Map<string, Codec>();
  const codecOf = ({ codec, contentEncoding }: IngestMapping): Codec => {
    const create = () => unpacking(createCodec(codec, files), contentEncoding);
    if (typeof codec !== 'string' || codec === 'sparkplug') return create();
    const key = `${codec} ${contentEncoding}`;
    const known = shared.get(key) ?? create();
    shared.set(key, known);
    return known;
  };
  return mappings.flatMap((mapping) => {
    const codec = codecOf(mapping);
    return mapping.topic.map((topic) => compile(mapping, parseTopicPattern(topic), topic, codec));
  });
}

function compile(
  mapping: IngestMapping,
  pattern: TopicPattern,
  topic: string,
  codec: Codec,
): CompiledMapping {
  const shaped = isShaped(mapping);
  const conditions = Object.entries(mapping.when ?? {}).map(
    ([text, patterns]) => [text, [patterns].flat().map(String)] as const,
  );
  return {
    mapping,
    topic,
    pattern,
    codec,
    device: mapping.device ?? (pattern.captures.includes('device') ? '{device}' : ''),
    measurement: mapping.measurement ?? defaultMeasurement(pattern),
    deviceStands: mapping.device !== undefined && mapping.isFallback !== true,
    measurementStands: mapping.measurement !== undefined && mapping.isFallback !== true,
    time: timeOf(mapping),
    layouts: new KnownLayouts(),
    each: mapping.each === undefined ? undefined : parsePath(mapping.each),
    identity: parseIdentity(mapping.identity),
    fields: shaped ? undefined : createFieldReader(mapping),
    foundFields: shaped ? undefined : foundFieldReader(mapping),
    ofTopic: conditions.flatMap(([text, patterns]) => {
      const part = topicPartOf(text);
      return part === undefined ? [] : [{ part, fits: createGlob(patterns) }];
    }),
    ofPayload: conditions.flatMap(([text, patterns]) =>
      topicPartOf(text) === undefined ? [payloadCondition(text, patterns)] : [],
    ),
    head: /^[^+#{]*/.exec(topic)![0].replace(/\/$/, ''),
    excluded: mapping.exclude.map(parseTopicPattern),
  };
}

function defaultMeasurement(pattern: TopicPattern): string {
  if (pattern.captures.includes('measurement')) return '{measurement}';
  return pattern.lastWord ?? 'reading';
}

function payloadCondition(text: string, patterns: readonly string[]): PayloadCondition {
  const glob = createGlob(patterns);
  const anything = patterns.some((pattern) => /^\*+$/.test(pattern));
  return {
    text,
    path: parsePath(text),
    fits(value) {
      if (value === undefined || value === null) return false;
      return typeof value === 'object' ? anything : glob(`${value}`);
    },
  };
}

/** What is known from a topic: its levels, those that are captured by name, and its parts. */
export function levelsOf(
  { pattern, head }: CompiledMapping,
  topic: string,
): ReadonlyMap<string, string> | undefined {
  if (!topic.startsWith(head)) return undefined;
  const captured = pattern.match(topic);
  if (captured === undefined) return undefined;
  const levels = new Map(pattern.captures.map((name, index) => [name, captured[index]!]));
  const slash = topic.lastIndexOf('/');
  levels.set('topic', topic);
  levels.set('parent', slash > 0 ? topic.slice(0, slash) : topic);
  levels.set('last', topic.slice(slash + 1));
  levels.set('rest', topic.split('/').slice(pattern.fixedLevels).join('/'));
  return levels;
}

/** The first condition on the topic that does not hold, as it is written; undefined where all do. */
export function topicObjection(
  compiled: CompiledMapping,
  topic: string,
  levels: ReadonlyMap<string, string>,
): string | undefined {
  if (compiled.excluded.some((pattern) => pattern.match(topic) !== undefined)) {
    return 'the topic is excluded';
  }
  const failed = compiled.ofTopic.find(({ part, fits }) => !fits(levels.get(part) ?? ''));
  return failed && `{${failed.part}} is ${JSON.stringify(levels.get(failed.part) ?? '')}`;
}

/** The first condition on the payload that does not hold; undefined where all do. */
export function payloadObjection(
  { ofPayload }: CompiledMapping,
  document: Document | undefined,
): string | undefined {
  const failed = ofPayload.find(({ path, fits }) => {
    return !fits(document === undefined ? undefined : valueAt(document, path));
  });
  if (failed === undefined) return undefined;
  const value = document === undefined ? undefined : valueAt(document, failed.path);
  const what =
    typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(`${value}`);
  return value === undefined ? `${failed.text} is not there` : `${failed.text} is ${what}`;
}
