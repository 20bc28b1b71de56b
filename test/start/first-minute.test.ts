import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { available, eventually, freePort } from '../services/child.ts';
import {
  childrenOf,
  copyTree,
  isRunning,
  killWhatIsLeft,
  programsOf,
  type Running,
  runScript,
  type Tree,
} from './tree.ts';

let tree: Tree;
beforeAll(async () => {
  tree = await copyTree();
}, 60_000);
afterEach(killWhatIsLeft);
afterAll(async () => await tree.remove());

const start = async (...args: string[]): Promise<Running> =>
  runScript(tree, 'start.mjs', args, {
    TIDEGATE_BROKER_LISTENERS_0_PORT: String(await freePort()),
    TIDEGATE_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
  });
/** Without socat and python3 there is one device less, and a line that says so. */
const devices = available('socat') || available('python3') ? 9 : 8;
const whole = (text: string | undefined): number => Number(text?.replaceAll(',', ''));

/** The README shows every line that a newcomer sees, and no other. */
function expectSample(said: string): void {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
  const sample = /`npm start` shows this.*?```\n(.*?)\n```/s.exec(readme)![1]!;
  // What differs from one time to the next, and from one machine to another.
  const formOf = (line: string): string =>
    line
      .replace(/(kept in +)\S+/, '$1DATA')
      .replace(/^[\d:]{8} +(?=\d devices)/, '')
      .replace(/(?<=readings\/s).*/, '')
      .replace(/\d[\d.,]*/g, '0');
  const forms = (text: string): string[] =>
    [...new Set(text.split('\n').map(formOf))].filter((line) => line !== '' && line !== '^C');
  const started = said.slice(said.indexOf('Tidegate is running'));
  expect(forms(started).toSorted()).toEqual(forms(sample).toSorted());
}

/** What only a profile, a codec or a source could know of devices that nothing was said about. */
function expectRecognised(): void {
  const args = [join(tree.root, 'dist/src/main.js'), 'log', 'export', '--type', 'reading'];
  const { stdout } = spawnSync(process.execPath, args, { cwd: tree.root, encoding: 'utf8' });
  const known = new Set<string>();
  for (const line of stdout.trim().split('\n')) {
    const { subject, data } = JSON.parse(line);
    for (const field of Object.keys(data.fields))
      known.add(`${subject} ${data.measurement} ${field}`);
  }
  expect([...known]).toEqual(
    expect.arrayContaining([
      'gh-01 climate temperature',
      'plug-01 presence online',
      'plug-01 sensor ENERGY_Power',
      'plug-01 sensor ENERGY_Power_unit',
      'cellar-01 presence online',
      'cellar-01 sensor humidity',
      'cellar-01 binary_sensor door',
      'press-01 status online',
      'press-01 sparkplug Motor/RPM',
      ...(devices === 9 ? ['board board soil'] : []),
    ]),
  );
}

test('a newcomer sees readings, an alert that fires and resolves, and counts that agree', async () => {
  const running = await start();
  const all = new RegExp(`${devices} devices · [5-8]\\.\\d readings/s`);
  await eventually(() => expect(running.said).toMatch(all), 15_000);
  expect(running.said).toMatch(/try it: {2}mosquitto_pub -h 127\.0\.0\.1 -p \d+ -q 1 -t /);
  await eventually(
    () => expect(running.said).toMatch(/RESOLVED {2}gh-03 is at [\d.]+ °C \(rule overheat\)/),
    55_000,
  );
  expect(running.said).toMatch(/FIRING {4}gh-03 is at 3[\d.]+ °C \(rule overheat, above 30\)/);

  const at = performance.now();
  running.child.kill('SIGINT');
  expect(await running.ended).toBe(0);
  expect(performance.now() - at).toBeLessThan(2_000);
  const stopped = /Stopped: ([\d,]+) messages received, ([\d,]+) events stored/.exec(running.said);
  const sent = /Devices: (\d) sent (\d+) messages, (\d+) acknowledged, 0 lost/.exec(running.said);
  expect(whole(sent?.[1])).toBe(devices);
  expect(whole(stopped?.[1])).toBeGreaterThan(100);
  expect(whole(stopped?.[1])).toBe(whole(sent?.[3]));
  expect(whole(stopped?.[2])).toBeGreaterThanOrEqual(whole(stopped?.[1]) + 2);
  if (devices === 9) expectSample(running.said);
  expectRecognised();
}, 90_000);

test.skipIf(process.platform !== 'linux')(
  'nobody is left when it is killed with SIGKILL, and it starts again',
  async () => {
    for (let time = 0; time < 2; time++) {
      const running = await start('--data', 'killed');
      await eventually(() => expect(programsOf(running.pid)).toHaveLength(2), 15_000);
      expect(running.said).toContain('Tidegate is running');
      const children = childrenOf(running.pid);
      running.child.kill('SIGKILL');
      await eventually(() => expect(children.filter(isRunning)).toEqual([]), 3_000);
    }
  },
  60_000,
);
