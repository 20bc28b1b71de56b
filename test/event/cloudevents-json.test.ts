import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fromCloudEventsBatch,
  fromCloudEventsJson,
  shortNameOf,
  timeTextOf,
  toCloudEventsBatch,
  toCloudEventsJson,
  toCloudEventsText,
  typeNameOf,
} from '../../src/event/cloudevents-json.ts';
import { type CloudEvent, eventTypes } from '../../src/event/event.ts';
import { toLosslessJson } from '../../src/event/lossless-json.ts';
import { alertOf, hostileReading, otherEvent, readingOf } from './events.ts';

test('a reading has the shape that the outside world relies on', () => {
  expect(JSON.parse(toCloudEventsText(readingOf()))).toEqual({
    specversion: '1.0',
    id: '01JD0000000000000000000001',
    source: '/gateways/greenhouse-pi/broker',
    type: 'io.tidegate.reading.v1',
    subject: 'gh-07',
    time: '2026-11-20T14:09:00.123Z',
    recordedtime: '2026-11-20T14:09:00.140Z',
    data: {
      measurement: 'climate',
      tags: { site: 'north' },
      fields: { temperature: 31.2, humidity: 40 },
    },
  });
});

test('an alert has the shape that the outside world relies on', () => {
  expect(JSON.parse(toCloudEventsText(alertOf()))).toMatchObject({
    type: 'io.tidegate.alert.v1',
    causationid: '01JD0000000000000000000001',
    correlationid: 'i-1',
    severitytext: 'WARN',
    data: { rule: 'overheat', state: 'firing', incident: 'i-1', value: 31.2, threshold: 30 },
  });
});

test('every type of event has a name of its own, and the name leads back', () => {
  expect(typeNameOf('reading')).toBe('io.tidegate.reading.v1');
  expect(eventTypes.map((type) => shortNameOf(typeNameOf(type)))).toEqual([...eventTypes]);
  expect(shortNameOf('com.example.other')).toBeUndefined();
});

/** What is left of an event: zero without a sign, NaN for all that is not finite. */
const seen = (event: CloudEvent): unknown => normalised(event);
function normalised(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : Number.NaN;
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(normalised);
  return Object.entries(value)
    .map(([key, member]) => [key, normalised(member)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('whatever devices send', () => {
  test('an event comes back from its JSON as it was', () => {
    fc.assert(
      fc.property(fc.oneof(hostileReading, otherEvent), (event) => {
        expect(seen(fromCloudEventsJson(toCloudEventsText(event)))).toEqual(seen(event));
        expect(seen(fromCloudEventsJson(toCloudEventsJson(event)))).toEqual(seen(event));
      }),
      { numRuns: 500 },
    );
  });

  test('a batch is an array of just these events, and every part of it is JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(hostileReading, otherEvent), { maxLength: 4 }), (events) => {
        const text = toCloudEventsBatch(events);
        expect(JSON.parse(text)).toHaveLength(events.length);
        expect(fromCloudEventsBatch(text).map(seen)).toEqual(events.map(seen));
      }),
      { numRuns: 200 },
    );
  });

  test('text and object say the same', () => {
    fc.assert(
      fc.property(fc.oneof(hostileReading, otherEvent), (event) => {
        expect(JSON.parse(toCloudEventsText(event))).toEqual(
          JSON.parse(toLosslessJson(toCloudEventsJson(event))),
        );
      }),
    );
  });
});

test('64-bit integers pass without loss', () => {
  const fields = { big: 2n ** 63n - 1n, low: -(2n ** 63n), digits: '12345678901234567890' };
  const event = readingOf({ data: { measurement: 'm', tags: {}, fields } });
  const text = toCloudEventsText(event);
  expect(text).toContain('"big":9223372036854775807');
  expect((fromCloudEventsJson(text) as CloudEvent<'reading'>).data.fields).toEqual(fields);
});

test('a number that is not finite is null, and reads back as no number', () => {
  const fields = { a: Number.NaN, b: Number.POSITIVE_INFINITY, c: 1 };
  const text = toCloudEventsText(readingOf({ data: { measurement: 'm', tags: {}, fields } }));
  expect(text).toContain('"fields":{"a":null,"b":null,"c":1}');
  const back = fromCloudEventsJson(text) as CloudEvent<'reading'>;
  expect(back.data.fields).toEqual({ a: Number.NaN, b: Number.NaN, c: 1 });
});

