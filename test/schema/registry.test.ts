import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSchemas } from '../../src/command/schema-files.ts';
import { loadConfig } from '../../src/config/load.ts';
import { fromCloudEventsJson, toCloudEventsText } from '../../src/event/cloudevents-json.ts';
import type { Draft } from '../../src/event/event.ts';
import { createIngest } from '../../src/flow/ingest.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { runCommand } from '../command/command-line.ts';
import { clock, receivedAt } from '../profile/outcome.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-schema-'));
  mkdirSync(join(cwd, 'schemas'));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

const write = (name: string, text: string) => writeFileSync(join(cwd, name), text);
const manual = readFileSync(join(import.meta.dirname, '../../docs/schemas.md'), 'utf8');
const shown = (language: string, at = 0) =>
  [...manual.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))][at]![1]!;
const fields = (more: object) => JSON.stringify({ properties: { fields: more } });

async function loaded() {
  const config = await loadConfig({ cwd, environment: {} });
  return { ...config, ...(await readSchemas(config)) };
}

/** What is recorded of a message. */
async function recorded(topic: string, payload: string) {
  const { config, registry, problems } = await loaded();
  expect(problems).toEqual([]);
  const drafts: Draft[] = [];
  const ingest = createIngest({
    ...{ gateway: 'gw', source: 'broker', mappings: config.ingest, schemas: registry, clock },
    ...{ logger: silentLogger, metrics: createMetrics() },
    log: {
      append: async (all: readonly Draft[]) => {
        drafts.push(...all);
        return 1;
      },
    } as never,
  });
  await ingest([{ topic, payload: Buffer.from(payload), receivedAt }]);
  return drafts;
}

/** The configuration and the schema of the manual, beside a first version without the bounds. */
function writeManual(): void {
  write('tidegate.yaml', shown('yaml'));
  write('schemas/climate-1.json', fields({ required: ['temp'] }));
  write('schemas/climate-2.json', shown('json'));
}

test('a reading carries the newest version that it fits, and what fits none is kept with the path', async () => {
  writeManual();
  const [fits] = await recorded('sensors/gh-07/climate', '{"temperature":21}');
  expect(fits).toMatchObject({
    type: 'reading',
    extensions: { dataschema: 'urn:tidegate:schema:climate:2' },
  });
  const [older] = await recorded('sensors/gh-07/climate', '{"temp":21}');
  expect(older).toMatchObject({ extensions: { dataschema: 'urn:tidegate:schema:climate:1' } });
  const [not] = await recorded('sensors/gh-07/climate', '{"temperature":130}');
  expect(not).toMatchObject({
    type: 'undecodable',
    data: {
      topic: 'sensors/gh-07/climate',
      reason: 'fields.temperature must be <= 100 (schema climate version 2, nor any older).',
      payload: '{"temperature":130}',
    },
  });
  expect(manual).toContain((not as Draft<'undecodable'>).data.reason);
  const [other] = await recorded('sensors/gh-07/soil', '{"temperature":130}');
  expect(other!.extensions).toBeUndefined();
});

test('of several readings only those that do not fit are kept back', async () => {
  writeManual();
  const drafts = await recorded(
    'sensors/gh-07/climate',
    '[{"temperature":1},{"temperature":"x"},{"temperature":3}]',
  );
  expect(drafts.map(({ type }) => type)).toEqual(['reading', 'reading', 'undecodable']);
  expect(drafts[2]).toMatchObject({
    data: { reason: expect.stringMatching(/^Reading 2 of 3: fields.temperature must be number/) },
  });
});

test('dataschema is an attribute of the CloudEvent, and comes back from it', () => {
  const event = {
    type: 'reading',
    ...{ id: '1', source: '/s', subject: 'a', time: 0, recordedTime: 0 },
    data: { measurement: 'm', tags: {}, fields: { t: 1 } },
    extensions: { dataschema: 'urn:tidegate:schema:climate:2' },
  } as const;
  const text = toCloudEventsText(event);
  expect(JSON.parse(text)).toMatchObject({ dataschema: 'urn:tidegate:schema:climate:2' });
  expect(fromCloudEventsJson(text)).toEqual(event);
});

test('without validate a reading says its schema and nothing is checked; $id names it', async () => {
  write('schemas/1.json', JSON.stringify({ $id: 'https://example.com/c', type: 'string' }));
  write(
    'tidegate.yaml',
    'schemas:\n  c: { device: "gh-*", measurement: m, versions: { 1: schemas/1.json } }\n',
  );
  const { config, registry } = await loaded();
  const routeOf = createMapper(config.ingest, {
    ...{ source: '/s', clock, schemas: registry, onRefusedTime: () => {} },
  });
  const read = (topic: string) =>
    routeOf(topic)!.read({ topic, payload: Buffer.from('1'), receivedAt }).drafts[0]!.extensions;
  expect(read('gh-1/m')).toEqual({ dataschema: 'https://example.com/c' });
  expect([read('gh-1/n'), read('x/m')]).toEqual([undefined, undefined]);
});

test.each([
  ['backward', 'is not backward compatible with 1: fields.t is now required.'],
  ['forward', ''],
  ['full', 'is not backward compatible with 1: fields.t is now required.'],
  ['none', ''],
])('check asks for %s compatibility', async (compatibility, said) => {
  write('schemas/1.json', fields({ properties: { t: {} } }));
  write('schemas/2.json', fields({ properties: { t: {} }, required: ['t'] }));
  const versions = '{ 1: schemas/1.json, 2: schemas/2.json }';
  write(
    'tidegate.yaml',
    `schemas:\n  c: { versions: ${versions}, compatibility: ${compatibility} }\n`,
  );
  const run = runCommand(['check'], { cwd });
  if (said === '') expect((await run).status).toBe(0);
  else await expect(run).rejects.toThrow(`schemas.c.versions.2: ${said}`);
});

