/** What mappings can say beyond paths: conditions, exceptions, values, units, elements. */
import { expect, test } from 'vitest';
import type { Document } from '../../src/codec/codec.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import { createUnits } from '../../src/flow/shaped-fields.ts';
import { SimClock } from '../sim/clock.ts';
import { IngestWorld } from './ingest-world.ts';

const clock = new SimClock();

function mapperOf(...mappings: readonly object[]) {
  const parsed = mappings.map((each) => ingestMappingOptions.parse(each));
  return createMapper(parsed, { source: '/s', clock, onRefusedTime: () => {} });
}

function readingsOf(mapping: object, document: unknown, topic = 'a/b') {
  const payload = Buffer.from(JSON.stringify(document));
  const message = { topic, payload, receivedAt: clock.now() };
  return mapperOf({ topic: '{device}/#', ...mapping })(topic)!.read(message);
}

function fieldsOf(mapping: object, document: unknown, topic?: string) {
  return readingsOf(mapping, document, topic).drafts.map(({ data }) => data.fields);
}

test('what is ignored is neither recorded nor unmatched, and counted', async () => {
  const world = await IngestWorld.open([
    { topic: 'a/log', ignore: true },
    { topic: 'a/{device}', when: { kind: 'x' } },
    { topic: 'b/{device}', exclude: ['b/secret'] },
  ]);
  await world.ingest([
    world.message('a/log', 'text'),
    world.message('a/d', '{"kind":"x","t":1}'),
    world.message('a/d', '{"kind":"y","t":1}'),
    world.message('b/secret', '1'),
    world.message('b/d', '1'),
  ]);
  expect((await world.recorded()).map(({ type, subject }) => [type, subject])).toEqual([
    ['reading', 'd'],
    ['reading', 'd'],
  ]);
  expect(await world.count('tidegate_messages_ignored_total')).toBe(1);
  expect(await world.count('tidegate_messages_unmatched_total')).toBe(2);
});

test('conditions are asked in order, for each message anew, and the first that holds counts', () => {
  const routeOf = mapperOf(
    { topic: 'x/{device}', when: { '{device}': 'never*' }, measurement: 'never' },
    { topic: 'x/{device}', when: { kind: ['a', 'b*'], 'deep.there': '*' }, measurement: 'one' },
    { topic: 'x/{device}', when: { '.': 'online' }, measurement: 'presence' },
    { topic: 'x/{device}', codec: 'csv', when: { 0: '*' }, measurement: 'rows' },
    { topic: 'x/{device}', measurement: 'rest' },
  );
  const measured = (text: string) => {
    const message = { topic: 'x/d', payload: Buffer.from(text), receivedAt: clock.now() };
    return routeOf('x/d')!.read(message).drafts[0]!.data.measurement;
  };
  expect(measured('{"kind":"bcd","deep":{"there":{"is":1}}}')).toBe('one');
  expect(measured('{"kind":"bcd","deep":{"there":null}}')).toBe('rest');
  expect(measured('online')).toBe('presence');
  expect(measured('{"kind":"a"}')).toBe('rest');
  expect(measured('42')).toBe('rest');
});

test('a mapping with conditions that cannot read a message leaves it to the next', () => {
  const bytes = { kind: 'bytes', path: 'data', input: 'hex', layout: [{ name: 'a', type: 'u16' }] };
  const mapping = (more: object) => ({ topic: '{device}', ...more });
  const routeOf = mapperOf(
    mapping({ codec: bytes, when: { 'data.a': '*' }, measurement: 'bytes' }),
    mapping({ measurement: 'json' }),
  );
  const read = (text: string) => {
    const message = { topic: 'd', payload: Buffer.from(text), receivedAt: clock.now() };
    return routeOf('d')!.read(message).drafts[0]!.data.measurement;
  };
  expect(read('{"data":"0102"}')).toBe('bytes');
  expect(read('{"data":"01"}')).toBe('json');
  expect(() => read('{"data":')).toThrow('Not JSON');
});

test('names of fields and values may come from the topic', () => {
  const mapping = { topic: '{device}/{n}/#', fields: { '{rest}': '.', 'n_{n}': '{n}' } };
  const message = { topic: 'd/7/x/y', payload: Buffer.from('21.5'), receivedAt: clock.now() };
  const [draft] = mapperOf(mapping)('d/7/x/y')!.read(message).drafts;
  expect(draft!.data.fields).toEqual({ x_y: 21.5, n_7: 7 });
});

