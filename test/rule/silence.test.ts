import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDevices } from '../../src/rule/devices.ts';
import { ruleKinds } from '../../src/rule/index.ts';
import { noVerdicts, type Rule, type Verdict } from '../../src/rule/rule.ts';
import { heartbeat, reading, run, runWithRestarts, type Step, said } from './events.ts';

const { silence } = ruleKinds;
const create = (options: object = {}): Rule =>
  silence.create(silence.options.parse({ after: '5m', ...options }), { name: 'silent' });
const minutes = (n: number): number => n * 60_000;
const hears = (device: string, elapsedMs: number): Step => [
  reading(device, { t: 1 }, { time: elapsedMs + 1_000_000 }),
  elapsedMs,
];
const beats = (elapsedMs: number): Step => [heartbeat(), elapsedMs];

test('fires once when a known device has said nothing for that long; its next reading resolves', () => {
  const verdicts = run(create(), [
    hears('a', 0),
    beats(minutes(5) - 1),
    beats(minutes(5)),
    beats(minutes(9)),
    hears('a', minutes(10)),
    beats(minutes(15)),
  ]);
  expect(verdicts).toMatchObject([
    { state: 'firing', device: 'a', since: 1_000_000, summary: 'nothing from a for 5m' },
    { state: 'resolved', device: 'a', since: 1_000_000, summary: 'a is back' },
    { state: 'firing', device: 'a', since: 1_000_000 + minutes(10) },
  ]);
  const [first, second, third] = verdicts as [Verdict, Verdict, Verdict];
  expect(first.incident).toBe(second.incident);
  expect(third.incident).not.toBe(first.incident);
});

test('a device that was never heard is not missed, and one that speaks is not silent', () => {
  expect(run(create(), [beats(0), beats(minutes(60))])).toEqual([]);
  const rule = create();
  run(rule, [hears('a', 0)]);
  // Its own reading is the first thing in the log after the time has run out.
  expect(rule.step(...hears('a', minutes(6)))).toBe(noVerdicts);
});

test('what others send tells that a device is silent', () => {
  const verdicts = run(create(), [hears('a', 0), hears('b', minutes(1)), hears('c', minutes(6))]);
  expect(said(verdicts)).toEqual(['firing a', 'firing b']);
});

test('a device that sends what it has kept is there; others are not missed by its time', () => {
  const rule = create();
  const late = reading('a', { t: 1 }, { historical: true, time: 0 });
  const verdicts = run(rule, [
    hears('a', 0),
    hears('b', 0),
    beats(minutes(5)),
    [late, minutes(6)],
    beats(minutes(10)),
  ]);
  expect(said(verdicts)).toEqual(['firing a', 'firing b', 'resolved a']);
  const other = create();
  expect(said(run(other, [hears('b', 0), [late, minutes(6)]]))).toEqual([]);
  expect(said(run(other, [beats(minutes(6))]))).toEqual(['firing b']);
});

test.each(['presence', 'status'])(
  'that a device is offline (%s) is no sign of life, that it is online is one',
  (measurement) => {
    const presence = (online: boolean, at: number): Step => {
      const event = reading('a', { online }, { time: at });
      return [{ ...event, data: { ...event.data, measurement } }, at];
    };
    const steps = [hears('a', 0), presence(false, minutes(4)), beats(minutes(5))];
    expect(said(run(create(), steps))).toEqual(['firing a']);
    const back = [...steps, presence(false, minutes(6)), presence(true, minutes(7))];
    const verdicts = run(create(), back);
    expect(said(verdicts)).toEqual(['firing a', 'resolved a']);
    // Nobody who was never there is missed.
    expect(run(create(), [presence(false, 0), beats(minutes(60))])).toEqual([]);
  },
);

test('only the readings the rule is about count', () => {
  const rule = create({ where: { device: 'gh-*', measurement: 'climate' } });
  run(rule, [hears('gh-1', 0), hears('pump', 0)]);
  run(rule, [[reading('gh-1', { t: 1 }, { measurement: 'status' }), minutes(4)]]);
  expect(said(run(rule, [beats(minutes(5))]))).toEqual(['firing gh-1']);
});

test('the summary fills in what it names', () => {
  const rule = create({
    after: '90s',
    summary: '{rule}: {device} for {after} {x}',
    severity: 'error',
  });
  run(rule, [hears('a', 0)]);
  expect(run(rule, [beats(minutes(2))])).toMatchObject([
    { summary: 'silent: a for 90s {x}', severity: 'error' },
  ]);
});

