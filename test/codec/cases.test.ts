/**
 * Bytes in, readings out: every folder under `test/cases/<codec>` is a case, and a new one needs no
 * code.
 *
 *   topic.txt      the topic
 *   payload.*      the bytes; `.hex` is written as digits, anything else stands as it is
 *   mapping.yaml   one entry of `ingest:`; without it the default mappings, with the folder's codec
 *   expected.json  the readings: device, measurement, fields; tags where there are any; time unless it
 *                  is the time of arrival
 *   error.txt      the reason, where something cannot be read
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
import { createMapper } from '../../src/flow/mapping.ts';

const cases = join(import.meta.dirname, '../cases');
const receivedAt = Date.UTC(2026, 10, 20, 12, 30);
const clock = {
  now: () => receivedAt,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: async () => {},
};

interface Case {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly mappings: readonly IngestMapping[];
  readonly expected: unknown;
  readonly error: string | undefined;
}

function read(folder: string, codec: CodecName): Case {
  const files = readdirSync(folder);
  const text = (name: string): string | undefined =>
    files.includes(name) ? readFileSync(join(folder, name), 'utf8').trim() : undefined;
  const payload = files.find((name) => name.startsWith('payload.'))!;
  const bytes = readFileSync(join(folder, payload));
  const mapping = text('mapping.yaml');
  return {
    topic: text('topic.txt')!,
    payload: payload.endsWith('.hex')
      ? Buffer.from(bytes.toString().replaceAll(/\s/g, ''), 'hex')
      : bytes,
    mappings:
      mapping === undefined
        ? defaultIngestMappings.map((each) => ({ ...each, codec }))
        : [ingestMappingOptions.parse({ codec, ...parse(mapping) })],
    expected: parseLosslessJson(text('expected.json') ?? '[]'),
    error: text('error.txt'),
  };
}

function outcomeOf({ topic, payload, mappings }: Case): { readings: unknown; error?: string } {
  const route = createMapper(mappings, { source: '/s', clock, onRefusedTime: () => {} })(topic);
  if (route === undefined) return { readings: [], error: 'No mapping matches.' };
  try {
    const message = { topic, payload, receivedAt };
    const { drafts, problem } = route.readingsOf(route.codec.decode(payload), message);
    const readings = drafts.map(({ subject, time, data: { measurement, tags, fields } }) => ({
      device: subject,
      measurement,
      ...(time === receivedAt ? {} : { time: new Date(time).toISOString() }),
      ...(Object.keys(tags).length === 0 ? {} : { tags }),
      fields,
    }));
    return problem === undefined ? { readings } : { readings, error: problem };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { readings: [], error: error.message };
  }
}

describe.each(Object.keys(codecKinds) as CodecName[])('%s', (codec) => {
  test.each(readdirSync(join(cases, codec)))('%s', (name) => {
    const each = read(join(cases, codec, name), codec);
    const { expected: readings, error } = each;
    expect(outcomeOf(each)).toEqual(error === undefined ? { readings } : { readings, error });
  });
});
