/**
 * Bytes with a layout that the configuration draws: a C struct, the payload of a LoRaWAN device.
 *
 *   header   read once; what it holds belongs to every record
 *   layout   one record; with `repeat`, as many as there are
 *   layouts  the same by a number in the header, which `select` names
 *
 * As a document: { temperature: 21.5, … }, or a list of such with `repeat`.
 */
import { z } from 'zod';
import { type FieldOptions, fieldOptions } from './bytes-field.ts';
import { createLayout, type Layout, LayoutError, type Row } from './bytes-layout.ts';
import { cayenneBytesOf, cayenneDocumentOf } from './cayenne.ts';
import { type Codec, type CodecKind, DecodeError, type Document } from './codec.ts';
import { jsonCodec } from './json.ts';
import { parsePath, valueAt } from './path.ts';
import { textOf } from './utf8.ts';

/** Records in one payload. */
const recordsMax = 10_000;

const fieldList = z.array(fieldOptions).min(1).max(256);

const shape = z.strictObject({
  layout: z
    .union([z.literal('cayenne'), fieldList])
    .optional()
    .describe('The fields of a record in order; or cayenne, the Cayenne Low Power Payload.'),
  layouts: z
    .record(z.string(), fieldList)
    .optional()
    .describe('Instead of layout: several, each under a number that select finds.'),
  select: z
    .string()
    .optional()
    .describe('The field of the header that says which of the layouts follows.'),
  header: fieldList.optional().describe('Fields in front; they belong to every record.'),
  repeat: z.boolean().default(false).describe('Whether records follow each other to the end.'),
  endian: z.enum(['big', 'little']).default('big').describe('Which byte of a number comes first.'),
  rest: z
    .enum(['refuse', 'ignore'])
    .default('refuse')
    .describe('What becomes of bytes behind the layout. refuse: the payload has another layout.'),
  input: z
    .enum(['raw', 'hex', 'base64'])
    .optional()
    .describe('How the bytes are written. Default: raw; within JSON base64.'),
  path: z
    .string()
    .optional()
    .describe(
      'Where in a JSON document the bytes stand, such as uplink_message.frm_payload; what they hold takes their place.',
    ),
});
type Options = z.output<typeof shape>;

const options = shape.superRefine((value, context) => {
  const { layout, layouts, select, header, repeat, endian } = value;
  const add = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message });
  if ((layout === undefined) === (layouts === undefined)) {
    add(['layout'], 'there must be a layout, or layouts and select');
  }
  if (layout === 'cayenne' && (header !== undefined || repeat)) {
    add(['layout'], 'cayenne has neither header nor repeat: its values say what they are');
  }
  const lists: (readonly [(string | number)[], readonly FieldOptions[] | undefined])[] = [
    [['header'], header],
    [['layout'], layout === 'cayenne' ? undefined : layout],
    ...Object.entries(layouts ?? {}).map(([key, list]) => [['layouts', key], list] as const),
  ] as const as (readonly [(string | number)[], readonly FieldOptions[] | undefined])[];
  for (const [path, list] of lists) {
    try {
      const made = list === undefined ? undefined : createLayout(list, endian);
      if (made?.isOpen && (repeat || path[0] === 'header')) {
        add(
          [...path, list!.length - 1, 'length'],
          'only the last record may take all that is left',
        );
      }
    } catch (error) {
      if (!(error instanceof LayoutError)) throw error;
      add([...path, error.index], error.message);
    }
  }
  if ((layouts === undefined) !== (select === undefined)) {
    add(['select'], 'layouts and select belong together');
  } else if (select !== undefined && !header?.some(({ name }) => name === select)) {
    add(['select'], `the header has no field ${select}`);
  }
  if (value.path !== undefined) {
    try {
      parsePath(value.path);
    } catch (error) {
      add(['path'], (error as Error).message);
    }
  }
});

export const bytes = { options, create: createBytesCodec } as const satisfies CodecKind;

