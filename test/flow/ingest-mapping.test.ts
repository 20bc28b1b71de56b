import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Document } from '../../src/codec/codec.ts';
import {
  defaultIngestMappings,
  type IngestMapping,
  ingestMappingOptions,
} from '../../src/codec/mapping-options.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import { SimClock } from '../sim/clock.ts';

const clock = new SimClock();

function mapperOf(...mappings: readonly object[]) {
  const parsed: readonly IngestMapping[] = mappings.map((each) => ingestMappingOptions.parse(each));
  return createMapper(parsed, { source: '/s', clock, onRefusedTime: () => {} });
}

function read(mapping: object, topic: string, document: Document) {
  const message = { topic, payload: new Uint8Array(), receivedAt: clock.now() };
  const { drafts } = mapperOf(mapping)(topic)!.readingsOf(document, message);
  return drafts.map(({ subject, data }) => ({ device: subject, ...data }));
}

test('the first mapping that matches wins', () => {
  const routeOf = mapperOf(
    { topic: 'a/{device}', measurement: 'first' },
    { topic: 'a/x', device: 'never' },
    { topic: 'b/#', device: '{last}' },
  );
  expect(routeOf('a/x')?.subject).toBe('x');
  expect(routeOf('b/c/d')?.subject).toBe('d');
  expect(routeOf('c')).toBeUndefined();
});

test('what the gateway itself says under tidegate/ is never ingested', () => {
  const routeOf = mapperOf({ topic: '#', device: '{topic}' });
  expect(routeOf('tidegate/alerts/hot/gh-07')).toBeUndefined();
  expect(routeOf('tidegates/x')).toBeDefined();
});

test.each<[object, string, string, string]>([
  [{ topic: '{device}/{measurement}' }, 'a/b', 'a', 'b'],
  [{ topic: 'plant/{device}/press/+' }, 'plant/a/press/x', 'a', 'press'],
  [{ topic: '{device}/#' }, 'a/b/c', 'a', 'reading'],
  [{ topic: 'x/{plant}/{line}', device: '{plant}-{line}' }, 'x/a/b', 'a-b', 'x'],
  [{ topic: '#', device: '{topic}', measurement: '{last}' }, 'a/b/', 'a/b/', 'reading'],
  [{ topic: '#', device: '{parent}', measurement: 'm' }, '/a/b', '/a', 'm'],
  [{ topic: '#', device: '{parent}', measurement: 'm' }, '/a', '/a', 'm'],
  [{ topic: 'a', device: 'fixed', measurement: 'a {x' }, 'a', 'fixed', 'a {x'],
])('%j makes of %s the device %s and the measurement %s', (mapping, topic, device, measurement) => {
  expect(read(mapping, topic, 1)).toEqual([
    { device, measurement, tags: {}, fields: { value: 1 } },
  ]);
});

test.each<[string, string, string]>([
  ['sensors/gh-07/climate', 'gh-07', 'climate'],
  ['zigbee2mqtt/hall', 'hall', 'zigbee2mqtt'],
  ['gh-07/climate', 'gh-07', 'climate'],
  ['gh-07', 'gh-07', 'reading'],
  ['tele/plug/SENSOR', 'tele/plug', 'SENSOR'],
  ['shellies/a/status/switch:0', 'shellies/a/status', 'switch:0'],
])('by default %s is of %s and measures %s', (topic, device, measurement) => {
  const message = { topic, payload: new Uint8Array(), receivedAt: clock.now() };
  const parts = { source: '/s', clock, onRefusedTime: () => {} };
  const { drafts } = createMapper(defaultIngestMappings, parts)(topic)!.readingsOf(1, message);
  expect(drafts).toMatchObject([{ subject: device, data: { measurement } }]);
});

test('what serves as device, measurement, tag or time is no field; what identifies is', () => {
  const mapping = {
    topic: 'up',
    device: '{payload.ids.name}',
    measurement: '{payload.kind}',
    tags: { site: '{payload.ids.site}', via: 'up' },
    time: { path: 'at' },
    identity: ['seq'],
  };
  const ids = { name: 'a', site: 'north', model: 'x' };
  const document = { ids, kind: 'climate', at: clock.now() / 1000, seq: 5, t: 20 };
  expect(read(mapping, 'up', document)).toEqual([
    {
      device: 'a',
      measurement: 'climate',
      tags: { site: 'north', via: 'up' },
      fields: { ids_model: 'x', seq: 5, t: 20 },
    },
  ]);
});

