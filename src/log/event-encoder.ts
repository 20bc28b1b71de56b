import { type Draft, type EventData, type EventType, eventTypes } from '../event/event.ts';
import { propertiesJson } from '../event/message-json.ts';
import { ByteWriter } from './byte-writer.ts';
import {
  eventAdvance,
  eventExtensions,
  eventId,
  eventMarkedJson,
  messageFrom,
  messageIncoming,
  messageProperties,
  messageRetain,
  messageTo,
  messageTopic,
  timeAsRecorded,
  timeDelta,
  timeExact,
} from './format.ts';
import { isPlainJson, stringifyMarked } from './marked-json.ts';

/** A text that repeats, and its number in the group that named it last. */
interface Name {
  readonly encoded: Uint8Array;
  group: number;
  number: number;
}

/** What the events of one kind of device have in common. Tags are names and values in turn. */
interface Shape {
  readonly type: number;
  readonly source: string;
  readonly measurement: string;
  readonly tags: readonly string[];
  readonly fields: readonly string[];
  readonly names: readonly Name[];
  group: number;
  number: number;
}

/** What the events of one device have in common. */
interface Series {
  readonly shape: Shape;
  group: number;
  number: number;
}

interface Subject {
  readonly name: Name;
  /** The one used last comes first. */
  readonly series: Series[];
}

/** How much is remembered from group to group. Beyond it everything is learnt anew. */
const subjectsMax = 16_384;
const namesMax = 16_384;
const shapesMax = 4_096;
const seriesMax = 8;

const typeNumbers = new Map<EventType, number>(eventTypes.map((type, number) => [type, number]));
const reading = typeNumbers.get('reading')!;
type Reading = EventData['reading'];

/** Writes events into a group. Knows again what it has seen, whatever group that was in. */
export class EventEncoder extends ByteWriter {
  private readonly names = new Map<string, Name>();
  private readonly shapes = new Map<string, Shape>();
  private readonly subjects = new Map<string, Subject>();
  private group = 0;
  private namesInGroup = 0;
  private shapesInGroup = 0;
  private seriesInGroup = 0;

  /** What follows decodes without what came before. */
  beginTables(): void {
    this.group++;
    this.namesInGroup = 0;
    this.shapesInGroup = 0;
    this.seriesInGroup = 0;
    if (this.names.size > namesMax || this.shapes.size > shapesMax) this.forget();
    else if (this.subjects.size > subjectsMax) this.subjects.clear();
  }

  /**
   * Adds an event recorded at `recordedTime`, `advanceMs` after the one before it; where events are
   * left out, by `monotonicMs` on the monotonic clock, and both may be negative. Throws for data
   * that no event may carry; what was written until then must be taken back, with its group's tables.
   */
  event(draft: Draft, recordedTime: number, advanceMs: number, monotonicMs?: number): void {
    const { subject, type } = draft;
    let known = this.subjects.get(subject);
    if (known === undefined) {
      known = { name: this.nameOf(subject), series: [] };
      this.subjects.set(subject, known);
    }
    if (type === 'reading') {
      const { source, data } = draft;
      const series = this.readingSeries(source, data, known);
      if (this.head(draft, series, known, recordedTime, advanceMs, monotonicMs, 0)) {
        this.marks(draft);
      }
      const { fields } = data;
      // In the order in which they were compared with the shape; by name would be much slower.
      for (const field in fields) this.value(fields[field]);
      return;
    }
    if (type === 'message') {
      const series = this.otherSeries(draft, known);
      if (this.head(draft, series, known, recordedTime, advanceMs, monotonicMs, 0)) {
        this.marks(draft);
      }
      this.message(draft.data);
      return;
    }
    const plain = isPlainJson(draft.data);
    const series = this.otherSeries(draft, known);
    const flags = plain ? 0 : eventMarkedJson;
    if (this.head(draft, series, known, recordedTime, advanceMs, monotonicMs, flags)) {
      this.marks(draft);
    }
    this.text(plain ? JSON.stringify(draft.data) : stringifyMarked(draft.data));
  }

  private message(data: EventData['message']): void {
    const { payload, qos, retain, topic, properties, from, to, incomingId } = data;
    let flags: number = qos;
    if (retain) flags |= messageRetain;
    if (properties !== undefined) flags |= messageProperties;
    if (from !== undefined) flags |= messageFrom;
    if (to !== undefined) flags |= messageTo;
    if (incomingId !== undefined) flags |= messageIncoming;
    if (topic !== undefined) flags |= messageTopic;
    this.byte(flags);
    if (topic !== undefined) this.text(topic);
    if (from !== undefined) this.name(this.nameOf(from));
    if (to !== undefined) this.name(this.nameOf(to));
    if (incomingId !== undefined) this.varint(incomingId);
    if (properties !== undefined) this.text(JSON.stringify(propertiesJson(properties)));
    this.varint(payload.length);
    this.raw(payload);
  }

