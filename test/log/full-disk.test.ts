/** A real disk, ext4 on an image, filled to the last byte and made read-only, and back again. */
import { execFile } from 'node:child_process';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { openCursorStore } from '../../src/log/cursor-store.ts';
import { createReserve } from '../../src/log/reserve.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { type Image, imageImpossible, openImage } from '../chaos/image.ts';
import { runCommand } from '../command/command-line.ts';
import { metricsOf, type Program, ready, startProgram } from '../e2e/process/program.ts';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';
import { createHeard, positionOf, readAll, readingOf, watch } from './opened.ts';

const run = promisify(execFile);
const impossible = imageImpossible();
if (impossible !== undefined) {
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error(impossible);
  process.stderr.write(`${impossible}: tests of full disks are skipped.\n`);
}

let folder: string;
let image: Image;
let program: Program | undefined;

beforeEach(async () => {
  folder = await temporaryFolder('full-disk');
  if (impossible === undefined) image = await openImage(folder, 24);
});
afterEach(async () => {
  program?.child.kill('SIGKILL');
  await program?.ended;
  program = undefined;
  if (impossible === undefined) await image.close();
  await rm(folder, { recursive: true, force: true });
});

const remount = (how: 'ro' | 'rw') => run('mount', ['-o', `remount,${how}`, image.folder]);

interface Device {
  readonly client: MqttClient;
  /** Times the connection went away, and answers to pings. */
  readonly closed: () => number;
  readonly pongs: () => number;
  /** What was sent, and what of it was acknowledged. */
  readonly sent: Promise<unknown>[];
  readonly acknowledged: Set<string>;
  publish(count: number): void;
}

async function openDevice(port: number, protocolVersion: 4 | 5): Promise<Device> {
  const name = `mqtt${protocolVersion}`;
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    ...{ protocolVersion, clientId: name, keepalive: 2, reconnectPeriod: 50 },
  });
  let closed = 0;
  let pongs = 0;
  client.on('close', () => closed++);
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'pingresp') pongs++;
  });
  const acknowledged = new Set<string>();
  const sent: Promise<unknown>[] = [];
  let count = 0;
  return {
    ...{ client, acknowledged, sent },
    closed: () => closed,
    pongs: () => pongs,
    publish(more) {
      for (let i = 0; i < more; i++) {
        const id = `${name}-${count++}`;
        const payload = JSON.stringify({ id, text: 'x'.repeat(900) });
        const answered = client.publishAsync(`sensors/${name}/fill`, payload, { qos: 1 });
        sent.push(answered.then(() => acknowledged.add(id)));
      }
    },
  };
}

async function start(port: number, adminPort: number): Promise<Program> {
  await writeFile(
    join(folder, 'tidegate.yaml'),
    [
      `data: { dir: ${join(image.folder, 'data')} }`,
      `broker: { listeners: [{ port: ${port} }] }`,
      `admin: { listen: '127.0.0.1:${adminPort}' }`,
      'log: { maxBytes: 16MiB, whenFull: refuseNew }',
      `sinks: { record: { kind: file, path: ${join(folder, 'archive')} } }`,
    ].join('\n'),
  );
  const started = await startProgram('tidegate', ['run'], { cwd: folder });
  program = started;
  await ready(started, adminPort);
  return started;
}

const blockedBy = async (adminPort: number): Promise<string> => {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/healthz`);
  return answer.status === 200 ? '' : await answer.text();
};

test.skipIf(impossible !== undefined)(
  'devices of both protocols wait out a full and a read-only disk, connected and not lied to',
  async () => {
    const [port, adminPort] = [await freePort(), await freePort()];
    const first = await start(port, adminPort);
    const devices = [await openDevice(port, 4), await openDevice(port, 5)];
    let beats = 0;
    const watcher = await connectAsync(`mqtt://127.0.0.1:${port}`);
    watcher.on('message', () => beats++);
    await watcher.subscribeAsync('tidegate/status');
    for (const device of devices) device.publish(50);
    await Promise.all(devices.flatMap(({ sent }) => sent));

    await image.fill();
    for (const device of devices) device.publish(300);
    await eventually(async () => expect(await blockedBy(adminPort)).toMatch(/ENOSPC|full/));
    const atFull = devices.map(({ acknowledged }) => acknowledged.size);
    for (const acknowledged of atFull) expect(acknowledged).toBeLessThan(350);
    // Nothing of the gateway holds the disk, so that it can be repaired.
    await remount('ro');
    await eventually(async () => expect(await blockedBy(adminPort)).toMatch(/EROFS|read-only/));
    const pongs = devices.map((device) => device.pongs());
    const beatsBefore = beats;
    await eventually(() => {
      devices.forEach((device, i) => {
        expect(device.pongs()).toBeGreaterThanOrEqual(pongs[i]! + 3);
      });
      // The watchdog is fed by the same beat: a full disk is no reason to start again.
      expect(beats).toBeGreaterThanOrEqual(beatsBefore + 1);
    }, 30_000);
    expect(devices.map(({ acknowledged }) => acknowledged.size)).toEqual(atFull);

    await remount('rw');
    await image.free();
    await eventually(async () => {
      await Promise.all(devices.flatMap(({ sent }) => sent));
      expect(await blockedBy(adminPort)).toBe('');
    }, 20_000);
    expect(devices.map((device) => [device.closed(), device.client.connected])).toEqual([
      [0, true],
      [0, true],
    ]);
    expect((await metricsOf(adminPort)).get('tidegate_events_appended_total{type="reading"}')).toBe(
      700,
    );
    for (const { client } of devices) await client.endAsync();
    await watcher.endAsync();
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(0);
    // Said when it began and when it was over, not with every try.
    expect(first.stderr.match(/Events cannot be appended/g)?.length).toBeLessThanOrEqual(2);
    const exported = await runCommand(['log', 'export', '--type', 'reading'], { cwd: folder });
    const found = new Set([...exported.out.matchAll(/"id":"(mqtt[45]-\d+)"/g)].map(([, id]) => id));
    for (const { acknowledged } of devices) {
      for (const id of acknowledged) expect(found.has(id), id).toBe(true);
    }
    expect((await runCommand(['log', 'verify'], { cwd: folder })).status).toBe(0);
  },
  120_000,
);