test('the newest version is the greatest number, and forward is the other way round', async () => {
  write('schemas/1.json', fields({ properties: { t: {} }, required: ['t'] }));
  write('schemas/2.json', fields({ properties: { t: {} } }));
  const versions = '{ 10: schemas/2.json, 9: schemas/1.json }';
  write('tidegate.yaml', `schemas:\n  c: { versions: ${versions}, compatibility: forward }\n`);
  const { incompatible } = await loaded();
  expect(incompatible.map(({ message }) => message)).toEqual([
    'is not forward compatible with 9: fields.t is now required.',
  ]);
});

test('.proto files are compared by the type that is named', async () => {
  write(
    'schemas/plant-1.proto',
    'syntax = "proto3"; package plant; message Reading { string a = 1; }',
  );
  write(
    'schemas/plant-2.proto',
    'syntax = "proto3"; package plant; message Reading { int32 a = 1; }',
  );
  write('tidegate.yaml', shown('yaml', 1));
  const { incompatible, problems } = await loaded();
  expect(problems).toEqual([]);
  expect(incompatible.map(({ message }) => message)).toEqual([
    'is not backward compatible with 1: a was string, now int32.',
  ]);
});

test('a schema that cannot be used keeps nothing from being told, and the gateway from starting', async () => {
  write('schemas/bad.json', '{');
  write('schemas/odd.json', '{ "type": "nonsense" }');
  const versions = '{ 1: schemas/bad.json, 2: schemas/odd.json, 3: schemas/none.json }';
  write('tidegate.yaml', `schemas:\n  c: { versions: ${versions} }\n`);
  const { problems } = await loaded();
  expect(problems.map(({ path }) => path)).toEqual([
    'schemas.c.versions.1',
    'schemas.c.versions.2',
    'schemas.c.versions.3',
  ]);
  expect(problems[2]!.message).toBe('schemas/none.json: there is no such file.');
  await expect(runCommand(['run'], { cwd })).rejects.toMatchObject({ code: 'GW_CONFIG_INVALID' });
});

test('a text that a pattern would need years for is kept in no time, and the next reading is checked', async () => {
  write('schemas/c.json', fields({ properties: { s: { pattern: '^(a+)+$' } } }));
  write('tidegate.yaml', 'schemas:\n  c: { validate: true, versions: { 1: schemas/c.json } }\n');
  const hostile = `{"s":"${'a'.repeat(200)}!"}`;
  expect(await recorded('x/y', hostile)).toMatchObject([
    { type: 'undecodable', data: { reason: expect.stringContaining('takes longer than 100 ms') } },
  ]);
  expect(await recorded('x/y', '{"s":"aaaa"}')).toMatchObject([{ type: 'reading' }]);
  expect(await recorded('x/y', '{"s":"b"}')).toMatchObject([{ type: 'undecodable' }]);
});

test('a schema may refer to itself, not to elsewhere, nor back to itself at once', async () => {
  const node = { properties: { child: { $ref: '#/$defs/node' } }, required: ['x'] };
  write('schemas/tree.json', JSON.stringify({ $defs: { node }, properties: { fields: node } }));
  const cycle = { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } };
  write('schemas/cycle.json', JSON.stringify({ ...cycle, $ref: '#/$defs/a' }));
  write('schemas/far.json', fields({ $ref: 'http://127.0.0.1:9/far.json' }));
  write('schemas/deep.json', `${'{"not":'.repeat(20_000)}{}${'}'.repeat(20_000)}`);
  const versions = [
    ...['tree', 'tree', 'cycle', 'far', 'deep'].map(
      (name, at) => `${at + 1}: schemas/${name}.json`,
    ),
  ].join(', ');
  write('tidegate.yaml', `schemas:\n  c: { versions: { ${versions} } }\n`);
  const { problems, incompatible } = await loaded();
  expect(problems.map(({ path, message }) => `${path} ${message}`)).toEqual([
    expect.stringMatching(/versions.3 .*leads back to itself/),
    expect.stringMatching(/versions.4 .*nothing is fetched: put what http:.*\$defs/),
    expect.stringMatching(/versions.5 .*nested too deeply/),
  ]);
  expect(incompatible).toEqual([]);
});

test('schemas of the same name inside do not disturb each other', async () => {
  const named = (type: string) =>
    fields({
      $defs: { v: { $id: 'urn:example:v', type } },
      properties: { v: { $ref: 'urn:example:v' } },
    });
  write('schemas/one.json', named('number'));
  write('schemas/two.json', named('string'));
  write(
    'tidegate.yaml',
    'schemas:\n  a: { topic: a/#, validate: true, versions: { 1: schemas/one.json } }\n  b: { topic: b/#, validate: true, versions: { 1: schemas/two.json } }\n',
  );
  expect(await recorded('a/x', '{"v":1}')).toMatchObject([{ type: 'reading' }]);
  expect(await recorded('b/x', '{"v":1}')).toMatchObject([{ type: 'undecodable' }]);
  expect(await recorded('b/x', '{"v":"1"}')).toMatchObject([{ type: 'reading' }]);
});
