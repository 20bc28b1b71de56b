import { expect, test } from 'vitest';
import { readSchema } from '../../src/codec/protobuf-schema.ts';
import { type JsonSchemaNode, narrowingsOf } from '../../src/schema/compatibility.ts';
import { protoNarrowingsOf } from '../../src/schema/proto-compatibility.ts';

const temperature = (more: object): JsonSchemaNode => ({
  type: 'object',
  properties: { t: { type: 'number', ...more } },
});
const said = (wide: JsonSchemaNode, narrow: JsonSchemaNode) =>
  narrowingsOf(wide, narrow).map(({ path, message }) => `${path} ${message}`);

test.each<[string, JsonSchemaNode, JsonSchemaNode, string]>([
  [
    'required',
    temperature({}),
    { ...(temperature({}) as object), required: ['t'] },
    't is now required',
  ],
  ['type', temperature({}), temperature({ type: 'integer' }), 't may no longer be number'],
  [
    'no type before',
    { properties: { t: { type: 'number' } } },
    temperature({}),
    '. must now be object',
  ],
  [
    'minimum',
    temperature({ minimum: 0 }),
    temperature({ minimum: 1 }),
    't has now minimum 1, before 0',
  ],
  ['maximum', temperature({}), temperature({ maximum: 9 }), 't has now maximum 9'],
  ['enum', { enum: ['a', 'b'] }, { enum: ['a'] }, '. may no longer be "b"'],
  ['const', {}, { const: 1 }, '. is now limited to some values'],
  ['closed', {}, { additionalProperties: false }, '. allows no further members now'],
  [
    'a member that is gone from a closed object',
    { properties: { a: {} }, additionalProperties: false },
    { properties: {}, additionalProperties: false },
    'a is no longer allowed',
  ],
  ['items', { items: {} }, { items: { type: 'string' } }, '[] must now be string'],
  [
    'pattern',
    { pattern: 'a' },
    { pattern: 'b' },
    '. pattern has changed, which cannot be compared',
  ],
  ['anyOf', {}, { anyOf: [{}, {}] }, '. anyOf has changed, which cannot be compared'],
  [
    'a reference',
    { $ref: '#/$defs/a', $defs: { a: { type: 'number' } } },
    { $ref: '#/$defs/a', $defs: { a: { type: 'number', minimum: 1 } } },
    '. has now minimum 1',
  ],
  [
    'a reference deep within, to what has changed',
    { properties: { p: { items: { $ref: '#/$defs/a' } } }, $defs: { a: {} } },
    { properties: { p: { items: { $ref: '#/$defs/a' } } }, $defs: { a: { type: 'string' } } },
    'p.[] must now be string',
  ],
  [
    'a member of a schema that refers to itself',
    { properties: { a: { $ref: '#' }, b: { $ref: '#' }, t: {} } },
    { properties: { a: { $ref: '#' }, b: { $ref: '#' }, t: { type: 'string' } } },
    't must now be string',
  ],
])('a schema that is narrower by %s is found', (_, wide, narrow, what) => {
  expect(said(wide, narrow)).toEqual([what]);
});

test.each<[string, JsonSchemaNode, JsonSchemaNode]>([
  ['the same', temperature({ minimum: 0 }), temperature({ minimum: 0 })],
  ['described otherwise', temperature({}), temperature({ description: 'x', title: 'y' })],
  ['wider', temperature({ type: 'integer', minimum: 1 }), temperature({ minimum: 0 })],
  [
    'with one more optional member',
    temperature({}),
    { type: 'object', properties: { t: {}, u: {} } },
  ],
  ['true', temperature({}), true],
  ['less required', { required: ['a', 'b'] }, { required: ['a'] }],
])('a schema that is %s takes all that the other took', (_, wide, narrow) => {
  expect(said(wide, narrow)).toEqual([]);
});

function typeIn(body: string, syntax = 'proto3') {
  const read = readSchema(['a.proto'], new Map([['a.proto', `syntax = "${syntax}";\n${body}`]]));
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read.schema.typeOf('M')!;
}

test.each([
  ['string a = 1;', 'string a = 2;', 'a had the number 1, now 2'],
  ['string a = 1;', 'int32 a = 1;', 'a was string, now int32'],
  ['string a = 1;', 'string b = 1;', 'a number 1 is now called b'],
  ['string a = 1;', 'repeated string a = 1;', 'a was single, which has changed'],
  ['string a = 1;', '', 'a is gone, and its number 1 is not reserved: another could take it'],
  ['sint32 a = 1;', 'int32 a = 1;', 'a was sint32, now int32'],
  [
    'N n = 1; message N { int32 x = 1; }',
    'N n = 1; message N { string x = 1; }',
    'n.x was int32, now string',
  ],
])('messages of %s are not read rightly by %s', (before, after, what) => {
  const found = protoNarrowingsOf(
    typeIn(`message M { ${before} }`),
    typeIn(`message M { ${after} }`),
  );
  expect(found.map(({ path, message }) => `${path} ${message}`)).toEqual([what]);
});

test.each([
  ['string a = 1;', 'string a = 1; int32 b = 2;'],
  ['string a = 1;', 'reserved 1;'],
  ['int32 a = 1;', 'int64 a = 1;'],
  ['M m = 1; int32 x = 2;', 'M m = 1; int32 x = 2;'],
])('messages of %s are read rightly by %s', (before, after) => {
  const found = protoNarrowingsOf(
    typeIn(`message M { ${before} }`),
    typeIn(`message M { ${after} }`),
  );
  expect(found).toEqual([]);
});

test('a field that is required now is found', () => {
  const found = protoNarrowingsOf(
    typeIn('message M { optional int32 a = 1; }', 'proto2'),
    typeIn('message M { optional int32 a = 1; required int32 b = 2; }', 'proto2'),
  );
  expect(found).toEqual([{ path: 'b', message: 'is now required' }]);
});