test.skipIf(impossible !== undefined)(
  'a gateway that is killed on a full disk starts on it, and goes on when there is room',
  async () => {
    const [port, adminPort] = [await freePort(), await freePort()];
    const first = await start(port, adminPort);
    const before = await openDevice(port, 5);
    before.publish(20);
    await Promise.all(before.sent);
    await image.fill();
    before.publish(400);
    await eventually(async () => expect(await blockedBy(adminPort)).not.toBe(''));
    before.client.end(true);
    first.child.kill('SIGKILL');
    await first.ended;

    const second = await start(port, adminPort);
    const after = await openDevice(port, 4);
    after.publish(400);
    await eventually(async () => expect(await blockedBy(adminPort)).not.toBe(''));
    await image.free();
    await eventually(async () => await Promise.all(after.sent), 20_000);
    await after.client.endAsync();
    second.child.kill('SIGTERM');
    expect((await second.ended).code).toBe(0);
    const exported = await runCommand(['log', 'export', '--type', 'reading'], { cwd: folder });
    for (const id of [...before.acknowledged, ...after.acknowledged]) {
      expect(exported.out).toContain(`"id":"${id}"`);
    }
  },
  90_000,
);

const alert: Draft = {
  ...{ type: 'alert', source: '/gateways/test/rules/hot', subject: 'gh-1', time: 1 },
  data: {
    ...{ rule: 'hot', state: 'firing', incident: 'i1', severity: 'warning' },
    ...{ since: '2026-11-20T12:00:00.000Z', summary: 'It is hot.' },
  },
};

test.skipIf(impossible !== undefined)(
  'alerts and cursors are written on a disk without one free block',
  async () => {
    await mkdir(join(image.folder, 'data'));
    const disk = createFileDisk(join(image.folder, 'data'));
    const logger = createHeard();
    const reserve = createReserve({ disk, logger }, 2 ** 20);
    const metrics = createMetrics();
    const clock = createSystemClock();
    const parts = { disk, clock, random: systemRandom, logger, metrics, reserve };
    const cursors = await openCursorStore(parts);
    const log = await openEventLog(
      { ...parts, readers: () => cursors.all },
      { maxBytes: 2 ** 24, whenFull: 'refuseNew', commitDelayMs: 0, reserveBytes: 2 ** 20 },
    );
    const cursor = cursors.open('sink', () => positionOf(0));
    await cursors.save();
    await log.append([readingOf(1)]);
    expect((await stat(join(image.folder, 'data', 'reserve'))).blocks * 512).toBeGreaterThanOrEqual(
      2 ** 20,
    );
    await image.fill();
    expect(await disk.free()).toBe(0);
    const readings: { settled: boolean }[] = [];
    for (let i = 2; log.blocked === undefined; i++) {
      readings.push(watch(log.append([readingOf(i)])));
      await clock.sleep(0);
    }
    const alerts = Array.from({ length: 500 }, async () => await log.append([alert]));
    await Promise.all(alerts);
    cursor.begin();
    cursor.commit(log.last, () => 'x'.repeat(20_000));
    await cursors.save();
    expect(cursor.saved).toBe(log.last);
    expect(readings.at(-1)!.settled).toBe(false);
    // It lasts: alerts take as many bytes as they have, not a block each.
    expect(reserve.bytes).toBeGreaterThan(2 ** 19);
    await image.free();
    await eventually(() => expect(readings.every(({ settled }) => settled)).toBe(true));
    expect(reserve.bytes).toBe(2 ** 20);
    expect((await readAll(log)).filter(({ type }) => type === 'alert')).toHaveLength(500);
    await cursors.close();
    await log.close();
  },
  60_000,
);
