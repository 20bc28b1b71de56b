import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asleep, type Moment, momentAt } from '../../firmware-sim/behaviour/behaviour.ts';
import { behaviours, linkBehaviours } from '../../firmware-sim/behaviour/index.ts';
import { createDevice, type DeviceMessage } from '../../firmware-sim/device.ts';
import { behaviourOf, linkOf } from '../../firmware-sim/scenario/phases.ts';
import { shapeNamed, shapeNames } from '../../firmware-sim/shape/index.ts';

const noon = Date.UTC(2026, 5, 21, 12);
const periodMs = 1_000;
const momentOf = (seq: number, index = 0, seed = 1): Moment => ({
  ...{ seed, index, life: 0, seq, periodMs, phaseMs: 0 },
  elapsedMs: (seq - 1) * periodMs,
  time: noon + (seq - 1) * periodMs,
});

/** Options of every behaviour, as a scenario would say them. */
const asked = {
  steady: { fields: { temperature: 20, mode: 'auto' }, noise: 1 },
  drift: { field: 'temperature', perHour: 3_600 },
  diurnal: { field: 'temperature', swing: 2 },
  counter: { field: 'total', perHour: 3_600 },
  overheat: { field: 'temperature', peak: 90, every: '20s', lasts: '5s' },
  lowBattery: { from: 5, perHour: 300 },
  burst: { every: '10s', lasts: '2s', times: 3 },
  silence: { every: '15s', lasts: '3s', after: '4s' },
  clock: { skew: '-1h', unset: '3s' },
  reboot: { every: '12s' },
  garbage: { share: 0.2 },
  oversized: { share: 0.1, bytes: '1KiB' },
  duplicate: { share: 0.3 },
  outOfOrder: { share: 0.4 },
  offline: { every: '20s', lasts: '6s', after: '2s' },
} as const;
type Name = keyof typeof behaviours;
const parsed = (names: readonly Name[]): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, behaviours[name].options.parse(asked[name])]));
const deviceWith = (names: readonly Name[], shape = 'json') =>
  createDevice({
    ...{ shape: shapeNamed(shape), index: 0, boot: 7 },
    behaviour: behaviourOf(parsed(names), []),
  });
const said = (names: readonly Name[], upTo = 60): DeviceMessage[] => {
  const device = deviceWith(names);
  return Array.from({ length: upTo }, (_, at) => device.messagesAt(momentOf(at + 1))).flat();
};
const names = Object.keys(behaviours) as Name[];
const plain = said([]);

test('every behaviour is asked for here', () => {
  expect(Object.keys(asked).toSorted()).toEqual(names.toSorted());
});

test('the same seed, device and time are the same bytes, whatever was asked before', () => {
  fc.assert(
    fc.property(
      fc.subarray(names),
      fc.constantFrom(...shapeNames),
      fc.nat(2 ** 32 - 1),
      fc.nat(200),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 12 }),
      (chosen, shape, seed, index, seqs) => {
        const make = () =>
          createDevice({
            ...{ shape: shapeNamed(shape), index, boot: 7 },
            behaviour: behaviourOf(parsed(chosen), []),
          });
        const [one, other] = [make(), make()];
        const first = seqs.map((seq) => one.messagesAt(momentOf(seq, index, seed)));
        const again = seqs.toReversed().map((seq) => other.messagesAt(momentOf(seq, index, seed)));
        expect(again.toReversed()).toEqual(first);
      },
    ),
    { seed: 20_261_120, numRuns: 120 },
  );
});

test('the order in which behaviours are asked for changes nothing: the table says the order', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(names), (chosen) => {
      const tidy = names.filter((name) => chosen.includes(name));
      expect(said(chosen, 30)).toEqual(said(tidy, 30));
    }),
    { seed: 20_261_121, numRuns: 40 },
  );
});

test('nothing that is only late or repeated is lost: offline, out of order, duplicates', () => {
  const nameOf = ({ boot, seq }: DeviceMessage) => `${boot} ${seq}`;
  const late = said(['duplicate', 'outOfOrder', 'offline'], 60).map(nameOf);
  // Whatever the last moments hold back comes after them.
  const settled = plain.slice(0, 45).map(nameOf);
  expect(settled.filter((each) => !late.includes(each))).toEqual([]);
  expect(late.length).toBeGreaterThan(new Set(late).size);
});

test('what was kept while offline comes in order, with the times at which it was measured', () => {
  const messages = said(['offline'], 20);
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
  expect(messages.map(({ time }) => time)).toEqual(plain.slice(0, 20).map(({ time }) => time));
  expect(deviceWith(['offline']).messagesAt(momentOf(5))).toEqual([]);
  expect(deviceWith(['offline']).messagesAt(momentOf(9))).toHaveLength(7);
});

test('some messages pass each other, and never by more than one', () => {
  const order = said(['outOfOrder'], 200).map(({ seq }) => seq);
  const passed = order.filter((seq, at) => seq < (order[at - 1] ?? 0));
  expect(passed.length).toBeGreaterThan(20);
  for (const [at, seq] of order.entries()) expect(Math.abs(seq - 1 - at)).toBeLessThanOrEqual(1);
});

