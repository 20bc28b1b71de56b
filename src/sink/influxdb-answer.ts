import { GatewayError, RetryLater } from '../platform/errors.ts';
import type { HttpAnswer } from './http-client.ts';
import type { Outcome, Refusal } from './isolate.ts';
import { escaped, escapedMeasurement } from './line-text.ts';
import { retryAfterMsOf } from './retry-after.ts';

/** A line, and when it was. */
export interface Point {
  readonly line: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

const remedies: Readonly<Record<number, string>> = {
  401: 'check token, or username and password',
  403: 'give this user or token the right to write there',
  404: 'create the database or bucket, and check url, version, database, org and bucket',
  405: 'check url and version',
};

/**
 * What an answer of InfluxDB to a write of these points means. Throws for whatever is worth another
 * try: `RetryLater` where it says when, `GW_SINK_REFUSED` with the remedy where a person must act,
 * else `GW_SINK_UNAVAILABLE`.
 */
export function outcomeOf<P extends Point>(
  answer: HttpAnswer,
  points: readonly P[],
  nowMs: number,
): Outcome<P> {
  const { status } = answer;
  const body = parsed(answer.text);
  const words = wordsOf(body, answer.text);
  const said = `InfluxDB answers ${status}: ${shortened(words)}`;
  if (status === 204 || (status === 200 && body?.error === undefined)) return 'taken';
  if (status === 413) return { reason: said };
  if (status === 200 || status === 400 || status === 422) {
    if (!isAboutPoints(body, words)) throw new GatewayError('GW_SINK_REFUSED', said);
    return refusalOf(said, words, body, points);
  }
  if (status >= 300 && status < 400) {
    const location = answer.headers.location ?? 'nowhere';
    throw new GatewayError(
      'GW_SINK_REFUSED',
      `InfluxDB answers ${status} and points to ${location}. Redirects are not followed: correct url.`,
    );
  }
  const waitMs = retryAfterMsOf(answer, nowMs);
  if (waitMs !== undefined && (status === 429 || status >= 500)) throw new RetryLater(said, waitMs);
  if (words.includes('retention policy not found')) {
    throw new GatewayError('GW_SINK_REFUSED', `${said}. Create it, or correct retentionPolicy.`);
  }
  if (status >= 500 || status === 429 || status === 408) {
    throw new GatewayError('GW_SINK_UNAVAILABLE', said);
  }
  const remedy = remedies[status];
  throw new GatewayError('GW_SINK_REFUSED', remedy === undefined ? said : `${said}: ${remedy}.`);
}

/** Whether an answer says that the database is missing, and not merely the page. */
export function isDatabaseMissing(answer: HttpAnswer): boolean {
  return answer.status === 404 && answer.text.includes('database not found');
}

type Body = Readonly<Record<string, unknown>>;

function parsed(text: string): Body | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? (body as Body) : undefined;
  } catch {
    return undefined;
  }
}

/** `error` in versions 1 and 3, `message` in version 2. */
function wordsOf(body: Body | undefined, text: string): string {
  const words = [body?.message, body?.error].find((part) => typeof part === 'string') ?? text;
  return (words as string).trim();
}

/** InfluxDB repeats the line before it says what is wrong with it: both ends matter. */
function shortened(words: string): string {
  return words.length <= 600 ? words : `${words.slice(0, 300)} … ${words.slice(-300)}`;
}

const ofPoints =
  /partial write|unable to parse|field type conflict|beyond retention|parsing failed|limit exceeded|dropped=/i;
const ofRequest =
  /database is required|bucket|organization|\borg\b|precision|gzip|unexpected EOF|HTTPS|encoding/i;

/**
 * Whether a 400 is about some of the points. What is about the request itself, or comes from
 * something that is not InfluxDB, would be said of every point: it must not cost one of them.
 */
function isAboutPoints(body: Body | undefined, words: string): boolean {
  return ofPoints.test(words) || (body !== undefined && !ofRequest.test(words));
}

function refusalOf<P extends Point>(
  said: string,
  words: string,
  body: Body | undefined,
  points: readonly P[],
): Outcome<P> {
  const named = namedOf(body, points);
  if (named.length > 0) return { reason: said, named };
  // Version 1 counts only what it dropped after parsing, so a smaller number says nothing.
  const dropped = Number(/dropped=(\d+)/.exec(words)?.[1] ?? 0);
  if (dropped === points.length) return { reason: said, all: true };
  return { reason: said, suspects: suspectsOf(words, dropped, points) };
}

/** Version 3 names the lines: `data: [{ line_number, error_message, original_line }]`. */
function namedOf<P>(body: Body | undefined, points: readonly P[]): Refusal<P>[] {
  const data = body?.data;
  const named = new Map<P, string>();
  for (const entry of Array.isArray(data) ? data : [data]) {
    const { line_number: line, error_message: reason } = (entry ?? {}) as Body;
    const point = typeof line === 'number' ? points[line - 1] : undefined;
    if (point !== undefined) named.set(point, `InfluxDB: ${reason}`);
  }
  return [...named].map(([item, reason]) => ({ item, reason }));
}

const conflict =
  /input field "(.*?)" on measurement "(.*?)" is type (\w+), already exists as type/s;

/** Those the words are probably about. To be wrong costs requests, never points. */
function suspectsOf<P extends Point>(words: string, dropped: number, points: readonly P[]): P[] {
  const [, field, measurement, type] = conflict.exec(words) ?? [];
  if (field !== undefined && measurement !== undefined) {
    const start = escapedMeasurement(measurement);
    return points.filter(({ line }) => line.startsWith(start) && typeOf(line, field) === type);
  }
  if (words.includes('beyond retention')) {
    return [...points].sort((a, b) => a.time - b.time).slice(0, dropped);
  }
  return points.filter(({ line }) => words.includes(`'${line}'`));
}

/** The type that InfluxDB gives the field of a line, by the beginning and end of its value. */
function typeOf(line: string, field: string): string | undefined {
  const name = `${escaped(field)}=`;
  const at = Math.max(line.indexOf(` ${name}`), line.indexOf(`,${name}`));
  if (at < 0) return undefined;
  const value = line.slice(at + 1 + name.length);
  if (value.startsWith('"')) return 'string';
  if (/^[tf]/.test(value)) return 'boolean';
  return /^-?\d+i/.test(value) ? 'integer' : 'float';
}
