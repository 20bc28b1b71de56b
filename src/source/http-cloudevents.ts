/** CloudEvents by HTTP (CloudEvents 1.0.2, HTTP Protocol Binding, clause 3): what is in a request. */
import { shortNameOf } from '../event/cloudevents-json.ts';
import { hashIdOf } from '../event/hash-id.ts';
import { parseLosslessJson, toLosslessJson } from '../event/lossless-json.ts';
import type { Claims, PostedMessage } from './source.ts';

export interface PostedEvent {
  readonly payload: Buffer;
  readonly claims: Claims;
}

/** What is wrong with a request, for whoever sent it. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

const eventsMax = 10_000;
/** Longer names serve nobody, and are written with every event. */
const nameMax = 256;
const tagsMax = 64;

/** The events of a request; undefined when it holds none, but a payload as it is. */
export function eventsOf(
  headers: PostedMessage['headers'],
  body: Buffer,
): readonly PostedEvent[] | undefined {
  const type = String(headers['content-type'] ?? '').toLowerCase();
  if (type.startsWith('application/cloudevents-batch+json')) {
    const batch = parsed(body);
    if (!Array.isArray(batch)) throw new BadRequest('A batch of CloudEvents is a JSON array.');
    if (batch.length > eventsMax) throw new BadRequest(`Send at most ${eventsMax} events at once.`);
    return batch.map((event, index) => structured(event, `event ${index}`));
  }
  if (type.startsWith('application/cloudevents+json'))
    return [structured(parsed(body), 'the event')];
  if (headers['ce-specversion'] === undefined) return undefined;
  return [binary(headers, body)];
}

function parsed(body: Buffer): unknown {
  try {
    return parseLosslessJson(body.toString('utf8'));
  } catch (error) {
    throw new BadRequest(`The body is not JSON: ${(error as Error).message}`);
  }
}

function structured(value: unknown, what: string): PostedEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadRequest(`${what} is no JSON object.`);
  }
  try {
    return posted(value as Readonly<Record<string, unknown>>, what);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new BadRequest(`${what}: its data is nested too deeply.`);
  }
}

function posted(event: Readonly<Record<string, unknown>>, what: string): PostedEvent {
  const base64 = event.data_base64;
  if (typeof base64 === 'string') {
    return { payload: Buffer.from(base64, 'base64'), claims: claimsOf(event, what) };
  }
  const claims = claimsOf(event, what);
  const { data } = event;
  if (shortNameOf(String(event.type)) === 'reading' && isObject(data) && isObject(data.fields)) {
    return { payload: Buffer.from(toLosslessJson(data.fields)), claims: ours(claims, data, what) };
  }
  const text = typeof data === 'string' && !isJson(event) ? data : toLosslessJson(data ?? null);
  return { payload: Buffer.from(text), claims };
}

function isJson({ datacontenttype: type = 'application/json' }: Record<string, unknown>): boolean {
  return /\bjson\b/.test(String(type));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A reading of another gateway keeps its measurement and tags. */
function ours(claims: Claims, data: Readonly<Record<string, unknown>>, what: string): Claims {
  const { measurement } = data;
  const tags = isObject(data.tags)
    ? Object.entries(data.tags).map(([name, tag]) => [name, String(tag)] as const)
    : [];
  if (tags.length > tagsMax) throw new BadRequest(`${what}: it has more than ${tagsMax} tags.`);
  for (const [name, tag] of tags) {
    checkName(name, `${what}: the name of a tag`);
    checkName(tag, `${what}: a tag`);
  }
  if (typeof measurement === 'string') checkName(measurement, `${what}: the measurement`);
  return {
    ...claims,
    ...(typeof measurement === 'string' && measurement !== '' ? { measurement } : {}),
    ...(tags.length > 0 ? { tags: Object.fromEntries(tags) } : {}),
  };
}

/** CloudEvents clause 2.3: control characters are in no text. */
function checkName(text: string, what: string): void {
  if (text.length > nameMax) {
    throw new BadRequest(`${what} has more than ${nameMax} characters.`);
  }
  if (/\p{Cc}/u.test(text)) throw new BadRequest(`${what} has control characters.`);
}

/** Attributes are headers that begin with `ce-`; the body is the data. */
function binary(headers: PostedMessage['headers'], body: Buffer): PostedEvent {
  const event = Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith('ce-'))
      .map(([name, value]) => [name.slice(3), decoded(String(value))]),
  );
  const claims = claimsOf(event, 'the event');
  if (shortNameOf(String(event.type)) === 'reading') {
    const data = parsed(body);
    if (isObject(data) && isObject(data.fields)) {
      return {
        payload: Buffer.from(toLosslessJson(data.fields)),
        claims: ours(claims, data, 'the event'),
      };
    }
  }
  return { payload: body, claims };
}

/** Clause 3.1.3.2: what is not printable ASCII is percent-encoded. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function claimsOf(event: Readonly<Record<string, unknown>>, what: string): Claims {
  const { specversion, id, source, subject, time } = event;
  if (specversion !== '1.0') throw new BadRequest(`${what}: specversion must be 1.0.`);
  for (const [name, value] of Object.entries({ id, source, type: event.type })) {
    if (typeof value !== 'string' || value === '') {
      throw new BadRequest(`${what}: ${name} must be a text that is not empty.`);
    }
  }
  if (typeof subject === 'string') checkName(subject, `${what}: subject`);
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (time !== undefined && Number.isNaN(at)) {
    throw new BadRequest(`${what}: time is not a time as RFC 3339 has it.`);
  }
  return {
    id: hashIdOf(['cloudevent', source as string, id as string]),
    ...(typeof subject === 'string' && subject !== '' ? { device: subject } : {}),
    ...(Number.isNaN(at) ? {} : { at }),
  };
}
