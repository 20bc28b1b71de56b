/**
 * What the gateway takes of the machine's memory at the most, as the kernel counts it, when it starts
 * the way the unit starts it and every sink is far behind.
 */
import { readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Draft } from '../../src/event/event.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createGatewayProcess, type GatewayProcess } from '../chaos/gateway.ts';
import { openLog } from '../log/opened.ts';
import { eventually, temporaryFolder } from '../services/child.ts';
import { repositoryRoot } from './process/build.ts';
import { metricsOf, nodeFlags } from './process/program.ts';

const behind = 200_000;
const megabytesMax = 120;

let folder: string;
let server: Server;
let taken: Map<string, number>;
let gateway: GatewayProcess | undefined;

beforeEach(async () => {
  folder = await temporaryFolder('memory');
  taken = new Map();
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const events = Buffer.concat(chunks).toString('latin1').split('"specversion"').length - 1;
      const path = request.url!;
      taken.set(path, (taken.get(path) ?? 0) + events);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});
afterEach(async () => {
  await gateway?.kill();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const readingOf = (n: number): Draft => ({
  ...{ type: 'reading', source: '/gateways/bench/broker', subject: `gh-${n % 100}` },
  time: 1_780_000_000_000 + n,
  data: {
    measurement: 'climate',
    tags: {},
    fields: { temperature: 20 + (n % 100) / 10, humidity: 40 + (n % 50), missed: n },
  },
});

test(`with three sinks ${behind} events behind the gateway stays under ${megabytesMax} MB`, {
  timeout: 240_000,
}, async () => {
  const dataDir = join(folder, 'data');
  const { log } = await openLog(createFileDisk(dataDir), {}, createSystemClock());
  for (let done = 0; done < behind; done += 1_000) {
    await log.append(Array.from({ length: 1_000 }, (_, n) => readingOf(done + n)));
  }
  await log.close();
  const { port } = server.address() as AddressInfo;
  const url = (name: string) => `url: 'http://127.0.0.1:${port}/${name}'`;
  gateway = await createGatewayProcess({
    ...{ folder, dataDir, readyMaxMs: 60_000 },
    settings: `sinks:
  record: { kind: file, path: '${join(folder, 'archive')}' }
  one: { kind: http, batch: { events: 5000 }, ${url('one')} }
  two: { kind: http, batch: { events: 2000 }, gzip: true, ${url('two')} }
`,
  });
  await gateway.start();
  const { adminPort, pid } = gateway;
  await eventually(async () => {
    const metrics = [...(await metricsOf(adminPort))];
    for (const name of ['tidegate_reader_lag_events', 'tidegate_backlog_events']) {
      const most = Math.max(...metrics.map(([each, n]) => (each.startsWith(name) ? n : 0)));
      expect(most, name).toBeLessThan(100);
    }
  }, 180_000);
  expect(taken.get('/one')).toBeGreaterThanOrEqual(behind);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (Number(/VmHWM:\s+(\d+)/.exec(status)![1]) * 1_024) / 1e6;
  expect(megabytes).toBeLessThan(megabytesMax);
});

test('the unit, the program and npm start give Node the same limits', async () => {
  const root = await repositoryRoot();
  const flags = nodeFlags.join(' ');
  const read = async (path: string) => await readFile(join(root, path), 'utf8');
  expect(await read('systemd/tidegate.service')).toContain(`ExecStart=node ${flags} /usr/lib`);
  expect((await read('src/main.ts')).split('\n')[0]).toBe(`#!/usr/bin/env -S node ${flags}`);
  const given = nodeFlags.map((flag) => `'${flag}'`).join(', ');
  expect((await read('scripts/start.mjs')).replace(/\s+/g, ' ')).toContain(`[ ${given}, ]`);
});
