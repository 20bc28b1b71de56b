/**
 * Rows of delimited text, one reading each (RFC 4180):
 *
 *   time,temperature,state          a header, unless `columns` names the columns
 *   2026-11-20T12:00:00Z,21.5,ok
 *
 * As a document: [{ time: "2026-11-20T12:00:00Z", temperature: 21.5, state: "ok" }]
 */
import { z } from 'zod';
import { type Codec, type CodecKind, DecodeError, type Document, type Found } from './codec.ts';
import { type CsvReader, cellsMax, createCsvReader } from './csv-text.ts';
import { ownTextOf, textOf } from './utf8.ts';

/** Rows in one message. */
const rowsMax = 10_000;
/** After more rows that cannot be read, the rest is not looked at. */
const badRowsMax = 1_000;

const sign = z.string().length(1, 'must be one character');
const types = ['auto', 'number', 'integer', 'boolean', 'text'] as const;
type Type = (typeof types)[number];

const column = z.union([
  z.string(),
  z.strictObject({
    name: z.string().describe('The name of the column; empty: the column is left out.'),
    type: z
      .enum(types)
      .default('auto')
      .describe('auto: a number or a boolean where it looks like one, else text.'),
  }),
]);

const options = z.strictObject({
  columns: z
    .array(column)
    .min(1)
    .max(cellsMax)
    .optional()
    .describe(
      'The columns in order: a name, or { name, type }; an empty name leaves a column out. Default: the header names them.',
    ),
  header: z
    .boolean()
    .optional()
    .describe('Whether the first row is a header. Default: unless columns are given.'),
  delimiter: sign.default(',').describe('What stands between cells, such as ; or "\\t".'),
  quote: z
    .union([sign, z.literal('')])
    .default('"')
    .describe('What surrounds texts; "": nothing.'),
  decimal: z.enum(['.', ',']).default('.').describe('The decimal sign of numbers.'),
  comment: z.string().default('').describe('Rows that begin so are passed over. Default: none.'),
  skipRows: z
    .int()
    .min(0)
    .max(1_000)
    .default(0)
    .describe('Lines passed over before anything else.'),
  missing: z
    .array(z.string())
    .default(['', 'NaN', 'nan', 'NULL', 'null', 'N/A'])
    .describe('Cells without a value; their fields are left out.'),
});
type Options = z.output<typeof options>;

export const csv = { options, create: createCsvCodec } as const satisfies CodecKind;

interface Column {
  readonly name: string;
  readonly type: Type;
}

/**
 * Whole numbers of 64 bits are exact: those a double cannot hold come as `bigint`. A row that
 * cannot be read does not keep the others from being; a short row lacks the cells that are not there.
 */
export function createCsvCodec(settings: Options): Codec {
  const given = settings.columns?.map((each) =>
    typeof each === 'string' ? ({ name: each, type: 'auto' } as const) : each,
  );
  const hasHeader = settings.header ?? given === undefined;
  const read = cellReader(settings);

  const reader = createCsvReader(settings);
  const columnsIn = (): readonly Column[] => {
    for (let count = 0; count < settings.skipRows; count++) reader.skip();
    const header = hasHeader ? reader.next() : [];
    if (header === undefined) throw new DecodeError('There is no header.');
    return given ?? header.map((cell) => ({ name: cell.trim(), type: 'auto' }));
  };

  const rowIn = (columns: readonly Column[]): Document | undefined => {
    const cells = reader.next();
    if (cells === undefined) return undefined;
    if (cells.length > columns.length) {
      throw new DecodeError(`there are ${cells.length} cells in ${columns.length} columns`);
    }
    const row: Record<string, Document> = {};
    for (let index = 0; index < cells.length; index++) {
      const { name, type } = columns[index]!;
      if (name === '') continue;
      const value = read(cells[index]!, type);
      if (value === undefined) {
        throw new DecodeError(`column ${name} holds ${shown(cells[index]!)}, which is no ${type}`);
      }
      if (value !== null) row[name] = value;
    }
    return row;
  };

  const find = (payload: Uint8Array): Found & { readonly document: readonly Document[] } => {
    reader.begin(textOf(payload));
    const columns = placed(reader, columnsIn);
    const document: Document[] = [];
    let problem: string | undefined;
    for (let badRows = 0; badRows <= badRowsMax; ) {
      try {
        const row = placed(reader, rowIn, columns);
        if (row === undefined) break;
        document.push(row);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        problem ??= error.message;
        badRows++;
      }
      if (document.length > rowsMax) {
        throw new DecodeError(`More than ${rowsMax} rows in one message.`);
      }
    }
    if (document.length === 0) throw new DecodeError(problem ?? 'There is no row.');
    return { document, problem };
  };

  return {
    name: 'csv',
    contentType: 'text/csv',
    find,
    decode(payload) {
      const { document, problem } = find(payload);
      if (problem !== undefined) throw new DecodeError(problem);
      return document;
    },
    encode: (document) => Buffer.from(encoded(document, given, hasHeader, settings)),
  };
}

