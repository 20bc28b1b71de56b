/**
 * WHAT HAPPENED. Every fact the gateway knows is one of these, in the envelope of CloudEvents 1.0.
 *
 * In memory an event keeps its times as numbers and its type by its short name; the JSON form of
 * the specification is made in `cloudevents-json.ts`, only where an event leaves the gateway.
 */

/** A measured value. `bigint` carries 64-bit integers that a double cannot. */
export type Value = number | bigint | boolean | string;

export type AlertState = 'firing' | 'resolved';

/** Severities of a rule, as in configuration; `severities` gives their CloudEvents numbers. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** What each type of event carries. Adding a type of event starts here. */
export interface EventData {
  /** One device at one moment, with everything measured together. */
  reading: {
    readonly measurement: string;
    readonly tags: Readonly<Record<string, string>>;
    readonly fields: Readonly<Record<string, Value>>;
  };
  /** A rule began or ceased to hold for a device. Both carry the same `incident`. */
  alert: {
    readonly rule: string;
    readonly state: AlertState;
    readonly incident: string;
    readonly severity: Severity;
    readonly value?: Value;
    readonly threshold?: number;
    /** RFC 3339: when the condition began to hold. */
    readonly since: string;
    readonly summary: string;
  };
  /** Something to be told to a device. */
  command: { readonly name: string; readonly payload: string };
  /** Bytes that made no sense, kept as they came. */
  undecodable: {
    readonly topic: string;
    readonly codec: string;
    readonly reason: string;
    readonly encoding: 'utf8' | 'base64';
    readonly payload: string;
  };
  /** An event that a sink will never take, whole, so that it outlives the original. */
  rejected: {
    readonly sink: string;
    readonly reason: string;
    readonly attempt: number;
    /** The refused event in the CloudEvents JSON format. */
    readonly event: Readonly<Record<string, unknown>>;
  };
  /** Positions that a reader will never see, and why. */
  gap: {
    readonly reader: string;
    readonly from: number;
    readonly to: number;
    readonly reason: string;
    /** What the reader remembered of them and has lost, by name: `sessions gh-07`, `retained plant/state`. */
    readonly lost?: readonly string[];
  };
  /** What became of the wall clock of a boot: it was set or stepped, by so many milliseconds. */
  clock: { readonly boot: string; readonly offsetMs: number; readonly reason: string };
  /** The log's own sense of time: rules step on it, and every reader's lag travels in it. */
  heartbeat: { readonly lag: Readonly<Record<string, number>> };
  /** Internal: a message as it was published, which a session of the broker wants. Its topic is the subject. */
  message: {
    readonly payload: Uint8Array;
    readonly qos: 0 | 1 | 2;
    readonly retain: boolean;
    /** Given only where the topic is too long for a subject. */
    readonly topic?: string;
    readonly properties?: MessageProperties;
    /** The client that published it; not given for the gateway itself. */
    readonly from?: string;
    /** The only client it is for: a retained message for its new subscription. */
    readonly to?: string;
    /** The packet identifier of an incoming QoS 2 message. */
    readonly incomingId?: number;
  };
  /** Internal: a change of a session of the broker. Its client is the subject. */
  session: { readonly kind: string; readonly details: Readonly<Record<string, unknown>> };
}

/** MQTT 5 properties of a message that go on to subscribers (OASIS MQTT 5.0, clause 3.3.2.3). */
export interface MessageProperties {
  readonly payloadFormatIndicator?: 0 | 1;
  readonly messageExpiryInterval?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: readonly (readonly [name: string, value: string])[];
}

export type EventType = keyof EventData;

/** Every type of event, in the order of their numbers on disk: append only, never reorder. */
export const eventTypes = [
  'reading',
  'alert',
  'command',
  'undecodable',
  'rejected',
  'gap',
  'clock',
  'heartbeat',
  'message',
  'session',
] as const satisfies readonly EventType[];

/** What the broker writes down for itself: given to nobody who does not ask for it by name. */
export type InternalType = 'message' | 'session';

export const isInternal = (type: EventType): type is InternalType =>
  type === 'message' || type === 'session';

/** `severitytext` and `severitynumber` of the CloudEvents severity extension. */
export const severities = {
  info: { text: 'INFO', number: 9 },
  warning: { text: 'WARN', number: 13 },
  error: { text: 'ERROR', number: 17 },
  critical: { text: 'FATAL', number: 21 },
} as const satisfies Record<Severity, { text: string; number: number }>;

/**
 * CloudEvents extension attributes, by their lower-case names: `causationid` (the id of the event
 * that made us say this), `correlationid` (the incident), `severitytext`, `replayed`, `redriveof`,
 * `timequality` (`corrected` or `unsynchronised`), …
 */
export type Extensions = Readonly<Record<string, string>>;

interface DraftOf<T extends EventType> {
  readonly type: T;
  /** URI reference of who says so: `/gateways/<id>/broker`. */
  readonly source: string;
  /** The device, in the namespace of `source`. */
  readonly subject: string;
  /** When it happened, by the best clock that saw it; milliseconds since the epoch. */
  readonly time: number;
  readonly data: EventData[T];
  /** Given only where the fact has an identity of its own; otherwise the log names it. */
  readonly id?: string;
  readonly extensions?: Extensions;
}

interface EnvelopeOf<T extends EventType> extends DraftOf<T> {
  /** Unique together with `source`, for ever: a repeat of the pair is the same event. */
  readonly id: string;
  /** When the gateway learnt of it; milliseconds since the epoch. */
  readonly recordedTime: number;
}

/** A fact about to be recorded; a union discriminated by `type`. */
export type Draft<T extends EventType = EventType> = { readonly [K in T]: DraftOf<K> }[T];

/** One recorded fact; a union discriminated by `type`. (`Event` is a global of Node.) */
export type CloudEvent<T extends EventType = EventType> = { readonly [K in T]: EnvelopeOf<K> }[T];
