import { isUtf8 } from 'node:buffer';
import { type CodecFiles, DecodeError, type Reply } from '../codec/codec.ts';
import type { IngestMapping } from '../codec/mapping-options.ts';
import { beginningOf } from '../codec/utf8.ts';
import type { Draft, EventData } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import type { EventLog } from '../log/log.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { SchemaRegistry } from '../schema/registry.ts';
import type { Ingest, Message, Source } from '../source/source.ts';
import { appendAll, appendTogether } from './append.ts';
import { claimed } from './claims.ts';
import { commandOf, commandTopics } from './commands.ts';
import type { DuplicateWindow } from './duplicates.ts';
import { createMapper, type Readings, type Route } from './mapping.ts';
import { messageDraft } from './message-draft.ts';

export interface IngestParts {
  readonly gateway: string;
  /** The name of the source: events come from `/gateways/<gateway>/<source>`. */
  readonly source: string;
  readonly mappings: readonly IngestMapping[];
  /** What codecs are configured with beside their options. */
  readonly codecFiles?: CodecFiles;
  /** What readings must look like, and what becomes of those that do not. */
  readonly schemas?: SchemaRegistry;
  /** How the source speaks, for codecs that ask a device something; else they do not. */
  readonly reply?: Source['publish'];
  readonly log: EventLog;
  /** Without it, repeats are recorded as they come. */
  readonly duplicates?: DuplicateWindow;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A larger message is kept as one that cannot be read. */
const payloadBytesMax = 256 * 1_024;
/** Of a message that cannot be read, this much is kept. */
const keptBytesMax = 64 * 1_024;
/** Topics that nobody wants are named in the gateway's own log up to this many. */
const namedTopicsMax = 100;
const keptTopicLength = 1_024;

/**
 * Messages to events, and into the log. Resolves when all of it is durable: readings, and what
 * cannot be read as `undecodable` events, since sending it again would not help. Counted only:
 * repeats, topics that no mapping wants, and empty messages, by which MQTT clears a retained one.
 */
export function createIngest(parts: IngestParts): Ingest {
  const { metrics, log } = parts;
  const labels = { source: parts.source };
  const source = `/gateways/${parts.gateway}/${parts.source}`;
  const repeats = createRepeats(parts.duplicates);
  const reportUnmatched = createUnmatchedReport(parts);
  const routeOf = createMapper(parts.mappings, {
    source,
    clock: parts.clock,
    onRefusedTime: () => metrics.refusedTimes.inc(labels),
    ...(parts.codecFiles === undefined ? {} : { codecFiles: parts.codecFiles }),
    ...(parts.schemas === undefined ? {} : { schemas: parts.schemas }),
  });
  const reply = createReplies(parts);

  const add = (drafts: Draft[], message: Message): void => {
    if (message.payload.byteLength === 0) {
      metrics.empty.inc(labels);
      return;
    }
    const route = routeOf(message.topic);
    // No mapping is asked about them.
    if (route === undefined && message.topic.startsWith(commandTopics)) {
      drafts.push(commandOf(message, source));
      return;
    }
    const passed =
      route === undefined ? 'unmatched' : addDrafts(drafts, message, route, source, reply);
    if (passed === 'ignored') metrics.ignored.inc(labels);
    if (passed === 'unmatched') {
      metrics.unmatched.inc(labels);
      reportUnmatched(message.topic);
    }
  };

  const gather = (messages: readonly Message[]): Gathered => {
    const drafts: Draft[] = [];
    let starts: Set<Draft> | undefined;
    for (const message of messages) {
      const begin = drafts.length;
      if (message.record !== undefined) {
        starts ??= new Set();
        drafts.push(messageDraft(message.record, message.receivedAt, source));
      }
      if (message.recordOnly !== true) add(drafts, message);
      if (starts !== undefined && begin < drafts.length) starts.add(drafts[begin]!);
    }
    return { drafts, starts };
  };
  const record = async ({ drafts, starts }: Gathered) => {
    const fresh = repeats === undefined ? undefined : repeats.without(drafts);
    const append = (all: readonly Draft[]) =>
      starts === undefined
        ? appendAll(all, log, tooLarge)
        : appendTogether(all, starts, log, tooLarge);
    if (repeats === undefined || fresh === undefined) {
      return drafts.length > 0 ? await append(drafts) : undefined;
    }
    const { drafts: news, repeated, waitFor } = fresh;
    if (repeated > 0) metrics.duplicates.inc(labels, repeated);
    const appended = news.length > 0 ? append(news) : undefined;
    if (appended !== undefined) waitFor.push(repeats.track(news, appended));
    await Promise.all(waitFor);
    return await appended;
  };

  return async (messages) => {
    metrics.received.inc(labels, messages.length);
    let bytes = 0;
    for (const { payload } of messages) bytes += payload.length;
    metrics.receivedBytes.inc(labels, bytes);
    // Without `await`: who awaits here holds on to the messages until they are on the disk.
    return record(gather(messages));
  };
}

interface Gathered {
  readonly drafts: readonly Draft[];
  /** Where the drafts of each message begin, once there is one that has a record. */
  readonly starts: ReadonlySet<Draft> | undefined;
}

/** A reply is a question that is asked again if it was lost: nobody waits for it. */
function createReplies({ reply, logger, source }: IngestParts) {
  return (replies: readonly Reply[]): void => {
    for (const { topic, payload } of replies) {
      reply?.(topic, payload, { retain: false, qos: 0 }).catch((error: unknown) => {
        logger.warn({ source, topic, error: messageOf(error) }, 'A reply could not be published.');
      });
    }
  };
}

function addDrafts(
  drafts: Draft[],
  message: Message,
  route: Route,
  source: string,
  reply: (replies: readonly Reply[]) => void,
): Readings['passed'] {
  if (message.problem !== undefined) {
    drafts.push(undecodable(message, route, source, message.problem));
    return undefined;
  }
  if (message.payload.byteLength > payloadBytesMax) {
    const size = `The message has ${message.payload.byteLength} bytes; ${payloadBytesMax} are read.`;
    drafts.push(undecodable(message, route, source, size));
    return undefined;
  }
  try {
    const { drafts: readings, problem, replies, passed } = route.read(message);
    if (replies !== undefined) reply(replies);
    const { claims } = message;
    const all = claims === undefined ? readings : claimed(readings, claims);
    for (const reading of all) drafts.push(reading);
    if (problem !== undefined) drafts.push(undecodable(message, route, source, problem));
    return passed;
  } catch (error) {
    const reason = error instanceof DecodeError ? error.message : `Defect: ${messageOf(error)}`;
    drafts.push(undecodable(message, route, source, reason));
    return undefined;
  }
}

function undecodable(message: Message, route: Route, source: string, reason: string): Draft {
  const { payload, topic } = message;
  message.onProblem?.(reason);
  const kept = beginningOf(payload, keptBytesMax);
  const isText = isUtf8(kept);
  const bytes = Buffer.from(kept.buffer, kept.byteOffset, kept.byteLength);
  const cut = ` The first ${kept.byteLength} of ${payload.byteLength} bytes are kept.`;
  const data: EventData['undecodable'] = {
    topic: topic.slice(0, keptTopicLength),
    codec: route.codec.name,
    reason: kept.byteLength < payload.byteLength ? reason + cut : reason,
    encoding: isText ? 'utf8' : 'base64',
    payload: bytes.toString(isText ? 'utf8' : 'base64'),
  };
  const subject = route.subject.slice(0, keptTopicLength);
  return { type: 'undecodable', source, subject, time: message.receivedAt, data };
}

/** The last resort, so that one message never keeps the others from being acknowledged. */
function tooLarge({ source, subject, time, data }: Draft, error: Error): Draft {
  const payload = toLosslessJson(data).slice(0, keptBytesMax);
  const reason = `Too large for the log: ${error.message}. The beginning of what was read is kept.`;
  const kept = { topic: '', codec: 'json', reason, encoding: 'utf8', payload } as const;
  return { type: 'undecodable', source, subject, time, data: kept };
}

/** Repeats of what is durable, and of what is on its way to become so. */
function createRepeats(window: DuplicateWindow | undefined) {
  if (window === undefined) return undefined;
  const underWay = new Map<string, Promise<unknown>>();
  return {
    /** Undefined when no draft has an identity: then there is nothing to tell apart. */
    without(drafts: readonly Draft[]) {
      if (drafts.every((draft) => draft.id === undefined)) return undefined;
      const waitFor: Promise<unknown>[] = [];
      const here = new Set<string>();
      const news = drafts.filter(({ id }) => {
        if (id === undefined) return true;
        const pending = underWay.get(id);
        if (pending !== undefined && !waitFor.includes(pending)) waitFor.push(pending);
        if (pending !== undefined || here.has(id) || window.has(id)) return false;
        here.add(id);
        return true;
      });
      return { drafts: news, repeated: drafts.length - news.length, waitFor };
    },
    /** Once they are durable they are remembered; if they fail, a repeat is welcome. */
    async track(drafts: readonly Draft[], appended: Promise<unknown>): Promise<void> {
      for (const { id } of drafts) if (id !== undefined) underWay.set(id, appended);
      try {
        await appended;
        for (const { id } of drafts) if (id !== undefined) window.remember(id);
      } finally {
        for (const { id } of drafts) if (id !== undefined) underWay.delete(id);
      }
    },
  };
}

/** One line for each topic: the first to be seen, the others for those who look closer. */
function createUnmatchedReport({ logger, source }: IngestParts): (topic: string) => void {
  const named = new Set<string>();
  return (topic) => {
    if (named.size >= namedTopicsMax) return;
    const short = topic.slice(0, keptTopicLength);
    if (named.has(short)) return;
    named.add(short);
    logger.warn(
      { source, topic: short, remedy: 'Add an entry for it to ingest if it should be recorded.' },
      'No ingest mapping wants this topic; its messages are only counted.',
    );
  };
}