  /** Everything before id, extensions and data; says whether there are id or extensions. */
  private head(
    draft: Draft,
    series: Series,
    subject: Subject,
    recordedTime: number,
    advanceMs: number,
    monotonicMs: number | undefined,
    extraFlags: number,
  ): boolean {
    const delta = draft.time - recordedTime;
    let flags = extraFlags;
    if (delta === 0) flags |= timeAsRecorded;
    else if ((delta | 0) === delta) flags |= timeDelta;
    else flags |= timeExact;
    if (advanceMs !== 0 || (monotonicMs !== undefined && monotonicMs !== 0)) flags |= eventAdvance;
    if (draft.id !== undefined) flags |= eventId;
    if (draft.extensions !== undefined) flags |= eventExtensions;
    this.byte(flags);
    if ((flags & eventAdvance) !== 0) {
      if (monotonicMs === undefined) this.varint(advanceMs);
      else {
        this.zigzag(advanceMs);
        this.zigzag(monotonicMs);
      }
    }
    if (series.group === this.group) this.varint(series.number);
    else this.writeSeries(series, subject);
    if ((flags & 3) === timeDelta) this.zigzag(delta);
    else if ((flags & 3) === timeExact) this.double(draft.time);
    return (flags & (eventId | eventExtensions)) !== 0;
  }

  private marks(draft: Draft): void {
    if (draft.id !== undefined) this.text(draft.id);
    if (draft.extensions === undefined) return;
    const entries = Object.entries(draft.extensions);
    this.varint(entries.length);
    for (const [key, value] of entries) {
      this.name(this.nameOf(key));
      this.text(value);
    }
  }

  private writeSeries(series: Series, subject: Subject): void {
    this.byte(0);
    this.writeShape(series.shape);
    this.name(subject.name);
    series.group = this.group;
    series.number = ++this.seriesInGroup;
  }

  private writeShape(shape: Shape): void {
    if (shape.group === this.group) {
      this.varint(shape.number);
      return;
    }
    this.byte(0);
    this.byte(shape.type);
    const { names } = shape;
    this.name(names[0]!);
    if (shape.type === reading) {
      let at = 1;
      this.name(names[at++]!);
      this.varint(shape.tags.length / 2);
      for (let i = 0; i < shape.tags.length; i++) this.name(names[at++]!);
      this.varint(shape.fields.length);
      for (let i = 0; i < shape.fields.length; i++) this.name(names[at++]!);
    }
    shape.group = this.group;
    shape.number = ++this.shapesInGroup;
  }

  private name(name: Name): void {
    if (name.group === this.group) {
      this.varint(name.number);
      return;
    }
    this.byte(0);
    this.raw(name.encoded);
    name.group = this.group;
    name.number = ++this.namesInGroup;
  }

  private nameOf(text: string): Name {
    let name = this.names.get(text);
    if (name === undefined) {
      const writer = new ByteWriter(Buffer.allocUnsafeSlow(text.length * 3 + 8));
      writer.text(text);
      name = {
        encoded: Uint8Array.prototype.slice.call(writer.bytes, 0, writer.at),
        group: 0,
        number: 0,
      };
      this.names.set(text, name);
    }
    return name;
  }

  private readingSeries(source: string, data: Reading, subject: Subject): Series {
    for (let i = 0; i < subject.series.length; i++) {
      const series = subject.series[i]!;
      if (!hasShape(series.shape, source, data)) continue;
      if (i > 0) {
        subject.series.splice(i, 1);
        subject.series.unshift(series);
      }
      return series;
    }
    const tags = Object.entries(data.tags).flat();
    const fields = Object.keys(data.fields);
    return newSeries(subject, this.shapeOf(reading, source, data.measurement, tags, fields));
  }

  private otherSeries(draft: Draft, subject: Subject): Series {
    const type = typeNumbers.get(draft.type);
    if (type === undefined) throw new TypeError(`there is no type of event named ${draft.type}`);
    for (const series of subject.series) {
      if (series.shape.type === type && series.shape.source === draft.source) return series;
    }
    return newSeries(subject, this.shapeOf(type, draft.source, '', [], []));
  }

  private shapeOf(
    type: number,
    source: string,
    measurement: string,
    tags: readonly string[],
    fields: readonly string[],
  ): Shape {
    const key = JSON.stringify([type, source, measurement, tags, fields]);
    let shape = this.shapes.get(key);
    if (shape === undefined) {
      const texts = type === reading ? [source, measurement, ...tags, ...fields] : [source];
      const names = texts.map((text) => this.nameOf(text));
      shape = { type, source, measurement, tags, fields, names, group: 0, number: 0 };
      this.shapes.set(key, shape);
    }
    return shape;
  }

  private forget(): void {
    this.names.clear();
    this.shapes.clear();
    this.subjects.clear();
  }
}

function newSeries(subject: Subject, shape: Shape): Series {
  const series: Series = { shape, group: 0, number: 0 };
  subject.series.unshift(series);
  if (subject.series.length > seriesMax) subject.series.pop();
  return series;
}

function hasTags(tags: Reading['tags'], known: readonly string[]): boolean {
  let at = 0;
  for (const tag in tags) {
    if (tag !== known[at] || tags[tag] !== known[at + 1]) return false;
    at += 2;
  }
  return at === known.length;
}

function hasShape(shape: Shape, source: string, data: Reading): boolean {
  if (shape.type !== reading || shape.source !== source) return false;
  if (shape.measurement !== data.measurement || !hasTags(data.tags, shape.tags)) return false;
  let count = 0;
  for (const field in data.fields) if (field !== shape.fields[count++]) return false;
  return count === shape.fields.length;
}
