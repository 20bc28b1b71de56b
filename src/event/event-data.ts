import type { EventData, EventType } from './event.ts';
import { type BytesJson, bytesOfJson, propertiesOfJson } from './message-json.ts';

/** What claims to be an event is not one; the message says where and why. */
export class CloudEventsError extends Error {
  override readonly name = 'CloudEventsError';
}

type Check = (value: unknown, path: string) => unknown;

/**
 * `data` as that type of event carries it. Throws `CloudEventsError` for a member that is missing or
 * wrong; members we do not know are left behind, for a newer gateway may say more.
 */
export function checkedData<T extends EventType>(
  type: T,
  data: unknown,
  path: string,
): EventData[T] {
  const members = recordAt(data, path);
  const checked: Record<string, unknown> = {};
  for (const [name, check] of Object.entries<Check>(shapes[type])) {
    const value = check(members[name], `${path}.${name}`);
    if (value !== undefined) checked[name] = value;
  }
  return checked as unknown as EventData[T];
}

/** A text, or a `CloudEventsError` that names the place. */
export function textAt(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  throw new CloudEventsError(
    value === undefined ? `${path} is missing.` : `${path} must be a text.`,
  );
}

function recordAt(value: unknown, path: string): Record<string, unknown> {
  if (value === undefined) throw new CloudEventsError(`${path} is missing.`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CloudEventsError(`${path} must be an object.`);
  }
  return value as Record<string, unknown>;
}

const numberAt: Check = (value, path) => {
  // How a number that is not finite travels.
  if (value === null) return Number.NaN;
  if (typeof value === 'number') return value;
  throw new CloudEventsError(`${path} must be a number.`);
};

const valueAt: Check = (value, path) => {
  if (value === null) return Number.NaN;
  if (/^(number|bigint|boolean|string)$/.test(typeof value)) return value;
  throw new CloudEventsError(`${path} must be a number, a text or a boolean.`);
};

const recordOf =
  (check: Check): Check =>
  (value, path) =>
    Object.fromEntries(
      Object.entries(recordAt(value, path)).map(([k, v]) => [k, check(v, `${path}.${k}`)]),
    );

const oneOf =
  (...choices: readonly string[]): Check =>
  (value, path) => {
    if (choices.includes(value as string)) return value;
    throw new CloudEventsError(`${path} must be one of ${choices.join(', ')}.`);
  };

const optional =
  (check: Check): Check =>
  (value, path) =>
    value === undefined ? undefined : check(value, path);

const textsAt: Check = (value, path) => {
  if (Array.isArray(value)) return value.map((each, at) => textAt(each, `${path}.${at}`));
  throw new CloudEventsError(`${path} must be a list.`);
};

const qosAt: Check = (value, path) => {
  if (value === 0 || value === 1 || value === 2) return value;
  throw new CloudEventsError(`${path} must be 0, 1 or 2.`);
};

const booleanAt: Check = (value, path) => {
  if (typeof value === 'boolean') return value;
  throw new CloudEventsError(`${path} must be true or false.`);
};

const bytesAt: Check = (value, path) => {
  const { text, base64 } = recordAt(value, path);
  if (typeof (text ?? base64) === 'string') return bytesOfJson(value as BytesJson);
  throw new CloudEventsError(`${path} must hold text or base64.`);
};

const propertiesAt: Check = (value, path) => propertiesOfJson(recordAt(value, path));

const shapes: { readonly [T in EventType]: Readonly<Record<keyof EventData[T], Check>> } = {
  reading: { measurement: textAt, tags: recordOf(textAt), fields: recordOf(valueAt) },
  alert: {
    rule: textAt,
    state: oneOf('firing', 'resolved'),
    incident: textAt,
    severity: oneOf('info', 'warning', 'error', 'critical'),
    value: optional(valueAt),
    threshold: optional(numberAt),
    since: textAt,
    summary: textAt,
  },
  command: { name: textAt, payload: textAt },
  undecodable: {
    topic: textAt,
    codec: textAt,
    reason: textAt,
    encoding: oneOf('utf8', 'base64'),
    payload: textAt,
  },
  rejected: { sink: textAt, reason: textAt, attempt: numberAt, event: recordAt },
  gap: {
    ...{ reader: textAt, from: numberAt, to: numberAt, reason: textAt },
    lost: optional(textsAt),
  },
  clock: { boot: textAt, offsetMs: numberAt, reason: textAt },
  heartbeat: { lag: recordOf(numberAt) },
  message: {
    payload: bytesAt,
    qos: qosAt,
    retain: booleanAt,
    topic: optional(textAt),
    properties: optional(propertiesAt),
    from: optional(textAt),
    to: optional(textAt),
    incomingId: optional(numberAt),
  },
  session: { kind: textAt, details: recordAt },
};
