import {
  type CodecFiles,
  DecodeError,
  type Document,
  type Found,
  NoValueError,
} from '../codec/codec.ts';
import { packingOf, unpacked } from '../codec/content-encoding.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import type { Draft } from '../event/event.ts';
import { messageOf } from '../platform/errors.ts';
import type { Message } from '../source/source.ts';
import {
  type CompiledMapping,
  compileAll,
  levelsOf,
  payloadObjection,
  topicObjection,
} from './compiled-mapping.ts';
import { documentOf } from './mapping.ts';
import { createRoute, foundBy, type RouteParts } from './route.ts';

/** A mapping whose topic matches, and why it was not the one; without `why` it was. */
export interface Tried {
  readonly mapping: string;
  readonly topic: string;
  readonly why?: string;
}

/** What ingest makes of a message, and by which steps. */
export interface Explanation {
  readonly topic: string;
  readonly bytes: number;
  readonly outcome: 'readings' | 'nothing' | 'ignored' | 'unmatched' | 'undecodable' | 'empty';
  readonly tried: readonly Tried[];
  /** Mappings of one's own whose topic does not match: where a mistake may be. */
  readonly others: readonly string[];
  /** What the topic says under the names of the mapping. */
  readonly captured?: Readonly<Record<string, string>>;
  readonly contentEncoding?: string;
  readonly codec?: string;
  readonly document?: Document;
  readonly readings: readonly Draft<'reading'>[];
  /** Why some of it, or all of it, could not be read. */
  readonly problem?: string;
}

export interface ExplainParts extends RouteParts {
  readonly codecFiles?: CodecFiles;
  /** What schemas say of the readings from a topic; `problem` is why one of them was kept back. */
  readonly checked?: (
    topic: string,
    drafts: readonly Draft<'reading'>[],
  ) => { readonly drafts: readonly Draft<'reading'>[]; readonly problem?: string };
}

/** Explains messages in their order, as codecs that remember what came before need it. */
export function createExplainer(
  mappings: readonly IngestMapping[],
  parts: ExplainParts,
): (message: Message) => Explanation {
  const compiled = compileAll(mappings, parts.codecFiles);
  return (message) => {
    const { topic, payload } = message;
    const about = { topic, bytes: payload.byteLength, others: [], readings: [] };
    if (payload.byteLength === 0) return { ...about, outcome: 'empty', tried: [] };
    const tried: Tried[] = [];
    if (topic.startsWith('tidegate/')) return { ...about, outcome: 'unmatched', tried };
    let failure: string | undefined;
    for (const each of compiled) {
      const levels = levelsOf(each, topic);
      if (levels === undefined) continue;
      const name = { mapping: each.mapping.origin ?? 'a mapping', topic: each.topic };
      const objection = topicObjection(each, topic, levels);
      if (objection !== undefined) {
        tried.push({ ...name, why: objection });
        continue;
      }
      const isLast = each.ofPayload.length === 0;
      if (isLast && each.mapping.ignore === true) {
        return { ...about, outcome: 'ignored', tried: [...tried, name] };
      }
      const found = foundIn(each, message);
      const why = typeof found === 'string' ? found : payloadObjection(each, documentOf(found));
      if (typeof found === 'string') failure ??= found;
      if (why !== undefined) {
        tried.push({ ...name, why });
        if (isLast)
          return {
            ...about,
            ...stepsOf(each, levels, payload),
            outcome: 'undecodable',
            tried,
            problem: failure ?? why,
          };
        continue;
      }
      tried.push(name);
      return {
        ...about,
        ...stepsOf(each, levels, payload),
        ...documentIn(found as Found),
        ...outcomeOf(each, levels, found as Found, message, parts),
        tried,
      };
    }
    const others = compiled
      .filter(({ mapping }) => mapping.origin?.startsWith('ingest') === true)
      .map((each) => `${each.mapping.origin}: ${each.topic}`);
    if (failure !== undefined) {
      return { ...about, outcome: 'undecodable', tried, problem: failure };
    }
    return { ...about, outcome: 'unmatched', tried, others: [...new Set(others)] };
  };
}

/** Or why it cannot be read. */
function foundIn(each: CompiledMapping, message: Message): Found | string {
  try {
    return foundBy(each.codec, message);
  } catch (error) {
    if (error instanceof NoValueError && each.mapping.allowEmpty) return { readings: [] };
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

function stepsOf(
  each: CompiledMapping,
  levels: ReadonlyMap<string, string>,
  payload: Uint8Array,
): Pick<Explanation, 'captured' | 'contentEncoding' | 'codec'> {
  const captured = Object.fromEntries(
    each.pattern.captures.map((name) => [name, levels.get(name) ?? '']),
  );
  return {
    captured,
    codec: each.codec.name,
    ...packedAs(each.mapping.contentEncoding, payload),
  };
}

function packedAs(
  encoding: IngestMapping['contentEncoding'],
  payload: Uint8Array,
): Pick<Explanation, 'contentEncoding'> {
  if (encoding === 'identity') return {};
  const packing = encoding === 'auto' ? packingOf(payload) : encoding;
  if (packing === undefined) return {};
  try {
    const { byteLength } = unpacked(payload, packing);
    return { contentEncoding: `${packing}, ${byteLength} bytes` };
  } catch (error) {
    return { contentEncoding: `${packing}: ${messageOf(error)}` };
  }
}

function documentIn(found: Found): Pick<Explanation, 'document'> {
  return 'document' in found
    ? { document: found.document }
    : { document: found.readings as unknown as Document };
}

function outcomeOf(
  each: CompiledMapping,
  levels: ReadonlyMap<string, string>,
  found: Found,
  message: Message,
  parts: ExplainParts,
): Pick<Explanation, 'outcome' | 'readings' | 'problem'> {
  try {
    const route = createRoute(each, message.topic, levels, parts);
    const { drafts, problem, passed } = route.readFound(found, message);
    if (passed !== undefined) return { outcome: passed, readings: [] };
    const checked = parts.checked?.(message.topic, drafts) ?? { drafts };
    const why = problem ?? checked.problem;
    const outcome =
      checked.drafts.length > 0 ? 'readings' : why === undefined ? 'nothing' : 'undecodable';
    return { outcome, readings: checked.drafts, ...(why === undefined ? {} : { problem: why }) };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const isNothing = each.mapping.allowEmpty && error instanceof NoValueError;
    if (isNothing) return { outcome: 'nothing', readings: [] };
    return { outcome: 'undecodable', readings: [], problem: error.message };
  }
}
