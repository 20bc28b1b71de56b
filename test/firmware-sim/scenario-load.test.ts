import { expect, test } from 'vitest';
import { parseScenario, ScenarioError } from '../../firmware-sim/scenario/load.ts';

const problemsIn = (text: string): string[] => {
  try {
    parseScenario(text, 'storm.yaml');
  } catch (error) {
    if (error instanceof ScenarioError) return error.message.split('\n');
    throw error;
  }
  return [];
};

test.for([
  ['no tab', 'summary: x\ngroups:\n\ta: {}\n', 'storm.yaml:3:1: a tab may not indent. Use spaces.'],
  [
    'no groups',
    'summary: x\n',
    'storm.yaml:1:1: groups: is missing. It must be a mapping of keys.',
  ],
  [
    'a wrong key',
    'summary: x\ngroups: { a: { shap: tasmota } }\n',
    'storm.yaml:2:16: groups.a.shap: is not known. Did you mean shape?',
  ],
  [
    'a shape that is none',
    'summary: x\ngroups:\n  a: { shape: teapot }\n',
    'storm.yaml:3:15: groups.a.shape: must be one of greenhouse, climate, board,',
  ],
  [
    'a duration that is none',
    'summary: x\ngroups:\n  a: { every: often }\n',
    'storm.yaml:3:15: groups.a.every: must be a duration such as 500ms, 90s, 5m, 24h or 30d, not "often".',
  ],
  [
    'a behaviour that is none',
    'summary: x\ngroups:\n  a:\n    behaviours: { garbag: { share: 1 } }\n',
    'storm.yaml:4:19: groups.a.behaviours.garbag: is not known. Did you mean garbage?',
  ],
  [
    'a share that is none',
    'summary: x\ngroups:\n  a:\n    behaviours: { garbage: { share: 2 } }\n',
    'storm.yaml:4:37: groups.a.behaviours.garbage.share: must be at most 1, not 2.',
  ],
  [
    'a group that is not there',
    'summary: x\ngroups: { a: {} }\nphases:\n  - { name: n, lasts: 1s, groups: { b: {} } }\n',
    'storm.yaml:4:37: phases[0].groups.b: is no group; there are a.',
  ],
  [
    'an expectation that is none',
    'summary: x\ngroups: { a: {} }\nexpect: { lost: few }\n',
    "storm.yaml:3:17: expect.lost: must be a number, or a text such as '>= 10', '<= 5' or '3..7', not \"few\".",
  ],
  [
    'two devices on one port',
    'summary: x\ngroups:\n  a: { url: "serial:/dev/ttyS0", devices: 2 }\n',
    'storm.yaml:3:43: groups.a.devices: must be 1: on a serial port there is one device.',
  ],
] as const)('a mistake is told with its place and its remedy: %s', ([, text, expected]) => {
  const [first] = problemsIn(text);
  expect(first?.startsWith(expected), `${first}`).toBe(true);
});

test('all mistakes are told at once', () => {
  const text = 'summary: x\nseed: -1\ngroups:\n  a: { devices: 0, qos: 3 }\n';
  expect(problemsIn(text).map((line) => line.split(': ')[1])).toEqual([
    'seed',
    'groups.a.devices',
    'groups.a.qos',
  ]);
});
