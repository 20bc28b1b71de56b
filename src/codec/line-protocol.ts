/**
 * The line protocol of InfluxDB, as Telegraf and many devices send it: a point per line, and any
 * number of lines in a message.
 *
 *   weather,host=pi-3,site=north temperature=21.5,count=3i,state="ok" 1795176000000000000
 *
 * As a document:
 *
 *   [{ measurement: weather, tags: { host: pi-3, … }, fields: { temperature: 21.5, … }, time: … }]
 */
import { z } from 'zod';
import type { Value } from '../event/event.ts';
import {
  type Codec,
  type CodecKind,
  DecodeError,
  type Document,
  type Found,
  type FoundReading,
} from './codec.ts';
import { createLineReader, type Line, type LineReader } from './line-text.ts';
import { textOf } from './utf8.ts';

/** Lines in one message. */
const linesMax = 10_000;
/** After more lines that are none, the rest is not looked at. */
const badLinesMax = 1_000;

const options = z.strictObject({
  precision: z
    .enum(['auto', 'ns', 'us', 'ms', 's'])
    .default('auto')
    .describe('The unit of the times. auto: guessed by their size, right from 1973 on.'),
  deviceTags: z
    .array(z.string().min(1))
    .default(['host', 'device'])
    .describe('The first of these tags that a line has names its device.'),
});
type Options = z.output<typeof options>;

export const lineProtocol = {
  options,
  create: createLineProtocolCodec,
  namesDevices: true,
} as const satisfies CodecKind;

/**
 * Floats are numbers, integers `bigint`, so that each stays what it is; times are cut to whole
 * milliseconds. A line that cannot be read does not keep the others from being.
 */
export function createLineProtocolCodec(settings: Options): Codec {
  const reader = createLineReader(settings.deviceTags);
  const findReadings = createFinder(reader, settings.precision);
  return {
    name: 'line-protocol',
    contentType: 'text/plain; charset=utf-8',
    decode(payload) {
      reader.begin(textOf(payload));
      const points: Document[] = [];
      try {
        for (let line = reader.next(); line !== undefined; line = reader.next()) {
          points.push(pointOf(line));
          checkCount(points.length);
        }
      } catch (error) {
        throw placed(error, reader.lineNumber());
      }
      if (points.length === 0) throw new DecodeError('There is no line.');
      return points;
    },
    encode: (document) =>
      Buffer.from((Array.isArray(document) ? document : [document]).map(lineFor).join('\n')),
    find: (payload) => findReadings(textOf(payload)),
  };
}

/** Reads a text that may be lines: undefined when one of them is none. */
export function createLineFinder(): (text: string) => readonly FoundReading[] | undefined {
  const { deviceTags, precision } = options.parse({});
  const find = createFinder(createLineReader(deviceTags), precision, true);
  return (text) => {
    try {
      const found = find(text);
      return 'readings' in found ? found.readings : undefined;
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  };
}

function createFinder(
  reader: LineReader,
  precision: Options['precision'],
  isStrict = false,
): (text: string) => Found {
  return (text) => {
    reader.begin(text);
    const readings: FoundReading[] = [];
    let problem: DecodeError | undefined;
    let badLines = 0;
    for (;;) {
      try {
        const line = reader.next();
        if (line === undefined) break;
        const { measurement, device, otherTags: tags } = line.head;
        const time = line.time === '' ? undefined : msOf(line.time, precision);
        readings.push({ device, measurement, tags, time, fields: line.fields });
      } catch (error) {
        problem ??= placed(error, reader.lineNumber());
        if (isStrict || ++badLines > badLinesMax) break;
        reader.skip();
      }
      checkCount(readings.length);
    }
    if (problem !== undefined && (isStrict || readings.length === 0)) throw problem;
    if (readings.length === 0) throw new DecodeError('There is no line.');
    return problem === undefined ? { readings } : { readings, problem: problem.message };
  };
}

function checkCount(count: number): void {
  if (count > linesMax) throw new DecodeError(`More than ${linesMax} lines in one message.`);
}

function placed(error: unknown, line: number): DecodeError {
  if (!(error instanceof DecodeError)) throw error;
  return error.message.endsWith('.') ? error : new DecodeError(`Line ${line}: ${error.message}.`);
}

function pointOf({ head, fields, time }: Line): Document {
  const { measurement, tags } = head;
  const point = { measurement, tags: { ...tags }, fields };
  if (time === '') return point;
  const number = Number(time);
  return { ...point, time: Number.isSafeInteger(number) ? number : BigInt(time) };
}

/** Whole milliseconds of digits in a unit; what is beyond milliseconds is cut off. */
function msOf(digits: string, unit: Options['precision']): number {
  switch (unit === 'auto' ? unitFor(digits) : unit) {
    case 's':
      return Number(digits) * 1_000;
    case 'ms':
      return Number(digits);
    case 'us':
      return Number(digits.slice(0, -3));
    default:
      return Number(digits.slice(0, -6));
  }
}

/** As `timestampMsOf` guesses it from the number. */
function unitFor(digits: string): 's' | 'ms' | 'us' | 'ns' {
  const count = digits.startsWith('-') ? digits.length - 1 : digits.length;
  if (count <= 11) return 's';
  if (count <= 14) return 'ms';
  return count <= 17 ? 'us' : 'ns';
}

interface Point {
  readonly measurement?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, Value>>;
  readonly time?: number | bigint;
}

/** An object without `fields` is taken as the fields themselves, of a measurement `reading`. */
function lineFor(document: Document): string {
  if (typeof document !== 'object' || document === null) {
    throw new TypeError('A line is made of an object.');
  }
  const { fields } = document as { readonly fields?: Document };
  const isPoint = typeof fields === 'object' && fields !== null;
  const point = (isPoint ? document : { fields: document }) as unknown as Point;
  let line = nameText(point.measurement ?? 'reading', /[, ]/g);
  for (const [name, text] of Object.entries(point.tags ?? {})) {
    line += `,${nameText(name, /[,= ]/g)}=${nameText(text, /[,= ]/g)}`;
  }
  const values = Object.entries(point.fields).map(
    ([name, value]) => `${nameText(name, /[,= ]/g)}=${valueText(value)}`,
  );
  if (values.length === 0) throw new TypeError('A line has at least one field.');
  const time = point.time === undefined ? '' : ` ${point.time}`;
  return `${line} ${values.join()}${time}`;
}

function nameText(name: string, special: RegExp): string {
  if (name === '' || name.includes('\n') || name.endsWith('\\') || /^[\s#]/.test(name)) {
    throw new TypeError(`No name in a line can be ${JSON.stringify(name)}.`);
  }
  return name.replace(special, '\\$&');
}

function valueText(value: Value): string {
  if (typeof value === 'string') return `"${value.replace(/["\\]/g, '\\$&')}"`;
  if (typeof value === 'bigint') return `${value}${value >= 2n ** 63n ? 'u' : 'i'}`;
  if (typeof value === 'boolean') return `${value}`;
  if (Object.is(value, -0)) return '-0';
  if (Number.isFinite(value)) return `${value}`;
  throw new TypeError(`A field of a line cannot be ${value}.`);
}
