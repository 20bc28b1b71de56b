import {
  type Codec,
  DecodeError,
  type Document,
  type Found,
  type FoundReading,
  NoValueError,
  type Reply,
} from '../codec/codec.ts';
import { LayoutReader } from '../codec/json-layout.ts';
import { valueAt } from '../codec/path.ts';
import type { Draft, EventData } from '../event/event.ts';
import type { Message } from '../source/source.ts';
import type { CompiledMapping } from './compiled-mapping.ts';
import type { Fields } from './fields.ts';
import { fixedReadingOf } from './fixed-reading.ts';
import { identityOf } from './identity.ts';
import { checkLength, foundTagReader, type Source, sourceOf, tagReader } from './naming.ts';
import { believable, type TimeParts, timeIn } from './reading-time.ts';
import { createShapedReader } from './shaped-fields.ts';

/** What the messages of one topic mean. */
export interface Route {
  readonly codec: Codec;
  /** Whom a message is about that cannot be read: the device, where the topic alone names it. */
  readonly subject: string;
  /** The readings in a message. Throws `DecodeError` when there is none. */
  read(message: Message): Readings;
  /**
   * The readings in a document, one for each element of an array of objects. What fits no reading
   * is left out, and `problem` says why of the first of it.
   */
  readingsOf(document: Document, message: Message): Readings;
}

export interface Readings {
  readonly drafts: readonly Draft<'reading'>[];
  readonly problem?: string;
  /** What the codec says to the other side. */
  readonly replies?: readonly Reply[];
  /** A mapping says that such messages are not recorded, or none wants them. */
  readonly passed?: 'ignored' | 'unmatched';
}

/** What one mapping makes of the messages of one topic. */
export interface MappedRoute extends Route {
  readonly mapping: CompiledMapping;
  readFound(found: Found, message: Message): Readings;
}

export interface RouteParts extends TimeParts {
  /** The `source` of the events. */
  readonly source: string;
}

const readingsMax = 10_000;

/** What a codec finds in a message. Throws `DecodeError` when it can read none of it. */
export function foundBy(codec: Codec, { payload, topic, receivedAt }: Message): Found {
  if (codec.find === undefined) return { document: codec.decode(payload) };
  return codec.find(payload, topic, receivedAt);
}

