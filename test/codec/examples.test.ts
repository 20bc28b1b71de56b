/** The binary examples of the manual: what is shown is sent, and what is promised comes out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { parseLosslessJson } from '../../src/event/lossless-json.ts';
import { createMapper } from '../../src/flow/mapping.ts';

const root = join(import.meta.dirname, '../..');
const manual = readFileSync(join(root, 'docs/codecs.md'), 'utf8');
const receivedAt = Date.UTC(2026, 10, 20, 12, 30);
const clock = {
  ...{ now: () => receivedAt, monotonic: () => 0, boot: '' },
  quality: () => 'synchronised' as const,
  sleep: async () => {},
};

function blockIn(section: string, language: string): string | undefined {
  return new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(section)?.[1];
}

const sent = /^echo (\S+) \| base64 -d \| mosquitto_pub -t (\S+) -s$/gm;
const sections = manual.split(/^## /m).filter((section) => section.match(sent) !== null);

test('the manual has examples of both binary formats', () => {
  const titles = sections.map((section) => section.split('\n')[0]);
  expect(titles).toEqual(expect.arrayContaining(['protobuf', 'sparkplug']));
});

test.each(sections.map((section) => [section.split('\n')[0]!, section]))('%s', (_, section) => {
  const { ingest } = parse(blockIn(section, 'yaml')!);
  const mappings = ingest.map((each: unknown) => ingestMappingOptions.parse(each));
  const codecFiles = new Map([['plant.proto', blockIn(section, 'proto') ?? '']]);
  const parts = { source: '/s', clock, onRefusedTime: () => {}, codecFiles };
  const routeOf = createMapper(mappings, parts);
  const readings = [...section.matchAll(sent)].flatMap(([, bytes, topic]) => {
    const message = { topic: topic!, payload: Buffer.from(bytes!, 'base64'), receivedAt };
    const { drafts, problem } = routeOf(topic!)!.read(message);
    expect(problem).toBeUndefined();
    return drafts.map(({ subject, time, data: { measurement, tags, fields } }) => ({
      ...{ device: subject, measurement, tags, fields },
      ...(time === receivedAt ? {} : { time: new Date(time).toISOString() }),
    }));
  });
  expect(readings).toEqual(parseLosslessJson(blockIn(section, 'json')!));
});

test('the schema of the manual is that of the sample', () => {
  const schema = manual.split(/^## /m).find((section) => section.startsWith('protobuf'))!;
  const sample = readFileSync(join(root, 'config/samples/plant.proto'), 'utf8');
  expect(sample.replace(/^\/\/.*\n/, '')).toBe(blockIn(schema, 'proto'));
});
