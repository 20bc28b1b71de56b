import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ruleKinds } from '../../src/rule/index.ts';
import { noVerdicts, type Rule, type Verdict } from '../../src/rule/rule.ts';
import { createSeriesStore, type Series } from '../../src/rule/series.ts';
import { heartbeat, reading, run, runWithRestarts, type Step, said } from './events.ts';

const { threshold } = ruleKinds;
const create = (options: object, name = 'hot'): Rule =>
  threshold.create(threshold.options.parse({ field: 't', ...options }), { name });
/** Readings of one device, a second apart. */
const series = (...values: (number | bigint)[]): Step[] =>
  values.map((t, index) => [reading('a', { t }, { time: index * 1_000 }), index * 1_000]);

test('fires above the bound and not at it, resolves at the bound or below', () => {
  expect(said(run(create({ above: 30 }), series(30, 30.1, 31, 30, 30.5)))).toEqual([
    'firing a',
    'resolved a',
    'firing a',
  ]);
});

test('fires below the bound and not at it, resolves at the bound or above', () => {
  const verdicts = run(create({ below: 5 }), series(5, 4.9, 5));
  expect(verdicts).toMatchObject([
    { state: 'firing', value: 4.9, threshold: 5, summary: 't of a is 4.9, below 5' },
    { state: 'resolved', value: 5, threshold: 5, summary: 't of a is back at 5' },
  ]);
});

test('between clearBelow and above nothing changes', () => {
  const rule = create({ above: 30, clearBelow: 28 });
  expect(said(run(rule, series(29, 31, 29, 28, 31, 27.9, 29)))).toEqual(['firing a', 'resolved a']);
});

test('with both bounds it fires outside them, as one incident', () => {
  const rule = create({ above: 30, below: 5, clearAbove: 7, clearBelow: 28 });
  expect(run(rule, series(20, 31, 4, 6, 29, 28, 27))).toMatchObject([
    { state: 'firing', threshold: 30 },
    { state: 'resolved', threshold: 5, value: 27 },
  ]);
});

test('a firing and its resolve tell the same incident and since, safe in a path', () => {
  const [firing, resolved] = run(create({ above: 30 }), series(20, 31, 32, 29)) as [
    Verdict,
    Verdict,
  ];
  expect(firing.since).toBe(1_000);
  expect(resolved).toMatchObject({ incident: firing.incident, since: firing.since });
  expect(firing.incident).toMatch(/^[0-9a-z]{26}$/);
  expect(firing).toMatchObject({ severity: 'warning', value: 31, cause: { type: 'reading' } });
});

test('with `for` the condition must hold at every reading for that long', () => {
  const rule = create({ above: 30, for: '3s' });
  expect(said(run(rule, series(31, 31, 30, 31, 31, 31)))).toEqual([]);
  expect(run(rule, [[reading('a', { t: 35 }), 6_000]])).toMatchObject([
    { state: 'firing', value: 35, since: 3_000 },
  ]);
});

test('`for` also runs out on what others send and on heartbeats, and the last value stands', () => {
  const rule = create({ above: 30, for: '60s' });
  const steps: Step[] = [
    [reading('a', { t: 31 }, { time: 5 }), 0],
    [reading('b', { t: 32 }, { time: 6 }), 10_000],
    [reading('a', { t: 33 }), 20_000],
    [heartbeat('h1'), 59_999],
    [heartbeat('h2'), 60_000],
    [reading('c', { t: 1 }), 70_000],
  ];
  expect(run(rule, steps)).toMatchObject([
    { state: 'firing', device: 'a', value: 33, since: 5, cause: { id: 'h2' } },
    { state: 'firing', device: 'b', value: 32, since: 6, cause: { subject: 'c' } },
  ]);
});

test('what is marked historical neither fires nor resolves, unless the rule asks for it', () => {
  const late = { historical: true, time: -3_600_000 };
  const steps: Step[] = [
    [reading('a', { t: 99 }, late), 0],
    [reading('b', { t: 35 }), 0],
    [reading('b', { t: 20 }, late), 1_000],
    [heartbeat(), 2_000],
  ];
  expect(said(run(create({ above: 30 }), steps))).toEqual(['firing b']);
  expect(said(run(create({ above: 30, historical: true }), steps))).toEqual([
    'firing a',
    'firing b',
    'resolved b',
  ]);
  // Nor does it lend its time to what is due.
  const held = create({ above: 30, for: '1s' });
  expect(said(run(held, [...steps.slice(1, 3)]))).toEqual([]);
  expect(run(held, [[heartbeat('h'), 2_000]])).toMatchObject([{ device: 'b', cause: { id: 'h' } }]);
});

