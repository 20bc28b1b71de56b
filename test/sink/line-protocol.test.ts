import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CloudEvent, Value } from '../../src/event/event.ts';
import { createLineEncoder } from '../../src/sink/line-protocol.ts';
import { alertOf, hostileReading, idAt, readingOf } from '../event/events.ts';
import { available } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';

const options = {
  deviceTag: 'device',
  tags: {},
  alertMeasurement: 'alert',
  precision: 'ns',
} as const;
const encode = createLineEncoder(options);
const at = (position: number, event: CloudEvent): CloudEvent =>
  ({ ...event, id: idAt(position) }) as CloudEvent;
const reading = (data: Partial<CloudEvent<'reading'>['data']>, subject = 'd'): CloudEvent =>
  at(
    7,
    readingOf({
      subject,
      time: 1_795_000_000_123,
      data: { measurement: 'm', tags: {}, fields: { v: 1 }, ...data },
    }),
  );

describe('a line', () => {
  test('is measurement, device and tags in order, fields, and nanoseconds', () => {
    const tags = { zone: 'b', site: 'north' };
    const fields = { temperature: 31.2, on: true, count: 12n, note: 'ok' };
    expect(encode(reading({ measurement: 'climate', tags, fields }, 'gh-07'))).toEqual({
      line: 'climate,device=gh-07,site=north,zone=b temperature=31.2,on=true,count=12i,note="ok" 1795000000123000007',
    });
  });

  test('of an alert has what it was about as a number, or beside it as a text', () => {
    expect(encode(at(1, alertOf())).line).toBe(
      'alert,device=gh-07,rule=overheat,severity=warning state="firing",incident="i-1",summary="gh-07 is at 31.2 °C",value=31.2,threshold=30 1795183740123000001',
    );
    const text = encode(at(1, alertOf({ data: { ...alertOf().data, value: 'open' } }))).line;
    expect(text).toContain('value_text="open"');
    expect(text).not.toContain('value=');
  });

  const spelled: readonly [string, Parameters<typeof reading>[0], string][] = [
    ['a newline in a tag', { tags: { a: 'x\nm v=2' } }, 'm,a=x␊m\\ v\\=2,device=d v=1'],
    ['a newline in a measurement', { measurement: 'm v=1\nx' }, 'm\\ v=1␊x,device=d v=1'],
    ['a newline in a field name', { fields: { 'v=1\nx': 1 } }, 'm,device=d v\\=1␊x=1'],
    ['a quote that would end a text', { fields: { v: 'a" 5\nb' } }, 'm,device=d v="a\\" 5\nb"'],
    [
      'a backslash that would escape',
      { tags: { a: 'x\\' }, fields: { v: '\\' } },
      'm,a=x＼,device=d v="\\\\"',
    ],
    ['a comment', { measurement: '#m' }, '＃m,device=d v=1'],
    ['NUL', { tags: { a: '\0' } }, 'm,a=␀,device=d v=1'],
    ['an empty tag', { tags: { a: '', '': 'x' } }, 'm,device=d v=1'],
    ['an empty field name', { fields: { '': 1 } }, 'm,device=d unnamed=1'],
    [
      'the name of the time',
      { tags: { time: 'x' }, fields: { time: 1 } },
      'm,device=d,time_=x time__=1',
    ],
    ['the name of the device', { tags: { device: 'x' } }, 'm,device=d,device_=x v=1'],
    [
      'a field with the name of a tag',
      { tags: { a: 'x' }, fields: { a: 1 } },
      'm,a=x,device=d a_=1',
    ],
    ['a taken replacement', { fields: { time: 1, time_: 2 } }, 'm,device=d time__=1,time_=2'],
    ['a number that is none', { fields: { a: Number.NaN, b: 2 } }, 'm,device=d b=2'],
    ['no measurement', { measurement: '' }, 'reading,device=d v=1'],
  ];
  test.each(spelled)('cannot be broken by %s', (_, data, expected) => {
    // Twice, as names are remembered.
    expect(encode(reading(data)).line).toBe(`${expected} 1795000000123000007`);
    expect(encode(reading(data)).line).toBe(`${expected} 1795000000123000007`);
  });

  test('does not depend on the lines before it', () => {
    fc.assert(
      fc.property(fc.array(hostileReading, { maxLength: 8 }), (events) => {
        const used = createLineEncoder(options);
        for (const event of [...events, ...events]) {
          expect(used(event)).toEqual(createLineEncoder(options)(event));
        }
      }),
    );
  });
});

