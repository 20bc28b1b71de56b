import { expect, test } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import { redriveExtensions, rejectedIdOf, replayedOf } from '../../src/event/redelivery.ts';
import { createLetters, dropCommand, type Placed } from '../../src/projection/letters.ts';

let position = 0;
const placed = (event: Omit<CloudEvent, 'recordedTime' | 'source' | 'time'>): Placed =>
  ({ source: '/g', time: 1_000, recordedTime: 1_000, position: ++position, ...event }) as Placed;

const reading = (id: string, extensions?: Record<string, string>): Placed =>
  placed({
    type: 'reading',
    id,
    subject: 'gh-1',
    data: { measurement: 'climate', tags: {}, fields: { t: 1 } },
    ...(extensions && { extensions }),
  });

const refused = (sink: string, event: CloudEvent, reason = 'no'): Placed =>
  placed({
    type: 'rejected',
    id: rejectedIdOf(sink, event) ?? 'any',
    subject: event.subject,
    data: {
      sink,
      reason,
      attempt: 1,
      event: { id: event.id, subject: event.subject, type: 'x', ...event.extensions },
    },
  });

const dropped = (...ids: string[]): Placed =>
  placed({
    type: 'command',
    id: 'c',
    subject: 'g',
    data: { name: dropCommand, payload: JSON.stringify(ids) },
  });

test('a letter is open until it is redriven, and open again when it is refused again', () => {
  const letters = createLetters();
  const event = reading('a');
  letters.step(refused('influx', event));
  const id = 'rejected.influx.a';
  expect(letters.find(id)).toMatchObject({ state: 'open', attempts: 1, device: 'gh-1' });
  const again = reading('a', redriveExtensions(undefined, { letter: id, sink: 'i', attempt: 2 }));
  letters.step(again);
  expect(letters.find(id)).toMatchObject({ state: 'redriven', attempts: 1 });
  letters.step(refused('influx', again, 'still no'));
  expect(letters.find(id)).toMatchObject({ state: 'open', attempts: 2, reason: 'still no' });
  expect(letters.find(id)?.position).toBe(position);
});

test('a refusal that is told again after a crash changes nothing, whatever was done meanwhile', () => {
  const letters = createLetters();
  const event = reading('a');
  letters.step(refused('influx', event));
  letters.step(dropped('rejected.influx.a', 'unknown'));
  letters.step(refused('influx', event));
  expect(letters.find('rejected.influx.a')).toMatchObject({ state: 'dropped', attempts: 1 });
  letters.step(refused('influx', replayedOf(event)));
  expect(letters.find('rejected.influx.a')).toMatchObject({ state: 'open', attempts: 2 });
});

test('a command that is sent again for a letter is not obeyed again', () => {
  const letters = createLetters();
  letters.step(refused('influx', reading('a')));
  const drop = dropped('rejected.influx.a');
  const marks = redriveExtensions(undefined, { letter: 'l', sink: 's', attempt: 2 });
  letters.step({ ...drop, extensions: marks });
  expect(letters.find('rejected.influx.a')?.state).toBe('open');
});

test('the oldest open letters are forgotten and counted; the closed ones are bounded too', () => {
  const letters = createLetters(3, 2);
  for (const id of ['a', 'b', 'c', 'd']) letters.step(refused('s', reading(id)));
  expect([...letters.all()].map(({ event }) => event)).toEqual(['b', 'c', 'd']);
  expect([letters.open, letters.forgotten]).toEqual([3, 1]);
  letters.step(dropped('rejected.s.b', 'rejected.s.c', 'rejected.s.d'));
  expect([...letters.all()].map(({ event }) => event)).toEqual(['c', 'd']);
  expect([letters.open, letters.forgotten]).toEqual([0, 1]);
});

test('what is remembered survives as JSON, and any other shape is forgotten', () => {
  const letters = createLetters(3);
  for (const id of ['a', 'b', 'c', 'd']) letters.step(refused('s', reading(id), `no ${id}`));
  letters.step(dropped('rejected.s.c'));
  const restored = createLetters(3);
  restored.restore(JSON.parse(JSON.stringify(letters.snapshot())));
  expect([...restored.all()]).toEqual([...letters.all()]);
  expect([restored.open, restored.forgotten]).toEqual([2, 1]);
  for (const wrong of [null, [], { version: 2 }, { version: 1, forgotten: 0, letters: [[1]] }]) {
    restored.restore(wrong as never);
    expect([...restored.all()]).toEqual([]);
  }
});

test('ten thousand letters of a few reasons take less than a megabyte where they are saved', () => {
  const letters = createLetters();
  for (let index = 0; index < 10_000; index++) {
    const event = reading(`01JD0000000000000000${String(index).padStart(6, '0')}`);
    letters.step(refused('influx', event, 'field type conflict: input field "temperature"'));
  }
  expect(JSON.stringify(letters.snapshot()).length).toBeLessThan(1_000_000);
});
