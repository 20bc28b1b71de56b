import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTopicOf, topicProblem } from '../../src/sink/mqtt-topic.ts';
import { alertOf, hostileReading, readingOf } from '../event/events.ts';

test('a topic names what the event is about', () => {
  const topicOf = createTopicOf('gateways/{gateway}/{type}/{device}', 'greenhouse-pi');
  expect(topicOf(readingOf())).toBe('gateways/greenhouse-pi/reading/gh-07');
  expect(topicOf(alertOf())).toBe('gateways/greenhouse-pi/alert/gh-07');
  const all = createTopicOf('{measurement}/{rule}/{severity}', 'g');
  expect(all(readingOf())).toBe('climate/_/_');
  expect(all(alertOf())).toBe('_/overheat/warning');
});

test('a topic has as many levels as the template, whatever a device is called', () => {
  const topicOf = createTopicOf('{device}/of/{gateway}/{measurement}', 'g/h');
  fc.assert(
    fc.property(hostileReading, (event) => {
      const topic = topicOf(event);
      const levels = topic.split('/');
      expect(levels).toHaveLength(4);
      expect(levels.every((level) => level !== '')).toBe(true);
      expect(topic).not.toMatch(/[+#\p{Cc}]|^\$/u);
    }),
    { numRuns: 500 },
  );
  expect(topicOf(readingOf({ subject: '$SYS' }))).toMatch(/^_SYS\//);
});

test.each([
  ['a/+/b', 'must not hold + or #'],
  ['a/#', 'must not hold + or #'],
  ['a/{devise}', '{devise} is not one of {gateway} {type} {device}'],
  ['', 'must not be empty'],
])('the template %j is refused', (template, problem) => {
  expect(topicProblem(template)).toContain(problem);
});
