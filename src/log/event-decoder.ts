import { type EventData, type EventType, eventTypes, type Value } from '../event/event.ts';
import { propertiesOfJson } from '../event/message-json.ts';
import { ByteReader, FormatError } from './byte-reader.ts';
import { entryOf, Ids, type Stamp } from './entry.ts';
import {
  bootAt,
  clockQualities,
  eventAdvance,
  eventExtensions,
  eventFlagsMax,
  eventId,
  eventMarkedJson,
  eventTimeMask,
  flagThinned,
  groupFlagsKnown,
  messageFlagsMax,
  messageFrom,
  messageIncoming,
  messageProperties,
  messageQosMask,
  messageRetain,
  messageTo,
  messageTopic,
  timeAsRecorded,
  timeDelta,
  timeExact,
} from './format.ts';
import { bodyOf, type GroupPlace } from './group.ts';
import { type Keyring, noKeys } from './keyring.ts';
import type { Entry } from './log.ts';
import { parseMarked } from './marked-json.ts';

interface Shape {
  readonly type: EventType;
  readonly source: string;
  readonly measurement: string;
  /** One object for all events of this shape. */
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: readonly string[];
}
interface Series {
  readonly shape: Shape;
  readonly subject: string;
}

/**
 * Reads the events of one group after the other, a few at a time, so that what is decoded never
 * takes more memory than what was asked for.
 */
export class EventDecoder extends ByteReader {
  private readonly names: string[] = [];
  private readonly shapes: Shape[] = [];
  private readonly series: Series[] = [];
  private readonly ids: Ids;
  private readonly keys: Keyring;
  private stamp: Stamp = { recordedTime: 0, monotonic: 0, boot: '', clock: 'unknown' };
  private position = 0;
  private left = 0;
  private isThinned = false;
  /** The bytes of `stamp.boot`, which hardly ever changes. */
  private bootBytes = Buffer.alloc(0);

  constructor(logId: number, keys: Keyring = noKeys) {
    super();
    this.keys = keys;
    this.ids = new Ids(logId);
  }

  /**
   * Begins with a group that is whole. Throws `FormatError` for one that is not what was sealed or
   * says what we do not know, GW_CONFIG_KEY_MISSING for one that we have no key for.
   */
  open(bytes: Buffer, place: GroupPlace): void {
    this.left = 0;
    if ((place.flags & ~groupFlagsKnown) !== 0) throw new FormatError('unknown flags of a group');
    const body = bodyOf(bytes, place, this.keys);
    // In plain, where it stands: a chunk is looked at through one view.
    if (place.keyId === 0) this.use(bytes, place.end - body.length, place.end);
    else this.use(body, 0, body.length);
    this.names.length = 0;
    this.shapes.length = 0;
    this.series.length = 0;
    this.position = place.first;
    this.left = place.count;
    this.isThinned = (place.flags & flagThinned) !== 0;
    const clock = clockQualities[bytes[place.offset + 22]!] ?? 'unknown';
    const monotonic = bytes.readDoubleLE(place.offset + 32);
    this.stamp = { recordedTime: place.recordedTime, monotonic, boot: this.boot(), clock };
  }

  /** Entries of the group that have not been taken. */
  get remaining(): number {
    return this.left;
  }

  /** Takes no more from this group. */
  abandon(): void {
    this.left = 0;
  }

  /** Adds up to `limit` entries to `out`, leaving out those up to `after`. */
  take(limit: number, after: number, out: Entry[]): void {
    while (this.left > 0 && out.length < limit) {
      if (this.isThinned) this.position += this.varint();
      const position = this.position++;
      this.left--;
      const entry = this.event(position);
      if (position > after) out.push(entry);
    }
  }

  private event(position: number): Entry {
    const flags = this.byte();
    if (flags > eventFlagsMax) throw new FormatError('unknown flags');
    if ((flags & eventAdvance) !== 0) this.advance();
    const { shape, subject } = this.seriesNext();
    const { stamp } = this;
    const time = this.time(flags & eventTimeMask, stamp.recordedTime);
    const id = (flags & eventId) !== 0 ? this.text() : this.ids.idOf(stamp.recordedTime, position);
    const extensions = (flags & eventExtensions) !== 0 ? this.extensions() : undefined;
    const data = this.data(shape, (flags & eventMarkedJson) !== 0);
    return entryOf(position, id, shape.type, shape.source, subject, time, data, extensions, stamp);
  }

  private data(shape: Shape, marked: boolean): EventData[EventType] {
    if (shape.type === 'reading') return this.reading(shape);
    return shape.type === 'message' ? this.message() : this.json(marked);
  }