/** A problem with the line that it is on. */
function placed<A extends unknown[], T>(
  reader: CsvReader,
  read: (...given: A) => T,
  ...given: A
): T {
  try {
    return read(...given);
  } catch (error) {
    if (!(error instanceof DecodeError) || error.message.endsWith('.')) throw error;
    throw new DecodeError(`Line ${reader.line}: ${error.message}.`);
  }
}

function shown(cell: string): string {
  return JSON.stringify(cell.length > 40 ? `${cell.slice(0, 39)}…` : cell);
}

const wholeNumber = /^[+-]?\d{1,20}$/;
const plainNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
/** A leading zero is that of a code: 007 is no number, 0.5 is. */
const code = /^[+-]?0\d/;

/** Reads a cell: null for one without a value, undefined for one that is not of its type. */
function cellReader({ missing, decimal }: Options) {
  const none = new Set(missing);
  const numberOf = (cell: string): number | undefined => {
    const text = decimal === '.' ? cell : cell.replace(',', '.');
    const isNumber = (decimal === '.' || !cell.includes('.')) && plainNumber.test(text);
    const number = isNumber ? Number(text) : Number.NaN;
    return Number.isFinite(number) ? number : undefined;
  };
  return (raw: string, type: Type): Exclude<Document, object> | undefined => {
    if (none.has(raw)) return null;
    if (type === 'text') return ownTextOf(raw);
    const cell = raw.trim();
    if (none.has(cell)) return null;
    switch (type) {
      case 'number':
        return numberOf(cell);
      case 'integer':
        return integerOf(cell);
      case 'boolean':
        return booleanOf(cell, true);
      default:
        // Most texts are known by their first letter.
        if (cell.charCodeAt(0) > 0x39) return booleanOf(cell, false) ?? ownTextOf(cell);
        if (code.test(cell)) return ownTextOf(cell);
        return integerOf(cell) ?? numberOf(cell) ?? booleanOf(cell, false) ?? ownTextOf(cell);
    }
  };
}

/** Undefined for what has no place in 64 bits, too. */
function integerOf(cell: string): number | bigint | undefined {
  if (!wholeNumber.test(cell)) return undefined;
  const number = Number(cell);
  if (Number.isSafeInteger(number)) return number === 0 ? 0 : number;
  const exact = BigInt(cell.replace('+', ''));
  const fits = BigInt.asIntN(64, exact) === exact || BigInt.asUintN(64, exact) === exact;
  return fits ? exact : undefined;
}

/** Digits and on and off count only where a boolean is known to stand. */
function booleanOf(cell: string, isSure: boolean): boolean | undefined {
  if (cell.length > 5) return undefined;
  const word = cell.toLowerCase();
  if (word === 'true') return true;
  if (word === 'false') return false;
  if (isSure && (word === '1' || word === 'on' || word === 'yes')) return true;
  return isSure && (word === '0' || word === 'off' || word === 'no') ? false : undefined;
}

/** Rows with a header, if the codec reads one; columns that are not given are those of the first row. */
function encoded(
  document: Document,
  given: readonly Column[] | undefined,
  hasHeader: boolean,
  { delimiter, quote, decimal }: Options,
): string {
  const rows = (Array.isArray(document) ? document : [document]) as Record<string, Document>[];
  const names = given?.map(({ name }) => name) ?? Object.keys(rows[0] ?? {});
  const special = ['\n', '\r', delimiter, quote].filter((each) => each !== '');
  const cellOf = (value: Document | undefined): string => {
    if (value === undefined || value === null) return '';
    if (typeof value === 'object') throw new TypeError('A cell holds one value.');
    const text = typeof value === 'number' ? `${value}`.replace('.', decimal) : `${value}`;
    // An empty line would be none at all.
    const isPlain = !special.some((each) => text.includes(each)) && text !== '';
    if (isPlain) return text;
    if (quote === '') throw new TypeError(`Without quotes, no cell can hold ${shown(text)}.`);
    return quote + text.replaceAll(quote, quote + quote) + quote;
  };
  const lines = rows.map((row) =>
    names.map((name) => (name === '' ? '' : cellOf(row[name]))).join(delimiter),
  );
  return [...(hasHeader ? [names.map(cellOf).join(delimiter)] : []), ...lines].join('\n');
}
