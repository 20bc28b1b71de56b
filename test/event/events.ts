import fc from 'fast-check';
import { type CloudEvent, eventTypes } from '../../src/event/event.ts';
import { Ids } from '../../src/log/entry.ts';

const ids = new Ids(0x7ac3);

/** The id that the log gives to what it records at a position. */
export const idAt = (position: number): string => ids.idOf(1_795_183_740_140, position);

/** A reading like those that devices send; everything can be overridden. */
export function readingOf(overrides: Partial<CloudEvent<'reading'>> = {}): CloudEvent<'reading'> {
  return {
    type: 'reading',
    id: '01JD0000000000000000000001',
    source: '/gateways/greenhouse-pi/broker',
    subject: 'gh-07',
    time: Date.parse('2026-11-20T14:09:00.123Z'),
    recordedTime: Date.parse('2026-11-20T14:09:00.140Z'),
    data: {
      measurement: 'climate',
      tags: { site: 'north' },
      fields: { temperature: 31.2, humidity: 40 },
    },
    ...overrides,
  };
}

/** `count` readings of as many moments, from ten devices. */
export function readingsOf(count: number, prefix = 'r'): CloudEvent<'reading'>[] {
  return Array.from({ length: count }, (_, n) =>
    readingOf({
      id: `${prefix}-${n}`,
      subject: `gh-${n % 10}`,
      time: 1_795_000_000_000 + n,
      recordedTime: 1_795_000_000_005 + n,
      data: { measurement: 'climate', tags: { site: 'north' }, fields: { temperature: n / 10, n } },
    }),
  );
}

export function alertOf(overrides: Partial<CloudEvent<'alert'>> = {}): CloudEvent<'alert'> {
  return {
    type: 'alert',
    id: 'overheat:gh-07:1',
    source: '/gateways/greenhouse-pi/rules/overheat',
    subject: 'gh-07',
    time: Date.parse('2026-11-20T14:09:00.123Z'),
    recordedTime: Date.parse('2026-11-20T14:09:00.140Z'),
    extensions: {
      causationid: '01JD0000000000000000000001',
      correlationid: 'i-1',
      severitytext: 'WARN',
    },
    data: {
      rule: 'overheat',
      state: 'firing',
      incident: 'i-1',
      severity: 'warning',
      value: 31.2,
      threshold: 30,
      since: '2026-11-20T14:08:00.000Z',
      summary: 'gh-07 is at 31.2 °C',
    },
    ...overrides,
  };
}

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom(...'ab,= \\"\'#+/\n\r\t\0\u007f\u2028é😀\ud800{}[]:'),
    maxLength: 8,
  }),
  fc.constantFrom('time', '__proto__', 'constructor', '_field', 'device', '', 'a'.repeat(100)),
);
const named = fc.oneof(fc.string({ minLength: 1, maxLength: 12 }), hostile).filter((t) => t !== '');
const value = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  hostile,
);
const members = <T>(each: fc.Arbitrary<T>) =>
  fc
    .array(fc.tuple(hostile, each), { maxLength: 5 })
    .map((entries) => Object.fromEntries(entries) as Record<string, T>);
const times = fc.integer({
  min: Date.parse('0000-01-01T00:00:00Z'),
  max: Date.parse('9999-12-31T23:59:59.999Z'),
});
const envelope = {
  id: named,
  source: named,
  subject: hostile,
  time: times,
  recordedTime: times,
};

/** Readings whose every text was chosen by somebody who means harm. */
export const hostileReading: fc.Arbitrary<CloudEvent<'reading'>> = fc.record({
  type: fc.constant('reading' as const),
  ...envelope,
  data: fc.record({ measurement: hostile, tags: members(hostile), fields: members(value) }),
});

/** Events of every type but readings. */
export const otherEvent: fc.Arbitrary<CloudEvent> = fc
  .record({
    ...envelope,
    type: fc.constantFrom(...eventTypes.filter((type) => type !== 'reading')),
    text: hostile,
    number: fc.double({ noNaN: true, noDefaultInfinity: true }),
    value,
  })
  .map(({ type, text, number, value, ...rest }) => {
    const data = {
      alert: {
        ...{ rule: text, state: 'firing', incident: text, severity: 'error', value },
        ...{ threshold: number, since: text, summary: text },
      },
      command: { name: text, payload: text },
      undecodable: { topic: text, codec: text, reason: text, encoding: 'utf8', payload: text },
      rejected: { sink: text, reason: text, attempt: 1, event: { deep: [{ text, number }] } },
      gap: { reader: text, from: number, to: number, reason: text },
      clock: { boot: text, offsetMs: number, reason: text },
      heartbeat: { lag: { [text]: number } },
      message: {
        ...{ payload: Buffer.from(text, 'latin1'), qos: 1, retain: true, from: text },
        properties: { correlationData: Buffer.from(text), userProperties: [[text, text]] },
      },
      session: { kind: text, details: { deep: [{ text }] } },
    }[type as Exclude<typeof type, 'reading'>];
    return { type, ...rest, data } as unknown as CloudEvent;
  });