test('each device and measurement has its own incident', () => {
  const rule = create({ above: 30 });
  const steps: Step[] = [
    [reading('a', { t: 31 }), 0],
    [reading('b', { t: 31 }), 0],
    [reading('a', { t: 31 }, { measurement: 'soil' }), 0],
    [reading('a', { t: 20 }), 1],
  ];
  const verdicts = run(rule, steps);
  expect(said(verdicts)).toEqual(['firing a', 'firing b', 'firing a', 'resolved a']);
  expect(new Set(verdicts.map(({ incident }) => incident)).size).toBe(3);
});

test('a reading without the field, or with no number in it, says nothing', () => {
  const rule = create({ above: 30 });
  run(rule, series(31));
  for (const fields of [{ humidity: 99 }, { t: '20' }, { t: true }, { t: Number.NaN }]) {
    expect(rule.step(reading('a', fields), 1)).toBe(noVerdicts);
  }
  expect(said(run(rule, [[reading('a', { t: 20n }), 2]]))).toEqual(['resolved a']);
});

test('whole numbers beyond 2^53 are compared and told exactly', () => {
  const rule = create({ above: 2 ** 53 });
  const verdicts = run(rule, series(2n ** 53n, 2n ** 53n + 1n));
  expect(verdicts).toMatchObject([{ value: 2n ** 53n + 1n }]);
  expect(verdicts[0]!.summary).toContain('9007199254740993');
});

test.each<[object, string[]]>([
  [{ measurement: 'climate' }, ['a-1', 'a-2', 'b-1']],
  [{ measurement: ['soil', 'x*'] }, ['a-3']],
  [{ device: 'a-*' }, ['a-1', 'a-2', 'a-3']],
  [{ device: ['b-1', 'a-?'], measurement: 'climate' }, ['a-1', 'a-2', 'b-1']],
  [{ tags: { site: 'n*' } }, ['a-1']],
  [{ tags: { site: '*', room: '1' }, device: 'a-2', measurement: 'climate' }, ['a-2']],
])('where %j the rule is about %j', (where, devices) => {
  const rule = create({ above: 30, where });
  const steps: Step[] = [
    [reading('a-1', { t: 31 }, { tags: { site: 'north' } }), 0],
    [reading('a-2', { t: 31 }, { tags: { site: 'south', room: '1' } }), 0],
    [reading('a-3', { t: 31 }, { measurement: 'soil' }), 0],
    [reading('b-1', { t: 31 }), 0],
  ];
  expect(run(rule, steps).map(({ device }) => device)).toEqual(devices);
});

test('the summary fills in what it names, tags too, and leaves what it does not know', () => {
  const summary =
    '{rule}: {field} of {measurement} of {device} ({site}) is {value}, not {threshold} {x}';
  const rule = create({ above: 0.25, summary, for: '5s' });
  run(rule, [[reading('a', { t: 0.1 + 0.2 }, { tags: { site: 'north', other: 'y' } }), 0]]);
  expect(run(rule, [[heartbeat(), 5_000]])[0]!.summary).toBe(
    'hot: t of climate of a (north) is 0.3, not 0.25 {x}',
  );
});

test('idle devices take no room in the snapshot', () => {
  const rule = create({ above: 30 });
  const empty = JSON.stringify(rule.snapshot());
  for (let n = 0; n < 1_000; n++) run(rule, [[reading(`d${n}`, { t: n % 40 }), n]]);
  for (let n = 0; n < 1_000; n++) run(rule, [[reading(`d${n}`, { t: 20 }), n]]);
  expect(JSON.stringify(rule.snapshot())).toBe(empty);
});

test('a snapshot of an unknown shape is forgotten', () => {
  const rule = create({ above: 30 });
  for (const state of [null, 5, 'x', [], {}, { version: 2 }, { version: 1, series: [[]] }]) {
    run(rule, series(31));
    rule.restore(state);
    expect(said(run(rule, series(31, 20)))).toEqual(['firing a', 'resolved a']);
  }
});

test('after `for` was made shorter, what was pending before counts from its beginning', () => {
  const before = create({ above: 30, for: '1h' });
  run(before, series(31));
  const after = create({ above: 30, for: '5s' });
  after.restore(before.snapshot());
  run(after, [[reading('b', { t: 31 }), 1_000]]);
  expect(said(run(after, [[heartbeat(), 5_500]]))).toEqual(['firing a']);
  expect(said(run(after, [[heartbeat(), 6_000]]))).toEqual(['firing b']);
});

test('conditions are bounded; those that find no room are counted', () => {
  const store = createSeriesStore(0, 2);
  const one = (device: string): Series => ({
    ...{ device, measurement: 'm', since: 0, startedMs: 0, value: 1, bound: 0, tags: {} },
    incident: undefined,
  });
  for (const device of ['a', 'b', 'c']) store.add(one(device));
  expect(store.takeDue(0).map(({ device }) => device)).toEqual(['a', 'b']);
  expect(store.snapshot()).toMatchObject({ refused: 1 });
});