test('what an object inherits is not what a device sent', () => {
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty'];
  for (const name of names) {
    const mapping = { topic: '{device}', fields: { f: `${name}.name`, g: name, t: 't' } };
    expect(read(mapping, 'a', { t: 1 })).toMatchObject([{ fields: { t: 1 } }]);
  }
});

test('names that are too long, or missing, are refused with the place', () => {
  const long = 'x'.repeat(257);
  expect(() => read({ topic: '{device}' }, long, 1)).toThrow('A device has more than 256');
  expect(() => read({ topic: '{device}/{measurement}' }, `a/${long}`, 1)).toThrow('A measurement');
  const tagged = { topic: '{device}', tags: { s: '{payload.s}' } };
  expect(() => read(tagged, 'a', { s: long, t: 1 })).toThrow('A tag has more than 256');
  expect(() => read({ topic: 'a', device: '{payload.d}' }, 'a', { d: '' })).toThrow(
    'The device cannot be told: nothing stands for {payload.d}.',
  );
});

test('a message has at most 10,000 readings', () => {
  const many = (count: number) => Array.from({ length: count }, () => ({ t: 1 }));
  expect(read({ topic: '{device}' }, 'a', many(10_000))).toHaveLength(10_000);
  expect(() => read({ topic: '{device}' }, 'a', many(10_001))).toThrow('More than 10000 readings');
});

test('routes are remembered for a bounded number of topics', () => {
  const routeOf = mapperOf({ topic: '{device}' });
  const first = routeOf('d0');
  expect(routeOf('d0')).toBe(first);
  // Those that come more than once.
  for (let n = 1; n <= 10_000; n++) for (let time = 0; time < 2; time++) routeOf(`d${n}`);
  expect(routeOf('d0')).not.toBe(first);
  expect(routeOf('d10000')).toBe(routeOf('d10000'));
  expect(routeOf('x'.repeat(600))).not.toBe(routeOf('x'.repeat(600)));
});

const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string({ minLength: 1 }));
const tree: fc.Arbitrary<Document> = fc.letrec<{ node: Document }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.dictionary(fc.stringMatching(/^[a-d]{1,2}$/), tie('node'), { minKeys: 1, maxKeys: 4 }),
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
  ),
})).node;

/** Every leaf and the way to it. */
function leavesOf(node: Document, way: readonly string[] = []): [string, Document][] {
  if (typeof node !== 'object' || node === null) return [[way.join('_'), node]];
  return Object.entries(node).flatMap(([key, value]) => leavesOf(value, [...way, key]));
}

test('every leaf of an object becomes the field that its path names, and nothing else does', () => {
  const object = fc.dictionary(fc.stringMatching(/^[a-d]{1,2}$/), tree, { minKeys: 1 });
  fc.assert(
    fc.property(object, (document) => {
      const [reading] = read({ topic: '{device}' }, 'a', document);
      expect(reading!.fields).toEqual(Object.fromEntries(leavesOf(document)));
      const chosen = { topic: '{device}', fields: { all: '.' } };
      const [whole] = read(chosen, 'a', document);
      const named = leavesOf(document).map(([name, value]) => [`all_${name}`, value]);
      expect(whole!.fields).toEqual(Object.fromEntries(named));
    }),
  );
});

test.each([
  [{ topic: 'sensors/#' }, ['device'], 'nothing names the device'],
  [{ topic: 'a/#/b' }, ['topic'], '# may only be the last level'],
  [{ topic: '{device}', device: '{plant}' }, ['device'], '{plant} is not captured by the topic'],
  [{ topic: '{device}', measurement: '{m}' }, ['measurement'], '{device}, {topic}'],
  [{ topic: '{device}', tags: { a: '{b}' } }, ['tags', 'a'], '{b} is not captured'],
  [{ topic: '{device}', tags: { a: '{payload.x..y}' } }, ['tags', 'a'], 'x..y is not a path'],
  [{ topic: '{device}', time: { path: '' } }, ['time', 'path'], 'is not a path'],
  [{ topic: '{device}', time: { path: 'a', unit: 'h' } }, ['time', 'unit'], ''],
  [{ topic: '{device}', fields: { a: 'b.' } }, ['fields', 'a'], 'b. is not a path'],
  [{ topic: '{device}', identity: ['seq', '.x'] }, ['identity', 1], '.x is not a path'],
  [{ topic: '{device}', codec: 'xml' }, ['codec'], ''],
])('the mapping %j is refused at %j', (mapping, path, text) => {
  const { error } = ingestMappingOptions.safeParse(mapping);
  expect(error?.issues).toMatchObject([{ path, message: expect.stringContaining(text) }]);
});