test('devices are bounded: the one longest not heard is forgotten, and counted', () => {
  const devices = createDevices(1_000, 2);
  for (const name of ['a', 'b']) devices.hear(devices.find(name), name, 0, 0);
  devices.hear(devices.find('a'), 'a', 0, 1);
  devices.hear(devices.find('c'), 'c', 0, 2);
  expect(devices.find('b')).toBeUndefined();
  expect(devices.snapshot()).toMatchObject({ forgotten: 1 });
});

test('a device that is forgotten while it is silent is told, so that no incident stays open', () => {
  const devices = createDevices(1_000, 2);
  devices.hear(undefined, 'a', 0, 0);
  devices.hear(undefined, 'b', 0, 500);
  for (const device of devices.takeSilent(1_000)) device.incident = 'x';
  expect(devices.hear(undefined, 'c', 0, 1_000)).toMatchObject({ name: 'a', incident: 'x' });
  expect(devices.hear(undefined, 'd', 0, 1_001)).toBeUndefined();
  expect(devices.find('b')).toBeUndefined();
  expect(devices.takeSilent(9_000).map(({ name }) => name)).toEqual(['c', 'd']);
});

test('more devices than are watched leave no incident open', () => {
  const rule = create({ after: '1s' });
  const verdicts = run(
    rule,
    Array.from({ length: 100_010 }, (_, n): Step => hears(`d${n}`, n < 10 ? 0 : 2_000)),
  );
  expect(said(verdicts.slice(0, 10))).toEqual(Array.from({ length: 10 }, (_, n) => `firing d${n}`));
  expect(said(verdicts.slice(10))).toEqual(Array.from({ length: 10 }, (_, n) => `resolved d${n}`));
  expect(verdicts[10]).toMatchObject({
    incident: verdicts[0]!.incident,
    summary: 'd0 is no longer watched: there are too many devices',
  });
});

test('a snapshot of an unknown shape is forgotten', () => {
  const rule = create();
  for (const state of [null, 5, 'x', [], {}, { version: 2 }, { version: 1, devices: [[]] }]) {
    run(rule, [hears('a', 0)]);
    rule.restore(state);
    expect(run(rule, [beats(minutes(10))])).toEqual([]);
  }
});

test.each([{}, { after: '0s' }, { after: 5 }, { after: '5m', field: 't' }])(
  'the options %j are refused',
  (options) => {
    expect(silence.options.safeParse(options).success).toBe(false);
  },
);

const seed = Math.floor(Math.random() * 2 ** 31);
const history = fc
  .array(
    fc.record({
      device: fc.constantFrom('a', 'b', 'c', undefined),
      passedMs: fc.constantFrom(0, 1, 60_000, 100_000, 300_000),
    }),
    { maxLength: 60 },
  )
  .map((all) => {
    let elapsedMs = 0;
    return all.map(({ device, passedMs }, index): Step => {
      elapsedMs += passedMs;
      const id = `${index}`;
      if (device === undefined) return [heartbeat(id), elapsedMs];
      return [reading(device, { t: 1 }, { id, time: index }), elapsedMs];
    });
  });

test(`verdicts follow the definition (seed ${seed})`, () => {
  fc.assert(
    fc.property(history, (steps) => {
      const known = new Map<string, { heardMs: number; silent: boolean }>();
      const expected = steps.flatMap(([event, elapsedMs]) => {
        const now: string[] = [];
        if (event.type === 'reading') {
          if (known.get(event.subject)?.silent) now.push(`resolved ${event.subject}`);
          known.set(event.subject, { heardMs: elapsedMs, silent: false });
        }
        const overdue = [...known].filter(
          ([, { heardMs, silent }]) => !silent && elapsedMs - heardMs >= 300_000,
        );
        for (const [device, state] of overdue.sort(([, a], [, b]) => a.heardMs - b.heardMs)) {
          state.silent = true;
          now.push(`firing ${device}`);
        }
        return now;
      });
      expect(said(run(create(), steps)).sort()).toEqual(expected.sort());
    }),
    { seed, numRuns: 500 },
  );
});

test(`taken down anywhere and put up again, it says the same (seed ${seed})`, () => {
  fc.assert(
    fc.property(history, fc.array(fc.nat({ max: 60 })), (steps, restarts) => {
      expect(runWithRestarts(create, steps, restarts)).toEqual(run(create(), steps));
    }),
    { seed, numRuns: 500 },
  );
});
