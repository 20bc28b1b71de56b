/**
 * Events in the JSON format of CloudEvents 1.0, single and batch:
 *
 *   {"specversion":"1.0","id":"…","source":"…","type":"io.tidegate.reading.v1","subject":"…",
 *    "time":"2026-11-20T14:09:00.123Z","recordedtime":"…",<extensions>,"data":{…}}
 *
 * - `type` in full, times as RFC 3339 in UTC with milliseconds. A time that RFC 3339 cannot say
 *   (before the year 0 or after 9999) is left out, and reads back as the other of the two.
 * - A `bigint` is a JSON integer. Beyond 2^53 it reads back as a `bigint`, below as a number; a
 *   double beyond 2^53 is written with a point or an exponent.
 * - A number that is not finite is `null` and reads back as NaN: a receiver sees that the sensor
 *   gave no number, instead of a text where it expects one.
 * - No `datacontenttype`: in this format its absence means JSON.
 * - An extension whose name CloudEvents does not allow is left out.
 * - Control characters in `subject` and `id` travel as JSON escapes, so that what comes back is the
 *   same name.
 */
import {
  type CloudEvent,
  type EventData,
  type EventType,
  type Extensions,
  eventTypes,
  type Value,
} from './event.ts';
import { CloudEventsError, checkedData, textAt } from './event-data.ts';
import { numberJson, parseLosslessJson, quoted, toLosslessJson } from './lossless-json.ts';
import { messageJson } from './message-json.ts';

export { CloudEventsError };

/** The `type` attribute of a type of event: `io.tidegate.reading.v1`. */
export function typeNameOf(type: EventType): string {
  return `io.tidegate.${type}.v1`;
}

const shortNames = new Map<string, EventType>(eventTypes.map((type) => [typeNameOf(type), type]));

/** The type of event behind a `type` attribute; undefined for one that is not ours. */
export function shortNameOf(typeName: string): EventType | undefined {
  return shortNames.get(typeName);
}

/** One event as text: `application/cloudevents+json`. Never throws. */
export function toCloudEventsText(event: CloudEvent): string {
  if (event.source !== lastSource || event.type !== lastType) rememberOrigin(event);
  let text = `{"specversion":"1.0","id":${quoted(event.id)}${origin}`;
  if (event.subject !== '') text += `,"subject":${quoted(event.subject)}`;
  const time = occurred(event.time);
  if (time !== '') text += `,"time":"${time}"`;
  const recorded = recordedAt(event.recordedTime);
  if (recorded !== '') text += `,"recordedtime":"${recorded}"`;
  if (event.extensions !== undefined) text += extensionsJson(event.extensions);
  return event.type === 'reading'
    ? `${text},"data":${readingJson(event.data)}}`
    : `${text},"data":${toLosslessJson(jsonDataOf(event))}}`;
}

// Events of one origin come in runs, so the last one is worth remembering.
let lastSource: string | undefined;
let lastType: EventType | undefined;
let origin = '';
function rememberOrigin(event: CloudEvent): void {
  lastSource = event.source;
  lastType = event.type;
  origin = `,"source":${quoted(event.source)},"type":"${typeNameOf(event.type)}"`;
}

/**
 * The same as an object. Values stay as they are: a `bigint` is a `bigint`, so write it out with
 * `toLosslessJson`, as JSON.stringify refuses it.
 */
export function toCloudEventsJson(event: CloudEvent): Readonly<Record<string, unknown>> {
  const object: Record<string, unknown> = {
    specversion: '1.0',
    id: event.id,
    source: event.source,
    type: typeNameOf(event.type),
  };
  if (event.subject !== '') object.subject = event.subject;
  const time = timeTextOf(event.time);
  if (time !== '') object.time = time;
  const recorded = timeTextOf(event.recordedTime);
  if (recorded !== '') object.recordedtime = recorded;
  for (const name in event.extensions) {
    if (isExtensionName(name)) object[name] = event.extensions[name];
  }
  object.data = jsonDataOf(event);
  return object;
}