test('times are those of the calendar, whatever was asked before', () => {
  const range = { min: -62_167_219_200_000, max: 253_402_300_799_999 };
  fc.assert(
    fc.property(fc.array(fc.integer(range)), fc.nat(200_000), (times, step) => {
      for (const ms of times.flatMap((t) => [t, Math.min(t + step, range.max)])) {
        expect(timeTextOf(ms)).toBe(new Date(ms).toISOString());
      }
    }),
  );
  expect(timeTextOf(1_795_000_000_123.9)).toBe(new Date(1_795_000_000_123).toISOString());
});

test('a time that RFC 3339 cannot say is left out, and the other stands for it', () => {
  for (const time of [Number.NaN, 9e15, 253_402_300_800_000, Number.NEGATIVE_INFINITY]) {
    const text = toCloudEventsText(readingOf({ time }));
    expect(text).not.toContain('"time"');
    expect(fromCloudEventsJson(text).time).toBe(readingOf().recordedTime);
  }
});

test('an extension cannot take the place of an attribute', () => {
  const extensions = { id: 'x', data: 'x', 'a","id': 'x', replayed: 'yes', Upper: 'x' };
  const read = JSON.parse(toCloudEventsText(readingOf({ extensions })));
  expect(read).toMatchObject({ id: readingOf().id, replayed: 'yes' });
  expect(Object.keys(read).sort()).toEqual(
    [
      'specversion',
      'id',
      'source',
      'type',
      'subject',
      'time',
      'recordedtime',
      'replayed',
      'data',
    ].sort(),
  );
});

describe('what is not one of our events is refused by name', () => {
  const without = (name: string) => {
    const { [name]: _, ...rest } = JSON.parse(toCloudEventsText(readingOf()));
    return rest;
  };
  const whole = without('nothing');
  const cases: readonly [string, unknown, string][] = [
    ['text', 'nonsense', 'This is not JSON'],
    ['an array', [], 'An event must be an object'],
    ['another version', { ...whole, specversion: '0.3' }, 'specversion must be "1.0"'],
    ['no id', without('id'), 'id is missing'],
    ['an empty id', { ...whole, id: '' }, 'id must not be empty'],
    ['no source', without('source'), 'source is missing'],
    ['a foreign type', { ...whole, type: 'com.example' }, 'type is "com.example"'],
    ['no type', without('type'), 'type is missing'],
    ['a subject that is no text', { ...whole, subject: 5 }, 'subject must be a text'],
    ['a time in words', { ...whole, time: 'noon' }, 'time must be an RFC 3339 time'],
    ['a day that is not', { ...whole, time: '2026-02-30T00:00:00Z' }, 'time must be an RFC 3339'],
    ['no data', without('data'), 'data is missing'],
    ['binary data', { ...whole, data_base64: 'AA==' }, 'data_base64'],
    ['data of a picture', { ...whole, datacontenttype: 'image/png' }, 'datacontenttype'],
    ['no fields', { ...whole, data: { measurement: 'm', tags: {} } }, 'data.fields is missing'],
    [
      'a tag that is no text',
      { ...whole, data: { measurement: 'm', tags: { a: 1 }, fields: {} } },
      'data.tags.a must be a text',
    ],
    [
      'a field that is a list',
      { ...whole, data: { measurement: 'm', tags: {}, fields: { a: [] } } },
      'data.fields.a must be a number, a text or a boolean',
    ],
    ['an odd extension', { ...whole, Odd: 'x' }, 'Odd: attribute names are lower-case'],
    ['an extension that is a list', { ...whole, odd: [] }, 'odd must be a text, a boolean'],
  ];
  test.each(cases)('%s', (_, json, message) => {
    const text = typeof json === 'string' ? json : JSON.stringify(json);
    expect(() => fromCloudEventsJson(text)).toThrow(message);
  });

  test('in a batch, with its place', () => {
    expect(() => fromCloudEventsBatch(JSON.stringify([whole, without('id')]))).toThrow(
      '[1].id is missing',
    );
    expect(() => fromCloudEventsBatch('{}')).toThrow('A batch must be an array');
  });

  test('a state that alerts do not have', () => {
    const alert = JSON.parse(toCloudEventsText(alertOf()));
    alert.data.state = 'raised';
    expect(() => fromCloudEventsJson(JSON.stringify(alert))).toThrow(
      'data.state must be one of firing, resolved',
    );
  });
});

test('what a newer gateway adds to the data does no harm', () => {
  const json = JSON.parse(toCloudEventsText(readingOf()));
  json.data.quality = 'good';
  json.datacontenttype = 'application/json; charset=utf-8';
  json.sampled = true;
  expect(fromCloudEventsJson(json)).toEqual(readingOf({ extensions: { sampled: 'true' } }));
});
