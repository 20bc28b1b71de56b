import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CloudEvent, eventTypes, isInternal } from '../../src/event/event.ts';
import { createFilter, type Select } from '../../src/event/filter.ts';
import { createGlob } from '../../src/event/glob.ts';
import { selectableTypes, selectSchema } from '../../src/kind/select.ts';

const common = { source: '/gateways/gw/broker', time: 0, recordedTime: 0 };
const climate: CloudEvent = {
  ...common,
  ...{ type: 'reading', id: '1', subject: 'gh-07' },
  data: { measurement: 'climate', tags: {}, fields: { t: 1 } },
};
const alert: CloudEvent = {
  ...common,
  ...{ type: 'alert', id: '2', subject: 'gh-07' },
  data: {
    ...{ rule: 'hot', state: 'firing', incident: 'i', severity: 'critical' },
    ...{ since: '', summary: '' },
  },
};
const gap: CloudEvent = {
  ...common,
  ...{ type: 'gap', id: '3', subject: 'cloud' },
  data: { reader: 'cloud', from: 1, to: 2, reason: '' },
};

test.each<[Select, ('reading' | 'alert' | 'gap')[]]>([
  [{}, ['reading', 'alert', 'gap']],
  [{ type: 'alert' }, ['alert']],
  [{ type: 'io.tidegate.alert.v1' }, ['alert']],
  [{ type: ['alert', 'io.tidegate.gap.v1'] }, ['alert', 'gap']],
  [{ type: '*' }, ['reading', 'alert', 'gap']],
  [{ type: 'io.tidegate.?a?.v1' }, ['gap']],
  [{ type: [] }, []],
  [{ device: 'gh-*' }, ['reading', 'alert']],
  [{ device: ['x', 'cloud'] }, ['gap']],
  [{ measurement: 'climate' }, ['reading']],
  [{ measurement: 'soil' }, []],
  [{ severity: ['error', 'critical'] }, ['alert']],
  [{ severity: 'warning' }, []],
  [{ type: ['reading', 'alert'], severity: 'critical' }, ['alert']],
  [{ type: 'reading', device: 'gh-*', measurement: 'cl*', severity: '*' }, []],
  [{ type: 'reading', device: 'gh-*', measurement: 'cl*' }, ['reading']],
])('%j selects %j', (select, types) => {
  const filter = createFilter(select);
  expect([climate, alert, gap].filter(filter).map(({ type }) => type)).toEqual(types);
});

test('what the broker writes down for itself is selected by its name only', () => {
  const message = { ...alert, type: 'message' } as unknown as CloudEvent;
  expect(createFilter({})(message)).toBe(false);
  expect(createFilter({ type: '*' })(message)).toBe(false);
  expect(createFilter({ type: ['reading', 'alert'] })(message)).toBe(false);
  expect(createFilter({ device: '*' })(message)).toBe(false);
  expect(createFilter({ type: 'message' })(message)).toBe(true);
  expect(createFilter({ type: ['reading', 'io.tidegate.message.v1'] })(message)).toBe(true);
});

test('what the configuration may name is what there is', () => {
  expect(selectableTypes).toEqual(eventTypes.filter((type) => !isInternal(type)));
  for (const select of [{ type: 'alert' }, { type: ['io.tidegate.gap.v1'], severity: 'err*' }]) {
    expect(selectSchema.parse(select)).toEqual(select);
  }
});

test.each([
  [{ type: 'alarm' }, 'alarm is none of reading, alert'],
  [{ severity: ['error', 'fatal'] }, 'fatal is none of info, warning, error, critical'],
  [{ types: 'alert' }, 'types'],
  [{ device: '' }, 'device'],
  [{ device: [] }, 'device'],
])('the selection %j is refused, since it would never select', (select, text) => {
  expect(JSON.stringify(selectSchema.safeParse(select).error?.issues)).toContain(text);
});

test('a pattern matches what the like regular expression matches', () => {
  const pattern = fc.array(fc.constantFrom('a', 'b', '*', '?', '.'), { maxLength: 8 });
  const text = fc.array(fc.constantFrom('a', 'b', '.', '\n'), { maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (parts, letters) => {
      const meanings = new Map([
        ['*', '.*'],
        ['?', '.'],
        ['.', '\\.'],
      ]);
      const expression = parts.map((part) => meanings.get(part) ?? part);
      const expected = new RegExp(`^${expression.join('')}$`, 's').test(letters.join(''));
      expect(createGlob(parts.join(''))(letters.join(''))).toBe(expected);
    }),
    { numRuns: 5_000 },
  );
});

test('no pattern takes long, however many stars it has', () => {
  const glob = createGlob(`${'*a'.repeat(200)}*b`);
  expect(glob('a'.repeat(20_000))).toBe(false);
});