  private message(): EventData['message'] {
    const flags = this.byte();
    const qos = flags & messageQosMask;
    if (flags > messageFlagsMax || qos > 2) throw new FormatError('unknown flags of a message');
    const topic = (flags & messageTopic) === 0 ? undefined : this.text();
    const from = (flags & messageFrom) === 0 ? undefined : this.name();
    const to = (flags & messageTo) === 0 ? undefined : this.name();
    const incomingId = (flags & messageIncoming) === 0 ? undefined : this.varint();
    const json = (flags & messageProperties) === 0 ? undefined : this.text();
    const length = this.varint();
    if (this.at + length > this.end) throw new FormatError('a payload ends too early');
    // Copied: the bytes it stands in are much larger, or used again.
    const payload = Buffer.from(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return {
      payload,
      qos: qos as 0 | 1 | 2,
      retain: (flags & messageRetain) !== 0,
      ...(topic === undefined ? {} : { topic }),
      ...(json === undefined ? {} : { properties: propertiesOfJson(JSON.parse(json)) }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(incomingId === undefined ? {} : { incomingId }),
    };
  }

  private advance(): void {
    const { recordedTime, monotonic, boot, clock } = this.stamp;
    const ms = this.isThinned ? this.zigzag() : this.varint();
    const monotonicMs = this.isThinned ? this.zigzag() : ms;
    const moved = recordedTime + ms;
    this.stamp = { recordedTime: moved, monotonic: monotonic + monotonicMs, boot, clock };
  }

  private time(kind: number, recordedTime: number): number {
    switch (kind) {
      case timeAsRecorded:
        return recordedTime;
      case timeDelta:
        return recordedTime + this.zigzag();
      case timeExact:
        return this.double();
      default:
        throw new FormatError('unknown kind of time');
    }
  }

  private reading(shape: Shape): EventData['reading'] {
    const fields: Record<string, Value> = {};
    const names = shape.fields;
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      if (name === '__proto__') define(fields, name, this.value());
      else fields[name] = this.value();
    }
    return { measurement: shape.measurement, tags: shape.tags, fields };
  }

  private json(marked: boolean): EventData[EventType] {
    const text = this.text();
    return (marked ? parseMarked(text) : JSON.parse(text)) as EventData[EventType];
  }

  private extensions(): Record<string, string> {
    const extensions: Record<string, string> = {};
    for (let left = this.varint(); left > 0; left--) {
      const key = this.name();
      define(extensions, key, this.text());
    }
    return extensions;
  }

  private seriesNext(): Series {
    const number = this.varint();
    if (number > 0) return known(this.series, number);
    const shape = this.shapeNext();
    const series: Series = { shape, subject: this.name() };
    this.series.push(series);
    return series;
  }

  private shapeNext(): Shape {
    const number = this.varint();
    if (number > 0) return known(this.shapes, number);
    const type = eventTypes[this.byte()];
    if (type === undefined) throw new FormatError('unknown type of event');
    const source = this.name();
    const isReading = type === 'reading';
    const measurement = isReading ? this.name() : '';
    const tags: Record<string, string> = {};
    for (let left = isReading ? this.varint() : 0; left > 0; left--) {
      const tag = this.name();
      define(tags, tag, this.name());
    }
    const fields: string[] = [];
    for (let left = isReading ? this.varint() : 0; left > 0; left--) fields.push(this.name());
    const shape: Shape = { type, source, measurement, tags, fields };
    this.shapes.push(shape);
    return shape;
  }

  private name(): string {
    const number = this.varint();
    if (number > 0) return known(this.names, number);
    const text = this.text();
    this.names.push(text);
    return text;
  }

  private boot(): string {
    const { bytes, at, bootBytes } = this;
    const { length } = bootBytes;
    const fits = length > 0 && at + length <= this.end;
    if (fits && bytes.compare(bootBytes, 0, length, at, at + length) === 0) {
      this.at += length;
      return this.stamp.boot;
    }
    const { boot, end } = bootAt(bytes, at);
    this.bootBytes = Buffer.from(bytes.subarray(at, end));
    this.at = end;
    return boot;
  }
}

function known<T>(table: readonly T[], number: number): T {
  const found = table[number - 1];
  if (found === undefined) throw new FormatError('something is used before it is named');
  return found;
}

/** `__proto__` is a name like any other here, and must not be assigned to. */
function define<T>(target: Record<string, T>, name: string, value: T): void {
  if (name !== '__proto__') target[name] = value;
  else {
    Object.defineProperty(target, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}
