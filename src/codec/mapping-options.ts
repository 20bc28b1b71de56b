/**
 * One entry of `ingest:` in the configuration: how messages on some topics become readings. It
 * lives here because both the configuration and `flow/mapping.ts` read it.
 *
 *   topic        sensors/{device}/{measurement}      captures device and measurement
 *   templates    {capture}                           a level captured from the topic
 *                {topic} {parent} {last}             the topic; all but its last level; its last level
 *                {payload.ids.name}                  what the payload has at the path ids.name
 *   paths        temp.value, rx.0.rssi, .            see `path.ts`
 */
import { z } from 'zod';
import { parseTemplate } from '../event/template.ts';
import { parseTopicPattern, type TopicPattern } from '../event/topic.ts';
import { contentEncodings } from './content-encoding.ts';
import { codecChoice, namesDevices } from './index.ts';
import { parsePath } from './path.ts';
import { timeUnits } from './timestamp.ts';

/** What a template may name beside captures and the payload. */
export const topicParts = ['topic', 'parent', 'last'] as const;
/** In a template: a path of the payload follows. */
export const payloadPrefix = 'payload.';
/** In `identity`: the name of an MQTT 5 user property follows. */
export const propertyPrefix = 'property:';

const shape = z.strictObject({
  topic: z
    .string()
    .min(1)
    .describe(
      'Topics, as sensors/{device}/{measurement}: {x} captures a level; # and + as in MQTT.',
    ),
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
    })
    .optional()
    .describe(
      'Where the payload says when it was measured. Before the year 2000, or more than a day ahead of the gateway, it is not believed: the time of arrival stands, and the claim is kept as a field. Default: the time of arrival.',
    ),
  fields: z
    .record(z.string().min(1).max(256), z.string())
    .optional()
    .describe(
      'Field name to path; a path to an object or array takes all its leaves. Default: every number, boolean and string, named by its path joined by _, but what serves as time, device, measurement or tag.',
    ),
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

export const ingestMappingOptions = shape.superRefine((mapping, context) => {
  const check = (path: (string | number)[], parse: () => unknown): void => {
    try {
      parse();
    } catch (error) {
      context.addIssue({ code: 'custom', path, message: (error as Error).message });
    }
  };
  const pattern = patternOf(mapping.topic, check);
  if (pattern === undefined) return;
  const template = (path: string[], text: string | undefined): void =>
    check(path, () => checkTemplate(text ?? '', pattern.captures));
  template(['device'], mapping.device);
  template(['measurement'], mapping.measurement);
  for (const name in mapping.tags) template(['tags', name], mapping.tags[name]);
  const named = pattern.captures.includes('device') || namesDevices(mapping.codec);
  if (mapping.device === undefined && !named) {
    const message = 'nothing names the device: capture {device} in the topic, or give a template';
    context.addIssue({ code: 'custom', path: ['device'], message });
  }
  if (mapping.time !== undefined) check(['time', 'path'], () => parsePath(mapping.time!.path));
  for (const name in mapping.fields) {
    check(['fields', name], () => parsePath(mapping.fields![name]!));
  }
  mapping.identity.forEach((each, index) => {
    if (!each.startsWith(propertyPrefix)) check(['identity', index], () => parsePath(each));
  });
});
export type IngestMapping = z.output<typeof ingestMappingOptions> & {
  /** Its device and measurement stand only where a payload names none. */
  readonly isFallback?: boolean;
};

type Check = (path: (string | number)[], parse: () => unknown) => void;

function patternOf(topic: string, check: Check): TopicPattern | undefined {
  let pattern: TopicPattern | undefined;
  check(['topic'], () => {
    pattern = parseTopicPattern(topic);
  });
  return pattern;
}

function checkTemplate(text: string, captures: readonly string[]): void {
  const known = [...captures, ...topicParts];
  for (const name of parseTemplate(text).names) {
    if (name.startsWith(payloadPrefix)) parsePath(name.slice(payloadPrefix.length));
    else if (!known.includes(name)) {
      const names = [...known, `${payloadPrefix}PATH`].map((each) => `{${each}}`).join(', ');
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
  ].map((mapping) => ({ ...ingestMappingOptions.parse(mapping), isFallback: true })),
);
