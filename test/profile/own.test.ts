import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCodecFiles } from '../../src/command/codec-files.ts';
import { inspectConfig, loadConfig } from '../../src/config/load.ts';
import { lineOf } from '../../src/config/problem.ts';
import { outcomeOf } from './outcome.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-profile-'));
  mkdirSync(join(cwd, 'mine'));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

const write = (name: string, text: string) => writeFileSync(join(cwd, name), text);
const profile = (topic: string, measurement: string) =>
  `description: x\nmappings:\n  - { topic: '${topic}', measurement: ${measurement} }\n`;

async function measured(topic: string, payload = '1') {
  const { config } = await loadConfig({ cwd, environment: {} });
  const { readings } = outcomeOf(config.ingest, [{ topic, payload: Buffer.from(payload) }]);
  return readings.map((each) => (each as { measurement: string }).measurement);
}

async function problems(): Promise<string[]> {
  const { problems: found } = await inspectConfig({ cwd, environment: {} });
  return found.map(lineOf);
}

test("one's own profiles are asked first, and stand in the place of ours by name", async () => {
  write('mine/boiler.yaml', profile('tele/{device}/SENSOR', 'boiler'));
  write('mine/homie.yaml', profile('homie/{device}', 'mine'));
  write('tidegate.yaml', 'profiles: mine\n');
  expect(await measured('tele/x/SENSOR', '{"t":1}')).toEqual(['boiler']);
  expect(await measured('homie/x')).toEqual(['mine']);
  expect(await measured('homie/x/engine/speed')).toEqual(['speed']);
});

test('auto stands where it stands in a list; without it only the list counts', async () => {
  write('tidegate.yaml', 'ingest:\n  - auto\n  - { topic: "#", device: x, measurement: mine }\n');
  expect(await measured('tele/x/LWT', 'Online')).toEqual(['presence']);
  expect(await measured('any/thing')).toEqual(['thing']);
  write(
    'tidegate.yaml',
    'ingest:\n  - { topic: "tele/#", device: x, measurement: mine }\n  - auto\n',
  );
  expect(await measured('tele/x/LWT', 'Online')).toEqual(['mine']);
  write('tidegate.yaml', 'ingest: [{ profile: [tasmota, homie] }]\n');
  expect(await measured('tele/x/LWT', 'Online')).toEqual(['presence']);
  expect(await measured('any/thing')).toEqual([]);
  write('tidegate.yaml', 'ingest: [{ profile: auto, except: [tasmota] }]\n');
  expect(await measured('tele/x/LWT', 'Online')).toEqual(['LWT']);
});

test('units can be left out, and topics may begin otherwise', async () => {
  write('tidegate.yaml', 'ingest: [{ profile: zigbee2mqtt, base: house/z, withoutUnits: true }]\n');
  const { config } = await loadConfig({ cwd, environment: {} });
  const payload = Buffer.from('{"temperature":21}');
  expect(outcomeOf(config.ingest, [{ topic: 'house/z/t', payload }]).readings).toEqual([
    { device: 't', measurement: 'zigbee2mqtt', fields: { temperature: 21 } },
  ]);
});

test('what is wrong with a profile is told with its file, line and path', async () => {
  write('mine/Bad Name.yaml', profile('a/{device}', 'm'));
  write('mine/broken.yaml', 'description: x\nmappings: [\n');
  write(
    'mine/odd.yaml',
    'description: x\nmappings:\n  - { topic: a/b }\n  - { topic: "{device}", colour: 1 }\n',
  );
  write('tidegate.yaml', 'profiles: mine\n');
  const said = await problems();
  expect(said).toEqual([
    expect.stringContaining('mine/Bad Name.yaml:1:1: Bad Name is no name of a profile'),
    expect.stringContaining('mine/broken.yaml'),
    expect.stringContaining('mine/odd.yaml:3:5: mappings[0]'),
    expect.stringContaining('mine/odd.yaml:4:5: mappings[1]'),
  ]);
});

test('what is wrong with the use of a profile is told with its place', async () => {
  write(
    'tidegate.yaml',
    [
      'profiles: nowhere',
      'ingest:',
      '  - { profile: tasmtoa }',
      '  - { profile: [tasmota, shelly], base: x }',
      '  - { profile: tasmota, base: x }',
      '  - { profile: tasmota, except: [homie] }',
      '  - { profile: auto, except: [hommie] }',
      '',
    ].join('\n'),
  );
  expect(await problems()).toEqual([
    expect.stringMatching(/^tidegate.yaml:1:11: profiles: cannot be read: ENOENT/),
    'tidegate.yaml:3:16: ingest[0].profile: there is no profile tasmtoa. Did you mean tasmota?',
    'tidegate.yaml:4:41: ingest[1].base: goes with one profile. Write an entry for each.',
    'tidegate.yaml:5:31: ingest[2].base: the topics of tasmota have no beginning to be replaced. Delete it.',
    'tidegate.yaml:6:33: ingest[3].except: goes with profile: auto. Delete it.',
    'tidegate.yaml:7:31: ingest[4].except[0]: there is no profile hommie. Did you mean homie?',
  ]);
});

test('a schema that is not there is told at its own entry, whatever profiles stand before it', async () => {
  const codec = 'codec: { kind: protobuf, files: [none.proto], message: a.B }';
  write(
    'tidegate.yaml',
    `ingest:\n  - auto\n  - { topic: x/{device}, ${codec} }\n`.replace(
      'x/{device}',
      "'x/{device}'",
    ),
  );
  const loaded = await loadConfig({ cwd, environment: {} });
  const { problems: found } = await readCodecFiles(loaded, cwd);
  expect(found.map(lineOf)).toEqual([
    expect.stringMatching(
      /^tidegate.yaml:3:\d+: ingest\[1\].codec.files\[0\]: there is no file none.proto/,
    ),
  ]);
});

test('there are at most 200 profiles in a folder', async () => {
  for (let n = 0; n <= 200; n++) write(`mine/p${n}.yaml`, profile(`p${n}/{device}`, 'm'));
  write('tidegate.yaml', 'profiles: mine\n');
  expect(await problems()).toEqual([
    'tidegate.yaml:1:11: profiles: cannot be read: there are more than 200 profiles.',
  ]);
});
