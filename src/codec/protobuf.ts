import { z } from 'zod';
import { parseTopicPattern } from '../event/topic.ts';
import {
  type Codec,
  type CodecFiles,
  type CodecKind,
  DecodeError,
  type Document,
} from './codec.ts';
import { ProtobufDecoder } from './protobuf-decoder.ts';
import { encodeProtobuf } from './protobuf-encoder.ts';
import { createPlans, type MessagePlan } from './protobuf-plan.ts';
import { readSchema, type Schema, type SchemaProblem } from './protobuf-schema.ts';

/** Topics of which the message type is remembered. */
const topicsMax = 10_000;

const typeName = z
  .string()
  .regex(/^\.?[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/, 'must be a name such as plant.Reading');

const options = z
  .strictObject({
    files: z
      .array(z.string().min(1))
      .min(1)
      .max(50)
      .describe(
        'The .proto files, relative to the folder of the configuration. What they import is looked for beside them; google/protobuf/… is there already.',
      ),
    message: typeName
      .optional()
      .describe('The type of a message, with its package: plant.Reading. For all other topics.'),
    messages: z
      .record(z.string().min(1), typeName)
      .optional()
      .describe('Types by topic pattern, as plant/+/status: plant.Status; the first match counts.'),
    readings: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A repeated field whose elements are the readings; what stands beside it belongs to each.',
      ),
    enums: z.enum(['name', 'number']).default('name').describe('What becomes of an enum.'),
    defaults: z
      .enum(['include', 'omit'])
      .default('include')
      .describe(
        'What becomes of a field without presence that was not sent: a 0 is not sent in proto3. include: its default.',
      ),
  })
  .superRefine(({ message, messages }, context) => {
    if (message === undefined && Object.keys(messages ?? {}).length === 0) {
      const problem = 'nothing names the type of a message: give message, or messages by topic';
      context.addIssue({ code: 'custom', path: ['message'], message: problem });
    }
    for (const pattern of Object.keys(messages ?? {})) {
      try {
        parseTopicPattern(pattern);
      } catch (error) {
        const problem = (error as Error).message;
        context.addIssue({ code: 'custom', path: ['messages', pattern], message: problem });
      }
    }
  });
export type ProtobufOptions = z.output<typeof options>;

/** What is wrong with a schema, or with what the options say about it: `option` is their path. */
export type ProtobufProblem =
  | SchemaProblem
  | { readonly option: readonly string[]; readonly message: string };

/** Everything that keeps the codec from being made of these files. */
export function protobufProblems(options: ProtobufOptions, files: CodecFiles): ProtobufProblem[] {
  const read = readSchema(options.files, files);
  return 'problems' in read ? [...read.problems] : typeProblems(options, read.schema);
}

function typeProblems(options: ProtobufOptions, schema: Schema): ProtobufProblem[] {
  const named = Object.entries(options.messages ?? {}).map(
    ([pattern, name]) => [['messages', pattern], name] as const,
  );
  const all =
    options.message === undefined ? named : [[['message'], options.message] as const, ...named];
  return all.flatMap(([option, name]): ProtobufProblem[] => {
    const type = schema.typeOf(name);
    const { readings } = options;
    if (type === undefined) {
      const known = schema.names.slice(0, 20).join(', ');
      return [{ option, message: `there is no message ${name}; there are ${known || 'none'}` }];
    }
    if (readings === undefined || type.fields[readings]?.repeated === true) return [];
    return [{ option: ['readings'], message: `${name} has no repeated field ${readings}` }];
  });
}

/**
 * Protocol Buffers by the user's own schema: proto2, proto3 and editions, in the binary format. A
 * document has the fields under their names in the schema; 64-bit numbers are exact, enums are
 * names, bytes are base64, a Timestamp is milliseconds since the epoch and a Duration seconds,
 * wrappers and Struct are what they hold. Refused, beside what is cut off or no such message: more
 * than 32 levels, more than 20,000 elements.
 */
export function createProtobufCodec(options: ProtobufOptions, files: CodecFiles): Codec {
  const read = readSchema(options.files, files);
  if ('problems' in read) throw new Error(read.problems.map(problemText).join(' '));
  const { schema } = read;
  const planOf = createPlans(options);
  const typed = (name: string): MessagePlan => {
    const type = schema.typeOf(name);
    if (type === undefined) throw new Error(`There is no message ${name} in the schema.`);
    return planOf(type);
  };
  const { message, messages, readings } = options;
  const standard = message === undefined ? undefined : typed(message);
  const byTopic = Object.entries(messages ?? {}).map(
    ([pattern, name]) => [parseTopicPattern(pattern), typed(name)] as const,
  );
  const decoder = new ProtobufDecoder();
  const decode = (payload: Uint8Array, plan: MessagePlan | undefined): Document => {
    if (plan === undefined)
      throw new DecodeError('No type of message is configured for the topic.');
    const document = decoder.decode(payload, plan);
    return readings === undefined ? document : elementsOf(document, readings);
  };
  const encodeAs = (standard ?? byTopic[0]![1]).type;
  const codec: Codec = {
    name: 'protobuf',
    contentType: 'application/x-protobuf',
    decode: (payload) => decode(payload, standard),
    encode: (document) => encodeProtobuf(document, encodeAs),
  };
  if (byTopic.length === 0) return codec;
  const planFor = remembering((topic) => {
    const found = byTopic.find(([pattern]) => pattern.match(topic) !== undefined);
    return found === undefined ? standard : found[1];
  });
  return { ...codec, find: (payload, topic) => ({ document: decode(payload, planFor(topic)) }) };
}

export const protobuf = { options, create: createProtobufCodec } as const satisfies CodecKind;

export function problemText({ file, line, message }: SchemaProblem): string {
  return `${file}${line === undefined ? '' : `:${line}`}: ${message}.`;
}

/** Each element with what stands beside the list. */
function elementsOf(document: Document, name: string): Document {
  const { [name]: list, ...rest } = document as Readonly<Record<string, Document>>;
  if (list === undefined) throw new DecodeError(`There is no reading in it: ${name} is empty.`);
  return (list as readonly Document[]).map((element) => {
    const isMessage = typeof element === 'object' && element !== null && !Array.isArray(element);
    return isMessage ? { ...rest, ...element } : { ...rest, [name]: element };
  });
}

function remembering<T>(find: (topic: string) => T): (topic: string) => T {
  const known = new Map<string, T>();
  return (topic) => {
    const there = known.get(topic);
    if (there !== undefined || known.has(topic)) return there as T;
    const found = find(topic);
    if (known.size >= topicsMax) known.delete(known.keys().next().value!);
    known.set(topic, found);
    return found;
  };
}