describe('an event that has no form as a point is refused with the reason', () => {
  test.each<[string, CloudEvent, string]>([
    ['no fields', reading({ fields: {} }), 'There are no fields'],
    [
      'no finite number',
      reading({ fields: { t: Number.NaN } }),
      'No field has a finite number (t)',
    ],
    [
      'an integer of 65 bits',
      reading({ fields: { n: 2n ** 63n } }),
      'The field n is 9223372036854775808',
    ],
    ['a far time', readingOf({ time: 9.3e12 }), 'The time is outside'],
    ['a time that is none', readingOf({ time: Number.NaN }), 'The time is outside'],
    [
      'another type',
      { ...readingOf(), type: 'command', data: { name: 'x', payload: '' } },
      'no event of type command',
    ],
  ])('%s', (_, event, problem) => {
    expect(encode(event).problem).toContain(problem);
  });
});

describe('the time of a point', () => {
  const stampOf = (event: CloudEvent) => encode(event).line?.split(' ').at(-1);

  test('is another for each of a million events in one millisecond, and ever the same for one', () => {
    const stamps = new Set<string | undefined>();
    for (let position = 1; position <= 1_000_000; position += 997) {
      const event = at(position, readingOf());
      stamps.add(stampOf(event));
      expect(stampOf(event)).toBe(createLineEncoder(options)(event).line?.split(' ').at(-1));
    }
    expect(stamps.size).toBe(Math.ceil(1_000_000 / 997));
  });

  test('stays within its millisecond', () => {
    const time = fc.integer({ min: -9_223_372_036_853, max: 9_223_372_036_853 });
    fc.assert(
      fc.property(time, fc.nat(), (ms, position) => {
        const stamp = BigInt(stampOf(at(position, readingOf({ time: ms })))!);
        expect(stamp - BigInt(ms) * 1_000_000n).toBe(BigInt((position % 2 ** 20) % 1_000_000));
      }),
    );
  });

  test('of an event without a place in the log is made from its id', () => {
    const [a, b] = [readingOf({ id: 'a' }), readingOf({ id: 'b' })];
    expect(stampOf(a)).toBe(stampOf({ ...a }));
    expect(stampOf(a)).not.toBe(stampOf(b));
  });
});

describe.skipIf(!available('influxd'))('in a real InfluxDB', () => {
  let influx: InfluxDb;
  beforeAll(async () => {
    influx = await startInfluxDb();
    await influx.query('CREATE DATABASE hostile');
  });
  afterAll(async () => await influx.stop());

  test('every point is there as it was sent, whatever the devices are called and say', async () => {
    const batches = fc.array(hostileReading, { minLength: 30, maxLength: 60 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(batches, async (events) => {
        const database = `hostile${round++}`;
        await influx.query(`CREATE DATABASE ${database}`);
        // A measurement each, as a field has one type in it; and a moment each, to know it by.
        const sent = events.map((event, n) =>
          at(n, {
            ...event,
            time: 1_795_000_000_000 + n,
            data: { ...event.data, measurement: `${event.data.measurement}${n}` },
          }),
        ) as CloudEvent<'reading'>[];
        const lines = sent.map(encode).flatMap(({ line }) => line ?? []);
        const answer = await fetch(`${influx.url}/write?db=${database}&precision=n`, {
          method: 'POST',
          body: lines.join('\n'),
        });
        expect(await answer.text()).toBe('');
        expect(answer.status).toBe(204);
        const stored = await storedPoints(influx, database);
        const expected = sent
          .map((event, n) => [`${1_795_000_000_000 + n}`, finite(event.data.fields)] as const)
          .filter(([, values]) => values.length > 0);
        expect(stored).toEqual(new Map(expected));
        await influx.query(`DROP DATABASE ${database}`);
      }),
      { numRuns: 8, endOnFailure: true },
    );
  });
});

/** All fields of all points, sorted as texts, by the millisecond they belong to. */
async function storedPoints(influx: InfluxDb, database: string) {
  const stored = new Map<string, string[]>();
  const tags = new Map<string, Set<string>>();
  for (const { name, values } of await influx.query('SHOW TAG KEYS', database)) {
    tags.set(name!, new Set(values.map(([key]) => key as string)));
  }
  const [measurements] = await influx.query('SHOW MEASUREMENTS', database);
  for (const [name] of measurements?.values ?? []) {
    // One by one: a field has one type in all that is selected together.
    for (const { time, ...row } of await influx.rows(database, name as string)) {
      const values = Object.entries(row)
        .filter(([key, value]) => value !== null && !tags.get(name as string)?.has(key))
        .map(([, value]) => `${value}`);
      const ms = `${time}`.slice(0, -6);
      expect(stored.has(ms)).toBe(false);
      stored.set(ms, values.sort());
    }
  }
  return stored;
}

function finite(fields: Readonly<Record<string, Value>>): string[] {
  return Object.values(fields)
    .filter((value) => typeof value !== 'number' || Number.isFinite(value))
    .map((value) => (typeof value === 'string' ? Buffer.from(value).toString() : `${value}`))
    .sort();
}