test('a device that starts again counts from 1, under another boot, and has forgotten its counters', () => {
  const messages = said(['steady', 'counter', 'reboot'], 30);
  expect(messages.map(({ seq }) => seq)).toEqual(plain.slice(0, 30).map((_, at) => (at % 12) + 1));
  expect(messages.map(({ boot }) => boot)).toEqual(
    messages.map((_, at) => 7 + Math.floor(at / 12)),
  );
  expect(messages.map(({ fields }) => fields!.total)).toEqual(messages.map((_, at) => at % 12));
  expect(messages[29]!.time).toBe(noon + 29_000);
});

test('a wrong clock is wrong in the payload, and 1970 until it was set', () => {
  const times = said(['clock'], 6).map(
    ({ payload }) => JSON.parse(Buffer.from(payload).toString()).ts,
  );
  expect(times.slice(0, 3)).toEqual([0, 1_000, 2_000]);
  expect(times.slice(3)).toEqual([3, 4, 5].map((second) => noon + second * 1_000 - 3_600_000));
});

test('bursts are many messages, each with a name of its own', () => {
  const burst = deviceWith(['burst']).messagesAt(momentOf(1));
  const parts = burst.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()).part ?? 0);
  expect(parts).toEqual([0, 1, 2]);
  expect(said(['burst'], 20)).toHaveLength(20 + 4 * 2);
});

test('a battery at its end sends less, then nothing', () => {
  const messages = said(['lowBattery'], 120);
  expect(messages.length).toBeGreaterThan(10);
  expect(messages.length).toBeLessThan(50);
  expect(Math.min(...messages.map(({ fields }) => Number(fields!.battery)))).toBeGreaterThan(0);
});

test('oversized messages are as large as asked for, and given up after one try', () => {
  const large = said(['oversized'], 200).filter(({ payload }) => payload.length === 1_024);
  expect(large.length).toBeGreaterThan(8);
  expect(large.every(({ once, fields }) => once === true && fields === undefined)).toBe(true);
});

test('what happens in a phase counts from its beginning, and ends with it', () => {
  const hot = behaviours.overheat.options.parse({
    field: 'temperature',
    peak: 90,
    lasts: '2s',
    ramp: '1ms',
  });
  const phases = [{ name: 'hot', startMs: 10_000, endMs: 20_000, asked: { overheat: hot } }];
  const sending = behaviourOf(parsed(['steady']), phases)(asleep);
  const at = (seq: number) => Number(sending(momentOf(seq))[0]!.fields.temperature);
  const isHot = Array.from({ length: 30 }, (_, seq) => at(seq + 1) > 50);
  expect(isHot.map((each, place) => (each ? place : -1)).filter((place) => place >= 0)).toEqual([
    11, 12,
  ]);
});

test('another moment of a device is the one that its schedule has', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (from, to) => {
      const uneven = (seq: number): Moment => {
        const elapsedMs = Math.round((seq - 1) * 33.37 + 4.2);
        return {
          ...momentOf(seq),
          periodMs: 33.37,
          phaseMs: 4.2,
          elapsedMs,
          time: noon + elapsedMs,
        };
      };
      expect(momentAt(uneven(from), to)).toEqual(uneven(to));
    }),
    { seed: 20_261_122 },
  );
});

const standing = (index: number, second: number) => ({ seed: 1, index, elapsedMs: second * 1_000 });
const linkWith = (name: keyof typeof linkBehaviours, options: object) =>
  linkOf({ [name]: linkBehaviours[name].options.parse(options) }, [])!;

test('in a storm without jitter all come back at once, with jitter each in its own time', () => {
  const backAt = (link: ReturnType<typeof linkWith>) =>
    Array.from({ length: 50 }, (_, index) => {
      let second = 5;
      while (link(standing(index, second)).away !== undefined) second += 0.1;
      return Math.round(second * 10);
    });
  const storm = { after: '5s', lasts: '1s' };
  expect(new Set(backAt(linkWith('reconnectStorm', storm))).size).toBe(1);
  expect(
    new Set(backAt(linkWith('reconnectStorm', { ...storm, jitter: '5s' }))).size,
  ).toBeGreaterThan(20);
});

test('conditions of connections come and go with the time alone', () => {
  const halfOpen = linkWith('halfOpen', { after: '2s', every: '10s', lasts: '1s' });
  expect([1, 2.5, 3.5, 12.5].map((second) => halfOpen(standing(0, second)).away)).toEqual([
    undefined,
    'half-open',
    undefined,
    'half-open',
  ]);
  const wrong = linkWith('wrongPassword', { lasts: '3s' });
  expect([0, 4].map((second) => wrong(standing(0, second)).password)).toEqual(['wrong', undefined]);
  expect(linkWith('slowReader', { topic: 'a/#', every: '2s' })(standing(0, 0))).toEqual({
    reads: { topic: 'a/#', everyMs: 2_000 },
  });
  expect(linkOf({}, [])).toBeUndefined();
});
