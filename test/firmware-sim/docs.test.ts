import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { behaviours, linkBehaviours } from '../../firmware-sim/behaviour/index.ts';
import { parseScenario } from '../../firmware-sim/scenario/load.ts';
import { shapeNames } from '../../firmware-sim/shape/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { builtTidegate } from '../e2e/process/build.ts';
import { type Program, ready, startProgram } from '../e2e/process/program.ts';
import { freePort, temporaryFolder } from '../services/child.ts';

const manual = readFileSync(resolve(import.meta.dirname, '../../docs/fleet.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...manual.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2]!);
const commands = blocks('sh').flatMap((block) => block.trim().split('\n'));
const [configuration, scenario] = blocks('yaml') as [string, string];

let folder: string;
let gateway: Program;
const ports = { broker: 0, admin: 0 };
beforeAll(async () => {
  folder = await temporaryFolder('fleet-docs');
  await writeFile(join(folder, 'trouble.yaml'), scenario);
  await writeFile(join(folder, 'tidegate.yaml'), 'sources: { post: { kind: http } }\n');
  [ports.broker, ports.admin] = [await freePort(), await freePort()];
  gateway = await startProgram('tidegate', ['run'], {
    cwd: folder,
    environment: {
      TIDEGATE_BROKER_LISTENERS_0_PORT: String(ports.broker),
      TIDEGATE_ADMIN_LISTEN: `127.0.0.1:${ports.admin}`,
    },
  });
  await ready(gateway, ports.admin);
}, 60_000);
afterAll(async () => {
  gateway.child.kill('SIGKILL');
  await gateway.ended;
  await rm(folder, { recursive: true });
});

test.for(commands)(
  'the manual shows a command that works: %s',
  { timeout: 60_000 },
  async (line) => {
    const main = resolve(await builtTidegate(), '../../firmware-sim/main.js');
    const words = line.split(' ').slice(1);
    const given = words.map((word) =>
      word.replace(':1883', `:${ports.broker}`).replace(':8080', `:${ports.admin}`),
    );
    const broker = `mqtt://127.0.0.1:${ports.broker}`;
    if (!given.includes('--url') && !given.includes('--list')) given.push('--url', broker);
    if (given.includes('--scenario')) given.push('--admin', `http://127.0.0.1:${ports.admin}`);
    const child = spawn(process.execPath, [main, ...given], { cwd: folder });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
      });
    }
    const status = await new Promise((settle) => child.once('close', settle));
    expect([said, status]).toEqual([said, 0]);
    expect(said).toMatch(given.includes('--list') ? /tasmota/ : /lost +0/);
  },
);

test('the examples are what they say: a configuration and a scenario', async () => {
  expect(blocks('yaml')).toHaveLength(2);
  const path = join(folder, 'other.yaml');
  await writeFile(path, configuration);
  const { config } = await loadConfig({ path, environment: {}, cwd: folder });
  expect(config.ingest[0]).toMatchObject({ codec: 'csv' });
  expect(parseScenario(scenario, 'trouble.yaml').phases).toHaveLength(2);
});

test('the manual names every shape, and every behaviour in its order with its options', () => {
  for (const name of shapeNames) expect(manual).toContain(`\`${name}\``);
  const rows = [...manual.matchAll(/^\| `(\w+)` \| (.*) \| .* \|$/gm)];
  const all = { ...behaviours, ...linkBehaviours };
  expect(rows.map((row) => row[1])).toEqual(Object.keys(all));
  for (const [, name, options] of rows) {
    const { shape } = all[name as keyof typeof all].options as unknown as z.ZodObject;
    const times = options!.includes('*times*') ? ['every', 'lasts', 'after'] : [];
    const told = [...[...options!.matchAll(/`(\w+)`/g)].map((match) => match[1]!), ...times];
    expect(told.toSorted(), name).toEqual(Object.keys(shape).toSorted());
  }
});