/** The payload of a message is bytes: `{"text": …}`, or `{"base64": …}` where they are not UTF-8. */
const jsonDataOf = (event: CloudEvent): object =>
  event.type === 'message' ? messageJson(event.data) : event.data;

/** Several events as text: `application/cloudevents-batch+json`. */
export function toCloudEventsBatch(events: readonly CloudEvent[]): string {
  let text = '[';
  for (const event of events) text += (text.length > 1 ? ',' : '') + toCloudEventsText(event);
  return `${text}]`;
}

function readingJson(data: EventData['reading']): string {
  let text = `{"measurement":${quoted(data.measurement)},"tags":`;
  let count = 0;
  for (const key in data.tags) {
    const member = memberOf(key);
    text += (count++ === 0 ? member.first : member.next) + quoted(data.tags[key]!);
  }
  text += count === 0 ? '{},"fields":' : '},"fields":';
  count = 0;
  for (const key in data.fields) {
    const member = memberOf(key);
    text += (count++ === 0 ? member.first : member.next) + valueJson(data.fields[key]!);
  }
  return count === 0 ? `${text}{}}` : `${text}}}`;
}

function valueJson(value: Value): string {
  if (typeof value === 'number') return numberJson(value);
  return typeof value === 'string' ? quoted(value) : `${value}`;
}

interface Member {
  readonly first: string;
  readonly next: string;
}
const members = new Map<string, Member>();
const membersMax = 4_096;
const memberLengthMax = 64;

/** The name of a field or tag with all that goes around it. Names are few and come again and again. */
function memberOf(key: string): Member {
  let member = members.get(key);
  if (member === undefined) {
    const name = `${quoted(key)}:`;
    member = { first: `{${name}`, next: `,${name}` };
    if (key.length <= memberLengthMax) {
      if (members.size >= membersMax) members.clear();
      members.set(key, member);
    }
  }
  return member;
}

const reserved = new Set(
  'specversion id source type subject time recordedtime data datacontenttype'.split(' '),
);

/** Whether CloudEvents allows an extension of that name, and no attribute of ours has it. */
export function isExtensionName(name: string): boolean {
  return /^[a-z0-9]+$/.test(name) && !reserved.has(name);
}

function extensionsJson(extensions: Extensions): string {
  let text = '';
  for (const name in extensions) {
    if (isExtensionName(name)) text += `,"${name}":${quoted(extensions[name]!)}`;
  }
  return text;
}

const milliseconds = Array.from({ length: 1000 }, (_, n) => `.${String(n).padStart(3, '0')}Z`);
const earliest = Date.parse('0000-01-01T00:00:00Z');
const latest = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * RFC 3339 in UTC with milliseconds, or the empty text where there is none. Remembers the second and
 * the minute it was last asked for: events come in order, and asking the calendar costs the most.
 */
function createTimeFormat(): (ms: number) => string {
  let minuteStart = Number.NaN;
  let minute = '';
  let secondStart = Number.NaN;
  let second = '';
  return (time) => {
    const ms = Math.floor(time);
    if (!(ms >= secondStart && ms < secondStart + 1000)) {
      if (!(ms >= minuteStart && ms < minuteStart + 60_000)) {
        if (!(ms >= earliest && ms <= latest)) return '';
        minuteStart = Math.floor(ms / 60_000) * 60_000;
        minute = new Date(minuteStart).toISOString().slice(0, 17);
      }
      const seconds = Math.floor((ms - minuteStart) / 1000);
      secondStart = minuteStart + seconds * 1000;
      second = minute + (seconds < 10 ? `0${seconds}` : `${seconds}`);
    }
    return second + milliseconds[ms - secondStart]!;
  };
}
const occurred = createTimeFormat();
const recordedAt = createTimeFormat();

/** RFC 3339 in UTC with milliseconds; the empty text for a time outside the years 0 to 9999. */
export const timeTextOf = createTimeFormat();

/**
 * Reads one event, from text or from JSON that is parsed already. Throws `CloudEventsError`, which
 * names what is wrong and where.
 */
