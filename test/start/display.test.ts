import { afterEach, expect, test } from 'vitest';
import { createDisplay, type Display, type DisplayOptions } from '../../src/command/display.ts';
import type { CloudEvent, EventData, EventType } from '../../src/event/event.ts';
import { SimClock } from '../sim/clock.ts';

const noon = new Date(2026, 5, 21, 14, 9, 0).getTime();
let position = 0;
const eventOf = <T extends EventType>(type: T, subject: string, data: EventData[T]) => {
  position += 1;
  const envelope = { id: `e${position}`, source: '/gateways/g/broker', recordedTime: noon };
  return { type, subject, time: noon, data, ...envelope } as unknown as CloudEvent;
};
const readingOf = (device: string, fields: EventData['reading']['fields']): CloudEvent =>
  eventOf('reading', device, { measurement: 'climate', tags: {}, fields });
const alertOf = (
  state: 'firing' | 'resolved',
  more: Partial<EventData['alert']> = {},
): CloudEvent =>
  eventOf('alert', 'gh-03', {
    rule: 'overheat',
    state,
    incident: 'overheat-gh-03-1',
    severity: 'warning',
    value: 31.2,
    threshold: 30,
    since: '2026-06-21T14:08:55Z',
    summary: 'gh-03 is at 31.2 °C',
    ...more,
  });

interface Shown {
  readonly display: Display;
  readonly clock: SimClock;
  readonly text: string;
  /** What a terminal of endless height would show: lines, each as it stood last. */
  readonly lines: readonly string[];
}
const erased = '\r\x1b[K';
const open: Display[] = [];
afterEach(() => {
  for (const display of open.splice(0)) display.stopped({ received: 0, stored: 0, delivered: 0 });
});
function show(
  screen: { readonly isTerminal: boolean; readonly columns?: number },
  options: Partial<DisplayOptions> = {},
): Shown {
  let text = '';
  const out = { ...screen, write: (more: string) => (text += more) };
  const clock = new SimClock(noon);
  const display = createDisplay({ out, clock, color: false, tellParent: () => {}, ...options });
  open.push(display);
  return {
    display,
    clock,
    get text() {
      return text;
    },
    get lines() {
      return text.split('\n').map((line) => line.split(erased).at(-1)!.replace(/\r$/, ''));
    },
  };
}
const terminal = { isTerminal: true, columns: 80 };
const pipe = { isTerminal: false };
const startedAt = {
  addresses: ['mqtt://0.0.0.0:1884', 'mqtts://0.0.0.0:8883'],
  admin: 'http://127.0.0.1:8080',
  dataDir: 'data',
};

test('at the start a person is told where to connect, and how to try it', () => {
  const told: unknown[] = [];
  const shown = show(pipe, { tellParent: (message) => told.push(message) });
  shown.display.started(startedAt);
  expect(told).toEqual([{ addresses: startedAt.addresses }]);
  expect(shown.text).toContain('devices connect to  mqtt://0.0.0.0:1884\n');
  expect(shown.text).toContain('mqtts://0.0.0.0:8883\n');
  expect(shown.text).toContain('http://127.0.0.1:8080\n');
  expect(shown.text).toMatch(
    /^ {2}try it: {2}mosquitto_pub -h 127\.0\.0\.1 -p 1884 -q 1 -t \S+ -m '\{"temperature": [\d.]+\}'$/m,
  );
});

test('an alert is told in plain words, when it fires and when it resolves', () => {
  const shown = show(pipe);
  shown.display.events([
    alertOf('firing'),
    alertOf('resolved', { value: 27.9, summary: 'gh-03 is at 27.9 °C' }),
    alertOf('firing', { value: 2, threshold: 5, rule: 'frost', summary: 'gh-03 is at 2 °C' }),
  ]);
  expect(shown.text.split('\n')).toEqual([
    '14:09:00  FIRING    gh-03 is at 31.2 °C (rule overheat, above 30)',
    '14:09:00  RESOLVED  gh-03 is at 27.9 °C (rule overheat)',
    '14:09:00  FIRING    gh-03 is at 2 °C (rule frost, below 5)',
    '',
  ]);
});