/** Throws `LayoutError` for a layout that the schema above would refuse. */
export function createBytesCodec(settings: Options): Codec {
  const inner = settings.layout === 'cayenne' ? cayenne : createRecords(settings);
  const { input, path } = settings;
  const place = path === undefined ? undefined : parsePath(path);
  const plain = (text: string): Buffer => bytesOf(text, input === 'hex' ? 'hex' : 'base64');
  const isRaw = input === undefined || input === 'raw';
  return {
    name: 'bytes',
    contentType: 'application/octet-stream',
    decode(payload) {
      if (place === undefined) {
        return inner.decode(isRaw ? bufferOf(payload) : plain(textOf(payload)));
      }
      const document = jsonCodec.decode(payload);
      const text = valueAt(document, place);
      if (typeof text !== 'string') throw new DecodeError(`There is no text at ${path}.`);
      return replaced(document, place, inner.decode(plain(text)));
    },
    encode(document) {
      const written = (node: Document): string =>
        inner.encode(node).toString(input === 'hex' ? 'hex' : 'base64');
      if (place !== undefined) {
        const node = written(valueAt(document, place) ?? {});
        return jsonCodec.encode(replaced(document, place, node));
      }
      return isRaw ? inner.encode(document) : Buffer.from(written(document));
    },
  };
}

interface Records {
  decode(payload: Buffer): Document;
  encode(document: Document): Buffer;
}

const cayenne: Records = { decode: cayenneDocumentOf, encode: cayenneBytesOf };

function createRecords({
  header,
  layout,
  layouts,
  select,
  repeat,
  endian,
  rest,
}: Options): Records {
  const top = createLayout(header ?? [], endian);
  const only = layout === undefined ? undefined : createLayout(layout as FieldOptions[], endian);
  const selected = new Map(
    Object.entries(layouts ?? {}).map(([key, list]) => [key, createLayout(list, endian)]),
  );
  const known = (key: string): Layout => {
    const found = only ?? selected.get(key);
    if (found !== undefined) return found;
    const list = [...selected.keys()].join(', ');
    throw new DecodeError(`There is no layout for ${select} ${key}; there are ${list}.`);
  };
  return {
    decode(payload) {
      const shared: Row = {};
      top.read(payload, 0, shared);
      const one = known(select === undefined ? '' : `${top.raw(payload, 0, select)}`);
      if (!repeat) {
        one.read(payload, top.size, shared);
        checkEnd(payload, one.isOpen ? payload.length : top.size + one.size, rest);
        return shared;
      }
      return recordsIn(payload, top.size, one, shared, rest);
    },
    encode(document) {
      const rows = (Array.isArray(document) ? document : [document]) as Row[];
      const head = top.write(rows[0] ?? {});
      const key = select === undefined ? '' : `${top.raw(head, 0, select)}`;
      return Buffer.concat([head, ...rows.map((row) => known(key).write(row))]);
    },
  };
}

function recordsIn(
  payload: Buffer,
  from: number,
  layout: Layout,
  shared: Row,
  rest: Options['rest'],
): Document {
  const count = Math.floor((payload.length - from) / layout.size);
  if (count > recordsMax) throw new DecodeError(`More than ${recordsMax} records.`);
  if (count < 1) throw new DecodeError(`The ${payload.length} bytes hold no whole record.`);
  checkEnd(payload, from + count * layout.size, rest);
  return Array.from({ length: count }, (_, index) => {
    const row: Row = { ...shared };
    layout.read(payload, from + index * layout.size, row);
    return row;
  });
}

function checkEnd(payload: Buffer, end: number, rest: Options['rest']): void {
  if (rest === 'ignore' || payload.length <= end) return;
  throw new DecodeError(`The layout ends at byte ${end}; there are ${payload.length}.`);
}

function bufferOf(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

function bytesOf(raw: string, encoding: 'hex' | 'base64'): Buffer {
  const text = raw.trim();
  const isHex = encoding === 'hex';
  const isWhole = isHex
    ? text.length % 2 === 0 && /^[0-9A-Fa-f]*$/.test(text)
    : /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) && text.replace(/=+$/, '').length % 4 !== 1;
  if (!isWhole) throw new DecodeError(`Not ${isHex ? 'hexadecimal digits' : 'base64'}.`);
  return Buffer.from(text, encoding);
}

/** A copy with another value at the path. */
function replaced(node: Document, path: readonly string[], value: Document): Document {
  const [name, ...below] = path;
  if (name === undefined) return value;
  if (Array.isArray(node)) {
    return node.map((each, index) => (`${index}` === name ? replaced(each, below, value) : each));
  }
  const members = node as { readonly [key: string]: Document };
  return { ...members, [name]: replaced(members[name] ?? {}, below, value) };
}
