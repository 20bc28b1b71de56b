/** A machine without a clock chip: the gateway starts in 1970, and somebody sets the clock later. */
import { readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { expect, test } from 'vitest';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import { metricsOf, ready, startProgram } from './process/program.ts';

const installed = available('influxd') && available('faketime');
const nearMs = 2_000;

/** The library that `faketime` preloads, for programs with threads. */
function faketimeLibrary(): string {
  for (const folder of readdirSync('/usr/lib')) {
    const path = join('/usr/lib', folder, 'faketime');
    try {
      const name = readdirSync(path).find((each) => each.startsWith('libfaketimeMT.so'));
      if (name !== undefined) return join(path, name);
    } catch {
      // Not there.
    }
  }
  throw new Error('The program faketime is installed, but its library is not found.');
}

test.runIf(installed)(
  'from 1970 to today: every point has its true time, and no rule takes the jump for time that passed',
  async () => {
    const folder = await temporaryFolder('clock');
    const influx = await startInfluxDb();
    const [port, adminPort] = [await freePort(), await freePort()];
    const [config, offset] = [join(folder, 'tidegate.yaml'), join(folder, 'offset')];
    const setClock = (seconds: number): Promise<void> =>
      writeFile(offset, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    await setClock(-Math.floor(Date.now() / 1_000));
    await writeFile(
      config,
      `
gateway: { id: pi, waitForClock: 60s }
data: { dir: data }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
rules:
  hot: { kind: threshold, field: temperature, above: 30 }
  hot-for-long: { kind: threshold, field: temperature, above: 30, for: 5m }
  silent: { kind: silence, after: 5m }
sinks:
  influx: { kind: influxdb, version: 1, url: '${influx.url}', database: sensors, retry: { minMs: 100, maxMs: 500 } }
`,
    );
    const program = await startProgram('tidegate', ['run', '--config', config], {
      cwd: folder,
      environment: {
        LD_PRELOAD: faketimeLibrary(),
        FAKETIME_TIMESTAMP_FILE: offset,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    });
    try {
      await ready(program, adminPort);
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
      const sentAt: number[] = [];
      const send = async (temperature: number): Promise<void> => {
        const reading = JSON.stringify({ temperature, seq: sentAt.length });
        sentAt.push(Date.now());
        await client.publishAsync('sensors/gh-1/climate', reading, { qos: 1 });
      };
      for (let count = 0; count < 5; count++) {
        await send(35);
        await sleep(200);
      }
      const before = await metricsOf(adminPort);
      expect(before.get('tidegate_delivered_events_total{sink="influx"}') ?? 0).toBe(0);
      await setClock(0);
      const rowsOf = (measurement: string) => influx.rows('sensors', measurement);
      const times = await eventually(async () => {
        const rows = await rowsOf('climate');
        expect(rows).toHaveLength(5);
        return rows.map(({ time }) => Number(BigInt(time as string) / 1_000_000n));
      }, 20_000);
      times.forEach((time, index) => {
        expect(Math.abs(time - sentAt[index]!), `reading ${index}`).toBeLessThan(nearMs);
      });
      // An hour ahead, two hours back: nothing is lost.
      for (const seconds of [3_600, -3_600, 0]) {
        await setClock(seconds);
        await sleep(50);
        await send(34);
      }
      await eventually(async () => expect(await rowsOf('climate')).toHaveLength(8), 20_000);
      await eventually(async () => {
        const alerts = await rowsOf('alert');
        expect(alerts.map(({ rule, state }) => `${rule} ${state}`)).toEqual(['hot firing']);
        const at = Number(BigInt(alerts[0]!.time as string) / 1_000_000n);
        expect(Math.abs(at - sentAt[0]!)).toBeLessThan(nearMs);
      });
      await client.endAsync();
      program.child.kill('SIGTERM');
      expect((await program.ended).code, program.stderr).toBe(0);
    } finally {
      program.child.kill('SIGKILL');
      await program.ended;
      await influx.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
  90_000,
);
