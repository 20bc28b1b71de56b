/**
 * Bytes in, readings out: every folder under `test/cases/<codec>` is a case, and a new one needs no
 * code.
 *
 *   topic.txt      the topic
 *   payload.*      the bytes; `.hex` is written as digits, anything else stands as it is
 *   messages.txt   instead of both, for several messages in a row: a topic and base64 on each line
 *   *.proto        what the codec's options refer to
 *   mapping.yaml   one entry of `ingest:`; without it the default mappings, with the folder's codec
 *   expected.json  the readings: device, measurement, fields; tags where there are any; time unless it
 *                  is the time of arrival; extensions where there are any; { "bigint": "3" } is 3n
 *   error.txt      the reason, where something cannot be read; a line for each message
 *   replies.txt    the topics of what is published in answer, a line for each
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DecodeError } from '../../src/codec/codec.ts';
import { type CodecName, codecKinds } from '../../src/codec/index.ts';
import {
  defaultIngestMappings,
  type IngestMapping,
  ingestMappingOptions,
} from '../../src/codec/mapping-options.ts';
import { parseLosslessJson } from '../../src/event/lossless-json.ts';
import { createMapper, type Route } from '../../src/flow/mapping.ts';
import type { Message } from '../../src/source/source.ts';

const cases = join(import.meta.dirname, '../cases');
const receivedAt = Date.UTC(2026, 10, 20, 12, 30);
const clock = {
  now: () => receivedAt,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: async () => {},
};

interface Sent {
  readonly topic: string;
  readonly payload: Uint8Array;
}

interface Case {
  readonly messages: readonly Sent[];
  readonly codecFiles: ReadonlyMap<string, string>;
  readonly mappings: readonly IngestMapping[];
  readonly expected: unknown;
  readonly error: string | undefined;
  readonly replies: string | undefined;
}

function read(folder: string, codec: CodecName): Case {
  const files = readdirSync(folder);
  const text = (name: string): string | undefined =>
    files.includes(name) ? readFileSync(join(folder, name), 'utf8').trim() : undefined;
  const mapping = text('mapping.yaml');
  return {
    messages: text('messages.txt')?.split('\n').map(messageIn) ?? [
      { topic: text('topic.txt')!, payload: payloadIn(folder, files) },
    ],
    codecFiles: new Map(
      files.filter((name) => name.endsWith('.proto')).map((name) => [name, text(name)!]),
    ),
    mappings:
      mapping === undefined
        ? defaultIngestMappings.map((each) => ({ ...each, codec }))
        : [ingestMappingOptions.parse({ codec, ...parse(mapping) })],
    expected: withBigints(parseLosslessJson(text('expected.json') ?? '[]')),
    error: text('error.txt'),
    replies: text('replies.txt'),
  };
}

/** JSON has no word for a small `bigint`, which is what an integer of the line protocol is. */
function withBigints(node: unknown): unknown {
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(withBigints);
  if ('bigint' in node) return BigInt(node.bigint as string);
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withBigints(value)]));
}

function payloadIn(folder: string, files: readonly string[]): Uint8Array {
  const name = files.find((each) => each.startsWith('payload.'))!;
  const bytes = readFileSync(join(folder, name));
  if (!name.endsWith('.hex')) return bytes;
  return Buffer.from(bytes.toString().replaceAll(/\s/g, ''), 'hex');
}

function messageIn(line: string): Sent {
  const end = line.lastIndexOf(' ');
  return { topic: line.slice(0, end), payload: Buffer.from(line.slice(end + 1), 'base64') };
}

interface Outcome {
  readonly readings: unknown[];
  readonly errors: string[];
  readonly replies: string[];
}

function outcomeOf({ messages, mappings, codecFiles }: Case): Outcome {
  const parts = { source: '/s', clock, onRefusedTime: () => {}, codecFiles };
  const routeOf = createMapper(mappings, parts);
  const outcome: Outcome = { readings: [], errors: [], replies: [] };
  for (const { topic, payload } of messages) {
    const route = routeOf(topic);
    if (route === undefined) outcome.errors.push('No mapping matches.');
    else addOutcome(outcome, route, { topic, payload, receivedAt });
  }
  return outcome;
}

function addOutcome(outcome: Outcome, route: Route, message: Message): void {
  try {
    const { drafts, problem, replies = [] } = route.read(message);
    for (const { subject, time, data, extensions } of drafts) {
      const { measurement, tags, fields } = data;
      outcome.readings.push({
        device: subject,
        measurement,
        ...(time === receivedAt ? {} : { time: new Date(time).toISOString() }),
        ...(Object.keys(tags).length === 0 ? {} : { tags }),
        fields,
        ...(extensions === undefined ? {} : { extensions }),
      });
    }
    if (problem !== undefined) outcome.errors.push(problem);
    outcome.replies.push(...replies.map((reply) => reply.topic));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    outcome.errors.push(error.message);
  }
}

describe.each(Object.keys(codecKinds) as CodecName[])('%s', (codec) => {
  test.each(readdirSync(join(cases, codec)))('%s', (name) => {
    const each = read(join(cases, codec, name), codec);
    const { expected, error, replies } = each;
    const errors = error === undefined ? [] : error.split('\n');
    expect(outcomeOf(each)).toEqual({
      readings: expected,
      errors,
      replies: replies === undefined ? [] : replies.split('\n'),
    });
  });
});