test.each<[object, unknown, object]>([
  [{ fields: { t: { path: 'a', scale: 0.1, add: -40 } } }, { a: 615 }, { t: 21.5 }],
  [{ fields: { t: { path: 'a', decimals: 1 } } }, { a: 21.46 }, { t: 21.5 }],
  [{ fields: { t: { path: 'a', type: 'number' } } }, { a: '21.5' }, { t: 21.5 }],
  [{ fields: { t: { path: 'a', type: 'text' } } }, { a: 7 }, { t: '7' }],
  [{ fields: { '*': { path: '.', type: 'auto' } } }, { a: '7', b: 'x' }, { a: 7, b: 'x' }],
  [{ fields: { m: { path: 'a', values: { 0: 'off', 1: 'on' } } } }, { a: 1 }, { m: 'on' }],
  [{ fields: { t: { path: 'a', unit: 'V' } } }, { a: 7 }, { t: 7, t_unit: 'V' }],
  [{ fields: { '*': { path: 'a', codec: 'json' } } }, { a: '{"x":{"y":1}}' }, { x_y: 1 }],
  [
    { fields: { '*': 'a', b: 'b' } },
    { a: { x: 1, y: [2, 3] }, b: 4 },
    { x: 1, y_0: 2, y_1: 3, b: 4 },
  ],
  [{ values: { ON: true, '--': null } }, { a: 'ON', b: '--', c: 'x' }, { a: true, c: 'x' }],
  [
    { omit: ['a', '*.id', 'l.*.n'] },
    { a: 1, b: { id: 2, v: 3 }, l: [{ n: 1, m: 2 }] },
    { b_v: 3, l_0_m: 2 },
  ],
  [
    { units: { '*_t': '°{payload.u}', x: 'V' } },
    { in_t: 1, x: true, u: 'C' },
    { in_t: 1, in_t_unit: '°C', x: true },
  ],
  [{ units: { '*t': '°{payload.u}', 't*': 'K' } }, { t: 1 }, { t: 1, t_unit: 'K' }],
  [{ omit: ['__proto__'] }, JSON.parse('{"__proto__":{"x":1},"t":1}'), { t: 1 }],
])('%j makes of %j the fields %j', (mapping, document, fields) => {
  expect(fieldsOf(mapping, document)).toEqual([fields]);
});

test('units are known for any number of names, whatever is forgotten of them', () => {
  const routeOf = mapperOf({ topic: '{device}', units: { 't*': '°C' } });
  for (let index = 0; index < 10_000; index += 100) {
    const fields = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`t${index + n}`, 1]));
    const payload = Buffer.from(JSON.stringify(fields));
    const [draft] = routeOf('d')!.read({ topic: 'd', payload, receivedAt: clock.now() }).drafts;
    expect(Object.values(draft!.data.fields).filter((value) => value === '°C')).toHaveLength(100);
  }
});

test('a field of the wrong type is told, and the others are read', () => {
  const mapping = { fields: { t: { path: 't', type: 'number' }, h: 'h' } };
  const { drafts, problem } = readingsOf(mapping, { t: 'warm', h: 40 });
  expect(drafts.map(({ data }) => data.fields)).toEqual([{ h: 40 }]);
  expect(problem).toBe('t: "warm" is no number.');
  expect(() => readingsOf(mapping, { t: 'warm' })).toThrow('t: "warm" is no number.');
});

test('each element of a list or an object is a reading of its own', () => {
  const mapping = {
    each: 'probes',
    device: '{payload.gw}-{key}',
    time: { path: 'at' },
    tags: { gw: '{payload.gw}' },
    omit: ['serial'],
    units: { t: '{payload.unit}' },
  };
  const at = clock.now() - 5_000;
  const probes = { p1: { t: 1, serial: 'x' }, p2: { t: 2 }, p3: {} };
  const { drafts, problem } = readingsOf(mapping, { gw: 'g', at, unit: '°C', probes });
  expect(drafts.map(({ subject, time, data }) => [subject, time, data.tags, data.fields])).toEqual([
    ['g-p1', at, { gw: 'g' }, { t: 1, t_unit: '°C' }],
    ['g-p2', at, { gw: 'g' }, { t: 2, t_unit: '°C' }],
  ]);
  expect(problem).toMatch(/^Reading 3 of 3: No number/);
  const list = { gw: 'g', probes: [{ t: 1 }, { t: 2 }] };
  expect(readingsOf(mapping, list).drafts.map(({ subject }) => subject)).toEqual(['g-0', 'g-1']);
  expect(() => readingsOf(mapping, { gw: 'g' })).toThrow(
    'There is no list and no object at probes.',
  );
});

