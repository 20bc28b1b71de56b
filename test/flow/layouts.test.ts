import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DecodeError } from '../../src/codec/codec.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createMapper, type Route } from '../../src/flow/mapping.ts';
import type { Message } from '../../src/source/source.ts';

const receivedAt = Date.UTC(2026, 10, 20);
const clock = {
  now: () => receivedAt,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: () => Promise.resolve(),
};

const topic = 'site/{device}/{measurement}';
const mappings: Readonly<Record<string, readonly object[]>> = {
  plain: [{ topic, codec: 'json' }],
  'found out': [{ topic, codec: 'auto' }],
  tags: [{ topic, codec: 'json', tags: { line: '{payload.note}', of: '{device}' } }],
  'a time': [{ topic, codec: 'auto', time: { path: 'n', unit: 's' } }],
  'an identity': [{ topic, codec: 'json', identity: ['n'] }],
  'chosen fields': [{ topic, codec: 'json', fields: { first: 't', second: 'note' } }],
  omissions: [{ topic, codec: 'auto', omit: ['t'], allowEmpty: true }],
  'another device': [
    { topic, codec: 'json', device: '{payload.note}', measurement: 'm{payload.n}' },
  ],
  conditions: [
    { topic, codec: 'json', when: { ok: 'true' }, measurement: 'good' },
    { topic, codec: 'auto', measurement: 'others' },
  ],
  packed: [{ topic, codec: 'json', contentEncoding: 'gzip' }],
  'perhaps packed': [{ topic, codec: 'json', contentEncoding: 'auto' }],
};

const mapperOf = (name: string) =>
  createMapper(
    mappings[name]!.map((each) => ingestMappingOptions.parse(each)),
    { source: '/gateways/test/broker', clock, onRefusedTime: () => {} },
  );

function outcome(route: Route, message: Message): unknown {
  try {
    return route.read(message);
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

const value = fc.oneof(
  fc.constantFrom('0', '-0', '21.5', '1e2', '12345678901234567', 'null', 'true', '"ok"', '"a\\nb"'),
  fc.constantFrom('1795132800', '1e999', '"ü"', '""', '[1,2]', '{"x":1}', 'nonsense', '-'),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e4, max: 1e4 }).map((each) => `${each}`),
  fc.nat(5).map((each) => `${each}`),
);
const payload = fc
  .tuple(
    fc.constantFrom('t,n,ok,note', 't,n', 'n,t', 't,t', 'note', 't , n'),
    fc.array(value, { minLength: 4, maxLength: 4 }),
  )
  .map(([members, values]) => {
    return `{${members.split(',').map((member, index) => `"${member.trim()}":${values[index]!}`)}}`;
  });
const message = fc.record({
  device: fc.constantFrom('a', 'b'),
  text: payload,
  packed: fc.boolean(),
});

it.each(Object.keys(mappings))(
  'with %s, a message says the same whatever came before it',
  (name) => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 2, maxLength: 40 }), (messages) => {
        const routeOf = mapperOf(name);
        for (const { device, text, packed } of messages) {
          const bytes = Buffer.from(text);
          const each: Message = {
            topic: `site/${device}/climate`,
            payload: packed && name.includes('packed') ? gzipSync(bytes) : bytes,
            receivedAt,
          };
          const alone = outcome(mapperOf(name)(each.topic)!, each);
          expect(outcome(routeOf(each.topic)!, each)).toStrictEqual(alone);
        }
      }),
      { numRuns: 60 },
    );
  },
);
