/** Dead letters and replay from the command line, against a gateway that runs and a real InfluxDB. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand, startCommand } from '../command/command-line.ts';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';
import { type Program, ready, startProgram } from './process/program.ts';

const installed = available('influxd');
let folder: string;
let influx: InfluxDb;
let program: Program;
let port: number;
let adminPort: number;

async function start(): Promise<void> {
  program = await startProgram('tidegate', ['run'], { cwd: folder });
  await ready(program, adminPort);
}

async function kill(): Promise<void> {
  program.child.kill('SIGKILL');
  await program.ended;
}

beforeAll(async () => {
  if (!installed) return;
  folder = await temporaryFolder('letters');
  influx = await startInfluxDb();
  [port, adminPort] = [await freePort(), await freePort()];
  await writeFile(
    join(folder, 'tidegate.yaml'),
    `
gateway: { id: pi }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
sinks:
  influx: { kind: influxdb, version: 1, url: '${influx.url}', database: sensors, retry: { minMs: 50, maxMs: 200 } }
`,
  );
  await start();
});
afterAll(async () => {
  if (!installed) return;
  await kill();
  await influx.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = (...given: string[]) => runCommand(given, { cwd: folder });

async function publish(...payloads: object[]): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
  for (const payload of payloads) {
    await client.publishAsync('sensors/gh-1/climate', JSON.stringify(payload), { qos: 1 });
  }
  await client.endAsync();
}

test.runIf(installed)(
  'a letter is listed and shown, redriven once its reason is gone, and there after a kill',
  async () => {
    await publish({ temperature: 20 });
    await eventually(async () => expect(await influx.rows('sensors', 'climate')).toHaveLength(1));
    await publish({ temperature: 'warm' }, { temperature: 'hot' });
    const open = await eventually(async () => {
      const { out } = await run('letters', 'list', '--json');
      const letters = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(letters).toHaveLength(2);
      return letters as { id: string; reason: string }[];
    });
    expect(open[0]!.reason).toContain('field type conflict');
    const table = (await run('letters', 'list', '--sink', 'influx')).out;
    expect(table).toContain(open[0]!.id);
    const unknown = 'There is no sink other. There are: influx.';
    await expect(run('letters', 'list', '--sink', 'other')).rejects.toThrow(unknown);
    const shown = JSON.parse((await run('letters', 'show', open[0]!.id)).out);
    expect(shown.event.data.fields).toEqual({ temperature: 'warm' });
    expect((await run('letters', 'drop', open[1]!.id)).status).toBe(0);

    await influx.query('DROP MEASUREMENT climate', 'sensors');
    const redriven = await run('letters', 'redrive', open[0]!.id);
    expect([redriven.status, redriven.err]).toEqual([0, 'Redriven: 1.\n']);
    await kill();
    await start();
    await eventually(async () => {
      const rows = await influx.rows('sensors', 'climate');
      expect(rows.map(({ temperature }) => temperature)).toEqual(['warm']);
    });
    const again = await run('letters', 'redrive', open[0]!.id, 'nobody');
    expect(again.status).toBe(1);
    expect(again.err).toContain('it was redriven already');
    expect(again.err).toContain('nobody: there is no such letter');
    const all = (await run('letters', 'list', '--all', '--json')).out;
    expect(all).toContain('"redriven"');
    expect(all).toContain('"dropped"');
  },
  60_000,
);

test.runIf(installed)(
  'history is replayed into an emptied database, once, and Ctrl-C stops it',
  async () => {
    const readings = Array.from({ length: 200 }, (_, seq) => ({ level: seq }));
    await publish(...readings);
    const levels = async () =>
      (await influx.rows('sensors', 'climate')).filter((row) => row.level !== null).length;
    await eventually(async () => expect(await levels()).toBe(200));
    await influx.query('DROP MEASUREMENT climate', 'sensors');
    const dry = await run('replay', '--sink', 'influx', '--from', '1h', '--dry-run');
    expect(dry.status, dry.err).toBe(0);
    expect(dry.err).toMatch(/20\d events would be delivered to influx again/);
    expect((await influx.rows('sensors', 'climate')).length).toBe(0);

    const slow = startCommand(
      ['replay', '--sink', 'influx', '--from', '1h', '--rate', '50', '--json'],
      { cwd: folder },
    );
    await eventually(async () =>
      expect((await influx.rows('sensors', 'climate')).length).toBeGreaterThan(0),
    );
    const busy = await run('replay', '--sink', 'influx', '--from', '1h').catch(String);
    expect(busy).toContain('is running');
    slow.stop();
    expect(await slow.status).toBe(1);
    expect(JSON.parse(slow.out())).toMatchObject({ done: false });

    const device = ['--device', 'gh-1', '--type', 'reading', '--rate', '100000'];
    const whole = await eventually(async () => {
      const done = await run('replay', '--sink', 'influx', '--from', '1h', ...device);
      expect(done.status).toBe(0);
      return done;
    });
    expect(whole.err).toMatch(/^Done: 20\d events delivered to influx again/m);
    expect(await levels()).toBe(200);
  },
  60_000,
);

test.runIf(installed)('what cannot be is said in words, with what to do', async () => {
  const nowhere = run('replay', '--sink', 'infux', '--from', '1h');
  await expect(nowhere).rejects.toThrow('There is no sink infux. There are: influx.');
  await expect(run('letters', 'show', 'x')).rejects.toThrow('There is no dead letter x.');
  const nothing = run('replay', '--sink', 'influx', '--from', '2020-01-01', '--to', '2020-01-02');
  await expect(nothing).rejects.toThrow(/nothing to replay.*The log is kept since 20/);
  await kill();
  const gone = run('letters', 'list');
  await expect(gone).rejects.toMatchObject({ code: 'GW_ADMIN_UNREACHABLE' });
  await expect(gone).rejects.toThrow(`http://127.0.0.1:${adminPort}`);
  await expect(gone).rejects.toThrow('Start it with: tidegate run');
  await start();
});