test('with allowEmpty a message without a value is nothing; bytes that make no sense are not', () => {
  for (const document of [{}, { a: null }, [], 'nan'] as Document[]) {
    const mapping = { topic: '{device}', allowEmpty: true };
    const payload = Buffer.from(document === 'nan' ? 'nan' : JSON.stringify(document));
    const message = { topic: 'd', payload, receivedAt: clock.now() };
    expect(mapperOf(mapping)('d')!.read(message)).toEqual({ drafts: [] });
    expect(() => mapperOf({ topic: '{device}' })('d')!.read(message)).toThrow();
  }
  expect(() => readingsOf({ allowEmpty: true, codec: 'cbor' }, 'x')).toThrow();
});

test('a local time without a zone is told by the arrival; an offset is taken as it is', () => {
  const now = Date.UTC(2026, 10, 20, 12, 30, 5);
  const time = (zone: string, text: string): string => {
    const mapping = { topic: '{device}', time: { path: 'at', zone } };
    const payload = Buffer.from(JSON.stringify({ at: text, t: 1 }));
    const message = { topic: 'd', payload, receivedAt: now };
    return new Date(mapperOf(mapping)('d')!.read(message).drafts[0]!.time)
      .toISOString()
      .slice(11, 19);
  };
  expect(time('guess', '2026-11-20T13:30:00')).toBe('12:30:00');
  expect(time('guess', '2026-11-20T07:00:03')).toBe('12:30:03');
  expect(time('guess', '2026-11-20T12:30:00')).toBe('12:30:00');
  expect(time('guess', '2026-11-20T11:22:00')).toBe('11:22:00');
  expect(time('guess', '2026-11-20T11:30:00Z')).toBe('11:30:00');
  expect(time('utc', '2026-11-20T13:30:00')).toBe('13:30:00');
  expect(time('+01:00', '2026-11-20T13:30:00')).toBe('12:30:00');
  expect(time('-05:30', '2026-11-20T07:00:00')).toBe('12:30:00');
});

test('options that make no sense are refused with their place', () => {
  const refused: [object, string][] = [
    [{ topic: ['{device}', 'a/+'] }, 'nothing names the device'],
    [{ topic: '{device}', exclude: ['a/#/b'] }, '# may only be the last level'],
    [{ topic: '{device}', when: { '{x}': 'a' } }, '{x} is not captured by the topic'],
    [{ topic: '{device}', when: { 'a..b': 'a' } }, 'a..b is not a path'],
    [{ topic: '{device}', fields: { '{x}': 'a' } }, '{x} is not captured by the topic'],
    [{ topic: '{device}', fields: { a: { path: '{x}' } } }, '{x} is not captured by the topic'],
    [{ topic: '{device}', tags: { a: '{key}' } }, '{key} is not captured by the topic'],
    [{ topic: '{device}', omit: ['a..b'] }, 'a..b is not a path'],
    [{ topic: '{device}', time: { path: 'a', zone: 'CET' } }, 'must be utc, guess, or an offset'],
  ];
  for (const [mapping, message] of refused) {
    const { error } = ingestMappingOptions.safeParse(mapping);
    expect(error?.issues.map((issue) => issue.message).join(), JSON.stringify(mapping)).toContain(
      message,
    );
  }
});

test('the units of ever new names of fields are found, and few of the names are remembered', () => {
  const known = new Map<string, readonly number[]>();
  const unitsFor = createUnits(['*_c', 'hum*'], known);
  for (let n = 0; n < 10_000; n++) {
    expect(unitsFor(`probe${n}_c`)).toEqual([0]);
    expect(unitsFor(`hum${n}`)).toEqual([1]);
    expect(known.size).toBeLessThanOrEqual(4_096);
  }
});
