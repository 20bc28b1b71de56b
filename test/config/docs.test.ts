import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { configJsonSchema, editorSchema, type JsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { referenceOf } from '../../src/config/reference.ts';
import { schemaProblems } from './json-schema-check.ts';

const root = join(import.meta.dirname, '../..');
const manual = join(root, 'docs/configuring.md');

/** Every configuration that people are shown: the files, and the examples of the manual. */
function shownConfigurations(): (readonly [name: string, text: string])[] {
  const files = ['config', 'config/samples'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => `${folder}/${name}`),
  );
  const blocks = [...readFileSync(manual, 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)];
  return [
    ...files.map((name) => [name, readFileSync(join(root, name), 'utf8')] as const),
    ...blocks.map((match, index) => [`example ${index + 1}`, match[1]!] as const),
  ];
}

test.for(shownConfigurations())('what people are shown can be used: %s', async ([, text]) => {
  const cwd = mkdtempSync(join(tmpdir(), 'tidegate-shown-'));
  try {
    writeFileSync(join(cwd, 'tidegate.yaml'), text);
    await expect(loadConfig({ cwd, environment: {} })).resolves.toBeDefined();
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test.for(shownConfigurations())('the JSON Schema accepts what we accept: %s', ([, text]) => {
  expect(schemaProblems(editorSchema(), parse(text))).toEqual([]);
});

test('the JSON Schema refuses what we refuse', () => {
  const refused = [
    { sink: {} },
    { broker: { listeners: [] } },
    { broker: { listeners: [{ port: 65_536 }] } },
    { sinks: { out: { kind: 'consol' } } },
    { sinks: { 'a b': { kind: 'console' } } },
    { sinks: { out: { kind: 'console', expire: '1y' } } },
    { sources: { x: {} } },
    { ingest: [{}] },
    { admin: { listen: '8080' } },
  ];
  for (const config of refused) {
    expect(schemaProblems(editorSchema(), config), JSON.stringify(config)).not.toEqual([]);
  }
});

/** Every schema in the schema, with its path; that of an alternative ends in `|`. */
function* partsOf(schema: JsonSchema, path: string): Generator<readonly [string, JsonSchema]> {
  yield [path, schema];
  const alternatives = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  for (const each of alternatives) yield* partsOf(each, `${path}|`);
  for (const [key, each] of Object.entries(schema.properties ?? {})) {
    yield* partsOf(each, `${path}.${key}`);
  }
  if (schema.items !== undefined) yield* partsOf(schema.items, `${path}[]`);
  const { additionalProperties: each } = schema;
  if (typeof each === 'object') yield* partsOf(each, `${path}.*`);
}

test('every default in the JSON Schema is one that it accepts', () => {
  const schema = configJsonSchema();
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
  const problems = [...partsOf(schema, '$')]
    .filter(([, part]) => part.default !== undefined)
    .flatMap(([path, part]) => schemaProblems(part, part.default, path));
  expect(problems).toEqual([]);
});

test('every setting says what it is for', () => {
  const silent = [...partsOf(configJsonSchema(), '')]
    .filter(([, { description = '' }]) => description === '')
    .map(([path]) => path)
    // What names, entries and alternatives are for is said where they are listed.
    .filter((path) => !/(^|[*\]|])$|\.kind$|\|\.(file|env|credential)$/.test(path));
  expect(silent).toEqual([]);
});

test('the reference in the manual says what the schema says', () => {
  const text = readFileSync(manual, 'utf8');
  const start = text.indexOf('-->', text.indexOf('<!-- made from the schema')) + 4;
  const end = text.indexOf('<!-- end -->');
  const current = `${text.slice(0, start)}\n${referenceOf(configJsonSchema())}\n${text.slice(end)}`;
  if (process.env.TIDEGATE_UPDATE_DOCS === '1') writeFileSync(manual, current);
  expect(readFileSync(manual, 'utf8'), 'TIDEGATE_UPDATE_DOCS=1 rewrites it').toBe(current);
});
