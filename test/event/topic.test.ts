import { expect, test } from 'vitest';
import { parseTopicPattern } from '../../src/event/topic.ts';

test.each<[string, string, string[] | undefined]>([
  ['sensors/{device}/{measurement}', 'sensors/gh-07/climate', ['gh-07', 'climate']],
  ['sensors/{device}/{measurement}', 'sensors/gh-07', undefined],
  ['sensors/{device}/{measurement}', 'sensors/gh-07/climate/x', undefined],
  ['sensors/{device}', 'sensors/', undefined],
  ['sensors/+', 'sensors/', []],
  ['{a}/x/{b}', '{a}/x/{b}', ['{a}', '{b}']],
  ['sport/#', 'sport', []],
  ['sport/#', 'sport/a/b', []],
  ['sport/#', 'sports', undefined],
  ['#', 'a/b', []],
  ['#', '/', []],
  ['#', '$SYS/uptime', undefined],
  ['+/uptime', '$SYS/uptime', undefined],
  ['{x}/uptime', '$SYS/uptime', undefined],
  ['$SYS/#', '$SYS/uptime', []],
  ['+/+', '/finance', []],
  ['/+', '/finance', []],
  ['+', '/finance', undefined],
  ['a/{device}/#', 'a/b', ['b']],
  ['{device}/#', 'b/c/d', ['b']],
])('%s and %s give %j', (pattern, topic, captured) => {
  expect(parseTopicPattern(pattern).match(topic)).toEqual(captured);
});

test.each([
  ['a/#/b', '# may only be the last level'],
  ['a/b#', '# must be a whole level, but b# holds more'],
  ['a/+b', '+ must be a whole level'],
  ['a/x{device}', '{ must be a whole level'],
  ['a/{}', '{} is not a name'],
  ['a/{de vice}', '{de vice} is not a name'],
  ['{a}/{a}', '{a} is captured twice'],
])('%s is refused: %s', (pattern, text) => {
  expect(() => parseTopicPattern(pattern)).toThrow(text);
});

test('the last plain word is known', () => {
  expect(parseTopicPattern('plant/{line}/press/+/#').lastWord).toBe('press');
  expect(parseTopicPattern('{device}/#').lastWord).toBeUndefined();
});