test('nothing is made where there is nothing to say', () => {
  const rule = create({ above: 30, for: '1m' });
  run(rule, series(31, 32));
  expect(rule.step(reading('a', { t: 33 }), 3_000)).toBe(noVerdicts);
  expect(rule.step(heartbeat(), 4_000)).toBe(noVerdicts);
});

test.each<[object, string]>([
  [{}, 'give above, below, or both'],
  [{ above: 1, below: 2 }, 'below (2) must be less than above (1)'],
  [{ above: 30, clearBelow: 31 }, 'clearBelow (31) must not be greater than above (30)'],
  [{ below: 5, clearAbove: 4 }, 'clearAbove (4) must not be less than below (5)'],
  [{ below: 5, clearBelow: 4 }, 'clearBelow belongs to above'],
  [{ above: 5, clearAbove: 4 }, 'clearAbove belongs to below'],
  [{ above: 30, below: 5, clearBelow: 10, clearAbove: 20 }, 'it would never resolve'],
  [{ above: 30, for: 'soon' }, 'must be a duration'],
  [{ above: 30, severity: 'bad' }, 'severity'],
  [{ above: 30, abov: 3 }, 'abov'],
  [{ above: 30, where: { devices: 'x' } }, 'devices'],
])('the options %j are refused, with the reason', (options, text) => {
  const result = threshold.options.safeParse({ field: 't', ...options });
  expect(JSON.stringify(result.error?.issues)).toContain(text);
});

const seed = Math.floor(Math.random() * 2 ** 31);
const history = fc
  .array(
    fc.record({
      device: fc.constantFrom('a', 'b', 'c'),
      measurement: fc.constantFrom('climate', 'soil'),
      value: fc.option(fc.integer({ min: 24, max: 34 }), { freq: 8 }),
      passedMs: fc.constantFrom(0, 1, 500, 3_000, 10_000),
    }),
    { maxLength: 80 },
  )
  .map((all) => {
    let elapsedMs = 0;
    return all.map(({ device, measurement, value, passedMs }, index): Step => {
      elapsedMs += passedMs;
      const id = `${index}`;
      return value === null
        ? [heartbeat(id), elapsedMs]
        : [reading(device, { t: value }, { measurement, id, time: index }), elapsedMs];
    });
  });
const anyRule = fc.constantFrom(
  { above: 30 },
  { above: 30, clearBelow: 28, for: '5s' },
  { above: 31, below: 26, for: '10s', summary: '{site} {value}' },
);

/** The rule as its definition reads, with everything there ever was looked through again. */
function modelled(options: { above: number; below?: number; clearBelow?: number; for?: string }) {
  const { above, below = Number.NEGATIVE_INFINITY, clearBelow } = options;
  const holdMs = Number.parseInt(options.for ?? '0', 10) * 1_000;
  return (steps: readonly Step[]): string[] => {
    const states = new Map<string, { sinceMs: number; device: string; firing: boolean }>();
    return steps.flatMap(([event, elapsedMs]) => {
      const now: string[] = [];
      if (event.type === 'reading') {
        const key = `${event.subject} ${event.data.measurement}`;
        const value = event.data.fields.t as number;
        const state = states.get(key);
        const beyond = value > above || value < below;
        const back = !beyond && (clearBelow === undefined || value < clearBelow);
        if (beyond && state === undefined) {
          states.set(key, { sinceMs: elapsedMs, device: event.subject, firing: false });
        } else if (state !== undefined && (state.firing ? back : !beyond)) {
          states.delete(key);
          if (state.firing) now.push(`resolved ${event.subject}`);
        }
      }
      for (const state of states.values()) {
        if (state.firing || elapsedMs - state.sinceMs < holdMs) continue;
        state.firing = true;
        now.push(`firing ${state.device}`);
      }
      return now;
    });
  };
}

test(`verdicts follow the definition, each firing with one resolve after it (seed ${seed})`, () => {
  fc.assert(
    fc.property(history, anyRule, (steps, options) => {
      const verdicts = run(create(options), steps);
      expect(said(verdicts)).toEqual(modelled(options)(steps));
      const open = new Set<string>();
      for (const { state, incident } of verdicts) {
        expect(open.has(incident)).toBe(state === 'resolved');
        if (state === 'firing') open.add(incident);
        else open.delete(incident);
      }
    }),
    { seed, numRuns: 500 },
  );
});

test(`taken down anywhere and put up again, it says the same (seed ${seed})`, () => {
  fc.assert(
    fc.property(history, anyRule, fc.array(fc.nat({ max: 80 })), (steps, options, restarts) => {
      const make = () => create(options);
      expect(runWithRestarts(make, steps, restarts)).toEqual(run(make(), steps));
    }),
    { seed, numRuns: 500 },
  );
});
