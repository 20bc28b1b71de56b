/**
 * One entry of `ingest:` in the configuration: how messages on some topics become readings. It
 * lives here because both the configuration and `flow/mapping.ts` read it.
 *
 *   topic        sensors/{device}/{measurement}      captures device and measurement
 *   templates    {capture}                           a level captured from the topic
 *                {topic} {parent} {last} {rest}      the topic; all but its last level; its last level;
 *                                                    what # stands for
 *                {payload.ids.name}                  what the payload has at the path ids.name
 *                {key}                               with each: the name or number of the element
 *   paths        temp.value, rx.0.rssi, .            see `path.ts`
 *
 * Templates and `time` look into the whole payload; with `each`, `fields` and `omit` into the element.
 */
import { z } from 'zod';
import { parseTemplate } from '../event/template.ts';
import { parseTopicPattern, type TopicPattern } from '../event/topic.ts';
import { duration } from '../kind/kind.ts';
import { contentEncodings } from './content-encoding.ts';
import { codecChoice, namesDevices } from './index.ts';
import {
  type FieldChoice,
  fieldChoice,
  leaves,
  topicPartOf,
  valueTable,
} from './mapping-fields.ts';
import { parsePath } from './path.ts';
import { isZone, timeUnits } from './timestamp.ts';

/** What a template may name beside captures and the payload. */
export const topicParts = ['topic', 'parent', 'last', 'rest'] as const;
/** In a template: the name of the element, where the mapping has `each`. */
export const elementKey = 'key';
/** In a template: a path of the payload follows. */
export const payloadPrefix = 'payload.';
/** In `identity`: the name of an MQTT 5 user property follows. */
export const propertyPrefix = 'property:';

const condition = z.union([z.string(), z.number(), z.boolean()]);

/** Of a mapping, before what concerns several of its keys is checked. */
export const shape = z.strictObject({
  topic: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(100)])
    .describe(
      'Topics, as sensors/{device}/{measurement}: {x} captures a level; # and + as in MQTT. Or a list of such.',
    ),
  exclude: z
    .array(z.string().min(1))
    .max(100)
    .default([])
    .describe('Topics that it is not for all the same: the next mappings are asked.'),
  when: z
    .record(z.string().min(1), z.union([condition, z.array(condition).min(1)]))
    .optional()
    .describe(
      'Only for messages that have this: a path of the payload, or {capture}, to a text, a pattern with * and ?, or a list of them; * alone is anything that is there. Else the next mappings are asked.',
    ),
  ignore: z
    .literal(true)
    .optional()
    .describe('Such messages are brokered and counted, but not recorded.'),
  codec: codecChoice
    .prefault('auto')
    .describe(
      'How the bytes are read: a name, or { kind: NAME, … } with options, see codecs.md. auto: JSON, SenML, line protocol or CBOR where it is plainly that, else text.',
    ),
  contentEncoding: z
    .enum(contentEncodings)
    .default('auto')
    .describe('How the bytes are packed. auto: gzip and zstd are known by their first bytes.'),
  device: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The device: a template such as {plant}-{line} or {payload.ids.name}. Default: what the payload says, in SenML and line protocol; else {device}, captured from the topic.',
    ),
  measurement: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The measurement: a template. Default: what the payload says, in line protocol; else {measurement}, if the topic captures it, else the last plain word of the pattern, else reading.',
    ),
  time: z
    .strictObject({
      path: z.string().describe('Path of the time in the payload.'),
      unit: z
        .enum(timeUnits)
        .default('auto')
        .describe('auto: ISO 8601 text, or a number whose unit is guessed by its size.'),
      zone: z
        .string()
        .refine(isZone, 'must be utc, guess, or an offset such as +01:00')
        .default('utc')
        .describe(
          'The zone of a text that names none: an offset such as +01:00, utc, or guess, which takes a time that is a whole number of quarter hours away from the arrival for local time.',
        ),
    })
    .optional()
    .describe(
      'Where the payload says when it was measured. Before the year 2000, or more than a day ahead of the gateway, it is not believed: the time of arrival stands, and the claim is kept as a field. Default: the time of arrival.',
    ),
  historicalAfter: duration
    .optional()
    .describe(
      'Readings that are older than this when they arrive, as those a device kept while it was away, are marked historical: rules raise no alert for them. Needs time, or a payload that names it.',
    ),
  each: z
    .string()
    .optional()
    .describe(
      'A path to a list, or to an object: each element is a reading, whose fields are looked for in it. {key} is its name.',
    ),
  fields: z
    .record(z.string().min(1).max(256), fieldChoice)
    .optional()
    .describe(
      "Field name to path; a path to an object or array takes all its leaves, '*' under their own names alone. {capture} may stand in names, and instead of a path. { path: … } says more. Default: every number, boolean and string, named by its path joined by _, but what serves as time, device, measurement or tag.",
    ),
  omit: z
    .array(z.string().min(1))
    .default([])
    .describe('Paths that are no fields; * stands for any name.'),
  values: valueTable
    .optional()
    .describe(
      'What texts of fields stand for, such as { ON: true, OFF: false }; null: there is no value.',
    ),
  units: z
    .record(z.string().min(1), z.string())
    .optional()
    .describe(
      'Units by field, or pattern with * and ?; the first that fits and is complete is kept as a text beside the value, named with _unit behind. A template.',
    ),
  allowEmpty: z
    .boolean()
    .default(false)
    .describe('Whether a message without any value is nothing, instead of an undecodable event.'),
  tags: z
    .record(z.string().min(1).max(256), z.string())
    .default({})
    .describe('Tags: fixed texts, or templates. A tag without a value is left out.'),
  identity: z
    .array(z.string())
    .default([])
    .describe(
      'What makes a message of a device unique for ever: paths of the payload, or property:NAME for an MQTT 5 user property. A repeat is dropped. A counter that starts again at a reboot is not enough alone.',
    ),
});

