import { z } from 'zod';
import { auto } from './auto.ts';
import { bytes } from './bytes.ts';
import { cbor } from './cbor.ts';
import type { Codec, CodecFiles, CodecKind } from './codec.ts';
import { csv } from './csv.ts';
import { json } from './json.ts';
import { lineProtocol } from './line-protocol.ts';
import { protobuf } from './protobuf.ts';
import { senml } from './senml.ts';
import { sparkplug } from './sparkplug.ts';
import { text } from './text.ts';

/** Every kind of codec there is. To add one: write the file, add it here and to `config/samples`. */
export const codecKinds = {
  auto,
  bytes,
  cbor,
  csv,
  json,
  'line-protocol': lineProtocol,
  protobuf,
  senml,
  sparkplug,
  text,
} as const satisfies Record<string, CodecKind>;

export type CodecName = keyof typeof codecKinds;
export const codecNames = Object.keys(codecKinds) as [CodecName, ...CodecName[]];

/** A codec as a mapping names it: `json`, or `{ kind: csv, delimiter: ; }` with its options. */
export type CodecChoice = CodecName | { readonly kind: CodecName };

const kindsByName: Readonly<Record<CodecName, CodecKind>> = codecKinds;

/** Its options are those of the schema below; a name alone stands for the defaults. */
export function createCodec(choice: CodecChoice, files: CodecFiles = new Map()): Codec {
  if (typeof choice === 'string') {
    const kind = kindsByName[choice];
    return kind.create(kind.options.parse({}), files);
  }
  const { kind, ...options } = choice;
  return kindsByName[kind].create(options, files);
}

/** Whether the payloads of a codec name their devices themselves. */
export function namesDevices(choice: CodecChoice): boolean {
  return kindsByName[typeof choice === 'string' ? choice : choice.kind].namesDevices === true;
}

const nameAlone = z.enum(codecNames).superRefine((name, context) => {
  const needed = kindsByName[name].options.safeParse({}).error?.issues[0];
  if (needed === undefined) return;
  const what = String(needed.path[0] ?? 'options');
  const message = `${name} cannot do without ${what}: write codec: { kind: ${name}, ${what}: … }`;
  context.addIssue({ code: 'custom', message });
});

const withOptions = z.discriminatedUnion(
  'kind',
  codecNames.map((kind) =>
    // With `safeExtend` the kind's own checks of the whole stay.
    kindsByName[kind].options.safeExtend({ kind: z.literal(kind) }),
  ) as unknown as [z.ZodObject, z.ZodObject],
);

/** What `codec:` of a mapping may be; the output is a `CodecChoice`. */
export const codecChoice = z.union([nameAlone, withOptions]) as unknown as z.ZodType<CodecChoice>;
