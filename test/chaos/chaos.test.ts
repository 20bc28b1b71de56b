import { expect, test } from 'vitest';
import { available } from '../services/child.ts';
import { faultsImpossible } from './fault.ts';
import { imageImpossible } from './image.ts';
import { chaosOptionsOf } from './options.ts';
import { reportOf } from './report.ts';
import { tryRivals } from './rivals.ts';
import { runChaos } from './run.ts';

const minutes = Number(process.env.TIDEGATE_CHAOS_MINUTES ?? 1);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const installed = available('influxd') && available('mosquitto');

test.runIf(installed)(
  `${minutes} minutes of everything going wrong lose nothing (TIDEGATE_SEED=${seed})`,
  { timeout: (minutes + 5) * 60_000 },
  async () => {
    const options = chaosOptionsOf(['--minutes', `${minutes}`, '--seed', `${seed}`])!;
    const said: string[] = [];
    const outcome = await runChaos(options, (line) => said.push(line));
    expect(outcome.verdict.problems, reportOf(options, outcome, [])).toEqual([]);
    expect(outcome.notes.length, said.join('\n')).toBeGreaterThan(5);
  },
);

test.runIf(installed && imageImpossible() === undefined && faultsImpossible() === undefined)(
  'the report tells what a disk that lies about syncs has lost',
  { timeout: 240_000 },
  async () => {
    const given = ['--minutes', '0.25', '--seed', `${seed}`, '--only', 'cut'];
    const options = { ...chaosOptionsOf(given)!, lies: true };
    const { verdict } = await runChaos(options, () => {});
    expect(verdict.problems.join('\n')).toMatch(/acknowledged and (never in|gone from) the log/);
  },
);

test.runIf(installed)(
  'after kill -9 Tidegate has every acknowledged message',
  { timeout: 60_000 },
  async () => {
    const [tidegate] = await tryRivals(500);
    expect(tidegate).toMatchObject({ name: 'Tidegate', acknowledged: 500, back: 500 });
  },
);