export function fromCloudEventsJson(json: string | Readonly<Record<string, unknown>>): CloudEvent {
  return eventOf(typeof json === 'string' ? parsed(json) : json, '');
}

/** Reads a batch of events. Throws `CloudEventsError`, which names what is wrong and where. */
export function fromCloudEventsBatch(text: string): CloudEvent[] {
  const batch = parsed(text);
  if (!Array.isArray(batch)) throw new CloudEventsError('A batch must be an array of events.');
  return batch.map((item: unknown, index) => eventOf(item, `[${index}].`));
}

function eventOf(object: unknown, path: string): CloudEvent {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new CloudEventsError(`${path || 'An event'} must be an object.`);
  }
  const attributes = object as Record<string, unknown>;
  if (attributes.specversion !== '1.0') {
    throw new CloudEventsError(`${path}specversion must be "1.0".`);
  }
  const typeName = textAt(attributes.type, `${path}type`);
  const type = shortNameOf(typeName);
  if (type === undefined) {
    throw new CloudEventsError(`${path}type is "${typeName}", which is none of ours.`);
  }
  checkContentType(attributes, path);
  const time = timeAt(attributes.time, `${path}time`);
  const recordedTime = timeAt(attributes.recordedtime, `${path}recordedtime`);
  if (time === undefined && recordedTime === undefined) {
    throw new CloudEventsError(`${path}time is missing.`);
  }
  const extensions = extensionsOf(attributes, path);
  return {
    type,
    id: nonEmptyAt(attributes.id, `${path}id`),
    source: nonEmptyAt(attributes.source, `${path}source`),
    subject: attributes.subject === undefined ? '' : textAt(attributes.subject, `${path}subject`),
    time: time ?? recordedTime,
    recordedTime: recordedTime ?? time,
    data: checkedData(type, attributes.data, `${path}data`),
    ...(extensions && { extensions }),
  } as CloudEvent;
}

function parsed(text: string): unknown {
  try {
    return parseLosslessJson(text);
  } catch (error) {
    throw new CloudEventsError(`This is not JSON: ${(error as Error).message}`);
  }
}

function checkContentType(attributes: Record<string, unknown>, path: string): void {
  const type = attributes.datacontenttype;
  if (type !== undefined && !(typeof type === 'string' && /^[^;]*[/+]json\s*(;|$)/i.test(type))) {
    throw new CloudEventsError(`${path}datacontenttype must be JSON.`);
  }
  if (attributes.data_base64 !== undefined) {
    throw new CloudEventsError(`${path}data_base64 is given, but our events carry JSON in data.`);
  }
}

function nonEmptyAt(value: unknown, path: string): string {
  const text = textAt(value, path);
  if (text === '') throw new CloudEventsError(`${path} must not be empty.`);
  return text;
}

const dateTime = /^(\d{4}-\d\d-)(\d\d)T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function timeAt(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const text = textAt(value, path).toUpperCase();
  const match = dateTime.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(text);
  // Date.parse takes the 30th of February for the 2nd of March.
  const day = match && new Date(`${match[1]}${match[2]}T00:00:00Z`).getUTCDate();
  if (Number.isNaN(ms) || day !== Number(match?.[2])) {
    throw new CloudEventsError(`${path} must be an RFC 3339 time, not "${text}".`);
  }
  return ms;
}

function extensionsOf(attributes: Record<string, unknown>, path: string): Extensions | undefined {
  let extensions: Record<string, string> | undefined;
  for (const [name, value] of Object.entries(attributes)) {
    if (reserved.has(name) || value === null || name === 'data_base64') continue;
    if (!isExtensionName(name)) {
      throw new CloudEventsError(
        `${path}${name}: attribute names are lower-case letters and digits.`,
      );
    }
    if (typeof value !== 'string' && typeof value !== 'boolean' && !Number.isInteger(value)) {
      throw new CloudEventsError(`${path}${name} must be a text, a boolean or an integer.`);
    }
    extensions ??= {};
    extensions[name] = String(value);
  }
  return extensions;
}
