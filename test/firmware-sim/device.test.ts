import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Behaviour, Fields, Moment } from '../../firmware-sim/behaviour/behaviour.ts';
import { asleep, compose } from '../../firmware-sim/behaviour/behaviour.ts';
import { drift } from '../../firmware-sim/behaviour/drift.ts';
import { duplicate } from '../../firmware-sim/behaviour/duplicate.ts';
import { garbage } from '../../firmware-sim/behaviour/garbage.ts';
import { silence } from '../../firmware-sim/behaviour/silence.ts';
import { steady } from '../../firmware-sim/behaviour/steady.ts';
import { createDevice } from '../../firmware-sim/device.ts';
import { greenhouse } from '../../firmware-sim/shape/greenhouse.ts';
import { DecodeError } from '../../src/codec/codec.ts';
import { jsonCodec } from '../../src/codec/json.ts';

const noon = Date.UTC(2026, 5, 21, 12);
const momentOf = (index: number, second: number, seed = 1): Moment => ({
  seed,
  index,
  life: 0,
  seq: second + 1,
  periodMs: 1_000,
  phaseMs: 0,
  elapsedMs: second * 1_000,
  time: noon + second * 1_000,
});
const seconds = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, offset) => from + offset);
/** What a device of the greenhouse measures in each of those seconds. */
const measured = (index: number, from: number, to: number, field: string, seed = 1) => {
  const device = createDevice({ shape: greenhouse, index, boot: 1 });
  return seconds(from, to).map((second) => {
    const [message] = device.messagesAt(momentOf(index, second, seed));
    return message!.fields![field] as number;
  });
};
const warm: Behaviour = (before) => (moment) =>
  before(moment).map((sent) => ({ ...sent, fields: { temperature: 20 } }));
const sending = (behaviour: Behaviour, second: number) =>
  behaviour(warm(asleep))(momentOf(3, second));
const fieldsOf = (behaviour: Behaviour, second: number): readonly Fields[] =>
  sending(behaviour, second).map(({ fields }) => fields);

test('any message of a device can be made again, whatever was made before', () => {
  const one = createDevice({ shape: greenhouse, index: 2, boot: 7 });
  const other = createDevice({ shape: greenhouse, index: 2, boot: 7 });
  const inOrder = seconds(0, 200).map((second) => one.messagesAt(momentOf(2, second)));
  for (const second of [199, 0, 57, 57, 120]) {
    expect(other.messagesAt(momentOf(2, second))).toEqual(inOrder[second]);
  }
});

test('devices and seeds differ in what they say', () => {
  expect(measured(0, 0, 20, 'temperature')).not.toEqual(measured(1, 0, 20, 'temperature'));
  expect(measured(0, 0, 20, 'temperature', 1)).not.toEqual(measured(0, 0, 20, 'temperature', 2));
});

test('a message carries its identity, its time and its fields', () => {
  const [message] = createDevice({ shape: greenhouse, index: 0, boot: 5 }).messagesAt(
    momentOf(0, 9),
  );
  expect(message).toMatchObject({ device: 'gh-01', topic: 'sensors/gh-01/climate', boot: 5 });
  expect(jsonCodec.decode(message!.payload)).toEqual({
    ts: noon + 9_000,
    boot: 5,
    seq: 10,
    ...message!.fields,
  });
  expect(Object.keys(message!.fields!)).toEqual(['temperature', 'humidity', 'battery']);
});

test('it is 22 to 26 degrees all day, and drier the warmer it is', () => {
  const hours = seconds(0, 24).map((hour) => hour * 3_600);
  const day = hours.map((second) => ({
    temperature: measured(0, second, second + 1, 'temperature')[0]!,
    humidity: measured(0, second, second + 1, 'humidity')[0]!,
  }));
  for (const { temperature } of day) {
    expect(temperature).toBeGreaterThanOrEqual(22);
    expect(temperature).toBeLessThanOrEqual(26);
  }
  const warmest = day.toSorted((a, b) => b.temperature - a.temperature);
  expect(warmest[0]!.temperature - warmest[23]!.temperature).toBeGreaterThan(3);
  expect(warmest[0]!.humidity).toBeLessThan(warmest[23]!.humidity - 20);
});

test('batteries fall slowly and are never negative', () => {
  const days = seconds(0, 30).map(
    (day) => measured(0, day * 86_400, day * 86_400 + 1, 'battery')[0]!,
  );
  expect(days[1]).toBeLessThan(days[0]!);
  expect(days[0]! - days[1]!).toBeLessThan(15);
  expect(days[29]).toBe(0);
});

test('the third device, and no other, is above 30 degrees for 15 to 25 seconds of the first minute', () => {
  for (const index of [0, 1, 3, 4]) {
    expect(Math.max(...measured(index, 0, 300, 'temperature')), `device ${index}`).toBeLessThan(28);
  }
  for (const minute of [0, 1, 4]) {
    const values = measured(2, minute * 60, minute * 60 + 60, 'temperature');
    const hot = values.filter((value) => value > 30).length;
    expect(hot, `minute ${minute}`).toBeGreaterThanOrEqual(15);
    expect(hot, `minute ${minute}`).toBeLessThanOrEqual(25);
    const coolAgain = values.findLastIndex((value) => value > 30) + 1;
    expect(Math.max(...values.slice(coolAgain + 4)), 'cool for the rest').toBeLessThan(28);
    expect(coolAgain, 'resolved within the minute').toBeLessThan(50);
  }
});

test('behaviours work on what the ones before them would have sent', () => {
  const both = compose(steady({ fields: { temperature: 20 } }), drift('temperature', 3_600));
  expect(fieldsOf(both, 5)).toEqual([{ temperature: 25 }]);
  const quiet = compose(
    both,
    duplicate(1),
    silence({ everyMs: 60_000, lastsMs: 9_000, afterMs: 0 }),
  );
  expect(sending(quiet, 8)).toEqual([]);
  expect(sending(quiet, 9)).toHaveLength(2);
});

test('garbage makes no sense to the codec, and comes as often as it was asked for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed) => {
      const [sent] = garbage(1)(asleep)(momentOf(0, 1, seed));
      expect(() => jsonCodec.decode(sent!.garbage!)).toThrow(DecodeError);
    }),
  );
  const some = seconds(0, 2_000).filter((second) => sending(garbage(0.1), second)[0]!.garbage);
  expect(some.length).toBeGreaterThan(140);
  expect(some.length).toBeLessThan(260);
});

test('what makes no sense is said to hold no fields', () => {
  const wild = createDevice({ shape: greenhouse, index: 0, boot: 1, behaviour: garbage(1) });
  const [message] = wild.messagesAt(momentOf(0, 1));
  expect(message!.fields).toBeUndefined();
  expect(message!.payload[0]).toBe(0xff);
});