/** `levels` is what is known from the topic. */
export function createRoute(
  mapping: CompiledMapping,
  topic: string,
  levels: ReadonlyMap<string, string>,
  parts: RouteParts,
): MappedRoute {
  const { allowEmpty, tags } = mapping.mapping;
  const device = sourceOf(mapping.device, levels);
  const measurement = sourceOf(mapping.measurement, levels);
  const tagsOf = tagReader(Object.entries(tags), levels);
  const shaped =
    mapping.fields === undefined ? createShapedReader(mapping.mapping, levels) : undefined;
  /** Why a field of the message at hand could not be read. */
  let fieldProblem: string | undefined;

  const nameOf = (source: Source, document: Document, key?: string): string | undefined =>
    typeof source === 'string' ? source : source(document, key);
  const deviceOf = (document: Document, key?: string): string => {
    const subject = nameOf(device, document, key);
    if (subject !== undefined && subject !== '') return subject;
    const why =
      mapping.device === ''
        ? 'neither topic nor payload has one'
        : `nothing stands for ${mapping.device}`;
    throw new DecodeError(`The device cannot be told: ${why}.`);
  };
  const measurementOf = (document: Document, key?: string): string =>
    nameOf(measurement, document, key) || 'reading';
  const shapedFields = (element: Document, whole: Document, timeIsField: boolean): Fields => {
    const { fields, problem } = shaped!.read(element, whole, timeIsField);
    fieldProblem ??= problem;
    return fields;
  };

  const readingOf = (
    document: Document,
    message: Message,
    index: number,
    element = document,
    key?: string,
  ): Draft<'reading'> => {
    const subject = deviceOf(document, key);
    const name = measurementOf(document, key);
    checkLength('A device', subject);
    checkLength('A measurement', name);
    const claimed =
      mapping.time === undefined ? undefined : timeIn(document, mapping.time, message.receivedAt);
    const time = claimed === undefined ? message.receivedAt : believable(claimed, message, parts);
    const timeIsField = claimed !== undefined && time !== claimed;
    const fields =
      mapping.fields === undefined
        ? shapedFields(element, document, timeIsField)
        : mapping.fields.read(document, timeIsField);
    const data = { measurement: name, tags: tagsOf(document, key), fields };
    const of =
      key === undefined ? [parts.source, subject, name] : [parts.source, subject, name, key];
    const id = identityOf(of, mapping.identity, document, message, index);
    return draftOf(parts.source, subject, time, data, id);
  };
  const foundTagsOf = foundTagReader(Object.keys(tags).length > 0, tagsOf);
  const readingOfFound = (found: FoundReading, message: Message, index: number) => {
    // To the paths of a mapping it is a document like any other.
    const document = found as unknown as Document;
    const subject = (mapping.deviceStands ? undefined : found.device) || deviceOf(document);
    const name =
      (mapping.measurementStands ? undefined : found.measurement) || measurementOf(document);
    checkLength('A device', subject);
    checkLength('A measurement', name);
    const claimed =
      mapping.time === undefined ? found.time : timeIn(document, mapping.time, message.receivedAt);
    const time = claimed === undefined ? message.receivedAt : believable(claimed, message, parts);
    const inFields = mapping.mapping.fields === undefined ? found.fields : document;
    const all = mapping.foundFields?.(found) ?? shapedFields(inFields, document, false);
    const isKept = claimed !== undefined && time !== claimed && !Number.isNaN(claimed);
    const fields = isKept ? { time: claimed, ...all } : all;
    const data = { measurement: name, tags: foundTagsOf(found, document), fields };
    const id = identityOf(
      [parts.source, subject, name],
      mapping.identity,
      document,
      message,
      index,
    );
    const draft = draftOf(parts.source, subject, time, data, id);
    const { extensions } = found;
    return extensions === undefined ? draft : { ...draft, extensions };
  };

  const readingsIn = (document: Document, message: Message): Readings => {
    if (mapping.each !== undefined) {
      const elements = elementsAt(document, mapping.each);
      return eachOf(elements, allowEmpty, ([key, element], index) =>
        readingOf(document, message, index, element, key),
      );
    }
    if (isList(document)) {
      checkCount(document.length);
      return eachOf(document, allowEmpty, (element, index) => readingOf(element, message, index));
    }
    return { drafts: [readingOf(document, message, 0)] };
  };
  const readingsOf = (document: Document, message: Message): Readings => {
    if (shaped === undefined && !allowEmpty) return readingsIn(document, message);
    fieldProblem = undefined;
    try {
      const readings = readingsIn(document, message);
      return fieldProblem === undefined ? readings : { problem: fieldProblem, ...readings };
    } catch (error) {
      if (!allowEmpty || !(error instanceof NoValueError)) throw error;
      return { drafts: [] };
    }
  };
  const ofFound = (found: readonly FoundReading[], message: Message): Readings => {
    checkCount(found.length);
    fieldProblem = undefined;
    const readings = eachOf(found, allowEmpty, (each, index) =>
      readingOfFound(each, message, index),
    );
    return fieldProblem === undefined ? readings : { problem: fieldProblem, ...readings };
  };
  const readFound = (found: Found, message: Message): Readings => {
    if (mapping.mapping.ignore === true) return ignored;
    const readings =
      'document' in found ? readingsOf(found.document, message) : ofFound(found.readings, message);
    const { problem, replies } = found;
    if (problem === undefined && replies === undefined) return readings;
    return { ...readings, ...(problem && { problem }), ...(replies && { replies }) };
  };
  const fixedReading = fixedReadingOf(mapping, device, measurement, tagsOf, parts.source);
  const { codec } = mapping;
  const learning = codec.readsJsonObjects === true ? new LayoutReader(mapping.layouts) : undefined;
  const readSlowly = (message: Message): Readings => {
    if (codec.find === undefined) {
      const document = codec.decode(message.payload);
      learning?.learn(message.payload, document);
      return readingsOf(document, message);
    }
    const found = foundBy(codec, message);
    if ('document' in found) learning?.learn(message.payload, found.document);
    return readFound(found, message);
  };
  return {
    mapping,
    codec,
    subject: typeof device === 'string' && device !== '' ? device : topic,
    readingsOf,
    readFound,
    read(message) {
      if (mapping.mapping.ignore === true) return ignored;
      try {
        const known = learning?.read(message.payload);
        if (known === undefined) return readSlowly(message);
        return fixedReading === undefined
          ? readingsOf(known, message)
          : { drafts: [fixedReading(known, message)] };
      } catch (error) {
        if (!allowEmpty || !(error instanceof NoValueError)) throw error;
        return { drafts: [] };
      }
    },
  };
}

const ignored: Readings = Object.freeze({ drafts: [], passed: 'ignored' });

function draftOf(
  source: string,
  subject: string,
  time: number,
  data: EventData['reading'],
  id: string | undefined,
): Draft<'reading'> {
  return id === undefined
    ? { type: 'reading', source, subject, time, data }
    : { type: 'reading', source, subject, time, data, id };
}

function checkCount(count: number): void {
  if (count > readingsMax) {
    throw new DecodeError(`More than ${readingsMax} readings in one message.`);
  }
}

function elementsAt(
  document: Document,
  path: readonly string[],
): readonly (readonly [key: string, element: Document])[] {
  const node = valueAt(document, path);
  if (typeof node !== 'object' || node === null) {
    throw new NoValueError(`There is no list and no object at ${path.join('.') || '.'}.`);
  }
  const elements = Object.entries(node as Record<string, Document>);
  checkCount(elements.length);
  return elements;
}

/** An array of objects is several readings; any other array is one with several values. */
function isList(document: Document): document is readonly Document[] {
  return (
    Array.isArray(document) &&
    document.length > 0 &&
    document.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))
  );
}

function eachOf<T>(
  elements: readonly T[],
  allowEmpty: boolean,
  readingOf: (element: T, index: number) => Draft<'reading'>,
): Readings {
  const drafts: Draft<'reading'>[] = [];
  let problem: string | undefined;
  elements.forEach((element, index) => {
    try {
      drafts.push(readingOf(element, index));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (allowEmpty && error instanceof NoValueError) return;
      problem ??= `Reading ${index + 1} of ${elements.length}: ${error.message}`;
    }
  });
  return problem === undefined ? { drafts } : { drafts, problem };
}