test('one line of a terminal says what goes on, and is refreshed in place', async () => {
  let behind = 0;
  const waiting = () => ({
    'influx/alerts': 2,
    'influx/readings': behind,
    'cloud/readings': 0,
    rules: 0,
  });
  const shown = show({ isTerminal: true, columns: 200 }, { waiting });
  shown.display.started(startedAt);
  shown.display.events([
    readingOf('gh-01', { temperature: 24.123456, humidity: 60 }),
    readingOf('gh-02', { temperature: 23 }),
    readingOf('gh-01', { temperature: 24.5 }),
    alertOf('firing'),
    eventOf('undecodable', 'gh-04', {
      topic: 't',
      codec: 'json',
      reason: 'not JSON',
      encoding: 'utf8',
      payload: 'x',
    }),
    eventOf('gap', 'influx', { reader: 'influx', from: 1, to: 10, reason: 'full' }),
  ]);
  behind = 1_234;
  const line = () => shown.lines.at(-1);
  await shown.clock.advance(1_000);
  expect(line()).toMatch(/^2 devices · 3\.0 readings\/s · 1 firing · gh-01 temperature 24\.5 · /);
  expect(line()).not.toContain('rules');
  expect(line()).toContain('influx 1,234 waiting · cloud up to date · 1 unreadable · 10 lost');
  const before = shown.text.split('\n').length;
  shown.display.event(alertOf('resolved'));
  await shown.clock.advance(250);
  expect(line()).toContain('2 devices');
  expect(line()).not.toContain('firing');
  expect(shown.text.split('\n').length).toBe(before + 1);
  expect(shown.lines.filter((each) => each.includes('readings/s'))).toHaveLength(1);
});

test('nothing is written per reading', () => {
  const shown = show(terminal);
  for (let at = 0; at < 10_000; at++) shown.display.event(readingOf(`d${at}`, { value: at }));
  expect(shown.text).toBe('');
});

test('a line is never wider than the terminal, however long the names are', async () => {
  const screen = { isTerminal: true, columns: 40 };
  const shown = show(screen);
  shown.display.event(readingOf('温室'.repeat(30), { temperature: 20 }));
  shown.display.started(startedAt);
  await shown.clock.advance(250);
  expect(shown.lines.at(-1)).toContain('温室');
  const width = [...shown.lines.at(-1)!].reduce((sum, each) => sum + (each > '\u1100' ? 2 : 1), 0);
  expect(width).toBeLessThan(40);
});

test('what a device is called cannot command the terminal', async () => {
  const shown = show(terminal);
  const evil = 'gh\x1b[2J\x9b31m\r\n\x07\u202e';
  shown.display.event(readingOf(evil, { [evil]: evil }));
  shown.display.event(alertOf('firing', { summary: evil, rule: evil }));
  shown.display.started({ ...startedAt, dataDir: evil });
  await shown.clock.advance(250);
  expect(shown.lines.at(-1)).toContain('1 firing');
  const without = shown.text.replaceAll(erased, '').replaceAll('\r', '').replaceAll('\n', '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  expect(without).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(shown.text).toContain('gh\\x1b[2J\\x9b31m\\x0d\\x0a\\x07\\u202e');
});

test('in a pipe there are lines with a time, and no control characters', async () => {
  const shown = show(pipe);
  shown.display.event(readingOf('gh-01', { temperature: 20 }));
  shown.display.started(startedAt);
  await shown.clock.advance(12_000);
  const times = shown.text.match(/^\S+(?= {2}1 device · )/gm);
  expect(times).toEqual(['14:09:00', '14:09:05', '14:09:10']);
  shown.display.event(alertOf('firing'));
  for (const control of ['\r', '\x1b']) expect(shown.text).not.toContain(control);
});

test('colour is for terminals, unless NO_COLOR says otherwise', () => {
  const before = process.env.NO_COLOR;
  const alertIn = (isTerminal: boolean, noColor: string | undefined): string => {
    if (noColor === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = noColor;
    let text = '';
    const out = { isTerminal, write: (more: string) => (text += more) };
    createDisplay({ out, clock: new SimClock() }).event(alertOf('firing'));
    return text;
  };
  try {
    expect(alertIn(true, undefined)).toContain('\x1b[31mFIRING');
    expect(alertIn(true, '1')).not.toContain('\x1b[31m');
    expect(alertIn(false, undefined)).not.toContain('\x1b');
  } finally {
    if (before === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = before;
  }
});

test('a storm of alerts is cut short, and the rest counted', async () => {
  const shown = show(terminal);
  for (let at = 0; at < 500; at++) shown.display.event(alertOf('firing', { incident: `i${at}` }));
  expect(shown.text.match(/FIRING/g)).toHaveLength(20);
  shown.display.started(startedAt);
  await shown.clock.advance(250);
  expect(shown.text).toContain('and 480 more alerts\n');
  expect(shown.lines.at(-1)).toContain('500 firing');
});

test('the end is told in numbers, and then there is silence', async () => {
  const shown = show(terminal);
  shown.display.started(startedAt);
  await shown.clock.advance(1_000);
  expect(shown.text).toContain('readings/s');
  shown.display.stopped({ received: 1_200, stored: 1_210, delivered: 2_400 });
  expect(shown.lines.at(-2)).toBe(
    'Stopped: 1,200 messages received, 1,210 events stored, 2,400 delivered to sinks.',
  );
  open.pop();
  const { text } = shown;
  await shown.clock.advance(60_000);
  expect(shown.text).toBe(text);
});

test('a terminal that does not know its width is taken to have 80 columns', async () => {
  const shown = show({ isTerminal: true, columns: 0 });
  shown.display.started(startedAt);
  await shown.clock.advance(250);
  expect(shown.lines.at(-1)).toContain('0 devices');
});
