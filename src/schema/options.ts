import { z } from 'zod';
import { parseTopicPattern } from '../event/topic.ts';

const patterns = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

/** One entry of `schemas:`: what some readings look like, in versions. */
export const schemaOptions = z
  .strictObject({
    topic: patterns
      .optional()
      .describe('Readings from these topics, as sensors/+/climate. Default: every topic.'),
    measurement: patterns.optional().describe('Readings of these measurements; * and ? allowed.'),
    device: patterns.optional().describe('Readings of these devices; * and ? allowed.'),
    versions: z
      .record(
        z.string().regex(/^[1-9]\d{0,8}$/, 'must be a whole number from 1'),
        z.string().min(1),
      )
      .describe(
        'A file for each version: a JSON Schema of the data of an event, or a .proto file. The greatest number is the newest.',
      ),
    message: z
      .string()
      .min(1)
      .optional()
      .describe('With .proto files: the type that is compared, as plant.Reading.'),
    compatibility: z
      .enum(['backward', 'forward', 'full', 'none'])
      .default('backward')
      .describe(
        'What tidegate check asks of each version. backward: it takes all that the one before took; forward: the one before takes all of its; full: both.',
      ),
    validate: z
      .boolean()
      .default(false)
      .describe(
        'Whether readings are checked: with JSON Schemas. One that fits no version is kept as undecodable.',
      ),
  })
  .superRefine((schema, context) => {
    const add = (path: (string | number)[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    for (const topic of [schema.topic ?? []].flat()) {
      try {
        parseTopicPattern(topic);
      } catch (error) {
        add(['topic'], (error as Error).message);
      }
    }
    const files = Object.values(schema.versions);
    if (files.length === 0) add(['versions'], 'there is no version');
    const protos = files.filter(isProto).length;
    if (protos > 0 && protos < files.length) {
      add(['versions'], 'all versions must be JSON Schemas, or all .proto files');
    }
    if (protos > 0 && schema.message === undefined) {
      add(['message'], 'with .proto files, say which type of message is meant');
    }
    if (protos > 0 && schema.validate) {
      add(['validate'], 'the codec protobuf checks already; it is for JSON Schemas only');
    }
  });
export type SchemaOptions = z.output<typeof schemaOptions>;

export function isProto(file: string): boolean {
  return file.endsWith('.proto');
}