export const ingestMappingOptions = shape
  .superRefine((mapping, context) => {
    const check = (path: (string | number)[], parse: () => unknown): void => {
      try {
        parse();
      } catch (error) {
        context.addIssue({ code: 'custom', path, message: (error as Error).message });
      }
    };
    const patterns = topicsOf(mapping.topic).flatMap((topic, index) => {
      const path = typeof mapping.topic === 'string' ? ['topic'] : ['topic', index];
      return patternOf(topic, path, check) ?? [];
    });
    mapping.exclude.forEach((topic, index) => {
      patternOf(topic, ['exclude', index], check);
    });
    for (const captures of patterns.map((pattern) => pattern.captures)) {
      checkMapping(mapping, captures, check);
    }
    const named = patterns.every(({ captures }) => captures.includes('device'));
    const needsDevice = mapping.device === undefined && mapping.ignore !== true;
    if (needsDevice && !named && !namesDevices(mapping.codec)) {
      const message = 'nothing names the device: capture {device} in the topic, or give a template';
      context.addIssue({ code: 'custom', path: ['device'], message });
    }
  })
  .transform(({ topic, ...mapping }) => ({ ...mapping, topic: topicsOf(topic) }));
export type IngestMapping = z.output<typeof ingestMappingOptions> & {
  /** Its device and measurement stand only where a payload names none. */
  readonly isFallback?: boolean;
  /** Where it stands, for people: `ingest[2]`, `profile tasmota, mapping 3`. */
  readonly origin?: string;
};

type Mapping = z.output<typeof shape>;
type Check = (path: (string | number)[], parse: () => unknown) => void;

function topicsOf(topic: string | readonly string[]): readonly string[] {
  return typeof topic === 'string' ? [topic] : topic;
}

/** Everything but the topics. */
export function checkMapping(
  mapping: Omit<Mapping, 'topic' | 'exclude' | 'codec'>,
  captures: readonly string[],
  check: Check,
): void {
  const known = [...captures, ...topicParts];
  const inElement = mapping.each === undefined ? known : [...known, elementKey];
  const template = (path: string[], text: string | undefined): void =>
    check(path, () => checkTemplate(text ?? '', inElement));
  template(['device'], mapping.device);
  template(['measurement'], mapping.measurement);
  for (const name in mapping.tags) template(['tags', name], mapping.tags[name]);
  for (const name in mapping.units) template(['units', name], mapping.units[name]);
  if (mapping.time !== undefined) check(['time', 'path'], () => parsePath(mapping.time!.path));
  if (mapping.each !== undefined) check(['each'], () => parsePath(mapping.each!));
  for (const name in mapping.fields) {
    check(['fields', name], () => checkField(name, mapping.fields![name]!, known));
  }
  for (const path in mapping.when) {
    check(['when', path], () => checkPlace(path, known));
  }
  mapping.omit.forEach((each, index) => {
    check(['omit', index], () => parsePath(each));
  });
  mapping.identity.forEach((each, index) => {
    if (!each.startsWith(propertyPrefix)) check(['identity', index], () => parsePath(each));
  });
}

function checkField(name: string, choice: FieldChoice, known: readonly string[]): void {
  if (name !== leaves) checkTemplate(name, known, true);
  checkPlace(typeof choice === 'string' ? choice : choice.path, known);
}

/** A path of the payload, or `{capture}`. */
function checkPlace(text: string, known: readonly string[]): void {
  const part = topicPartOf(text);
  if (part === undefined) parsePath(text);
  else checkTemplate(text, known, true);
}

function patternOf(
  topic: string,
  path: (string | number)[],
  check: Check,
): TopicPattern | undefined {
  let pattern: TopicPattern | undefined;
  check(path, () => {
    pattern = parseTopicPattern(topic);
  });
  return pattern;
}

function checkTemplate(text: string, known: readonly string[], ofTopic = false): void {
  for (const name of parseTemplate(text).names) {
    if (!ofTopic && name.startsWith(payloadPrefix)) parsePath(name.slice(payloadPrefix.length));
    else if (!known.includes(name)) {
      const all = ofTopic ? known : [...known, `${payloadPrefix}PATH`];
      const names = all.map((each) => `{${each}}`).join(', ');
      throw new Error(`{${name}} is not captured by the topic; there are ${names}`);
    }
  }
}

/** What holds when no mapping is configured. Everything is ingested, and no two devices mix. */
export const defaultIngestMappings: readonly IngestMapping[] = Object.freeze(
  [
    { topic: 'spBv1.0/#', codec: 'sparkplug' },
    { topic: 'sensors/{device}/{measurement}' },
    { topic: 'zigbee2mqtt/{device}' },
    { topic: '{device}/{measurement}' },
    { topic: '{device}' },
    { topic: '#', device: '{parent}', measurement: '{last}' },
  ].map((mapping) => ({
    ...ingestMappingOptions.parse(mapping),
    isFallback: true,
    origin: 'auto',
  })),
);
