/**
 * What honest clients notice of others: the 99th percentile of their QoS 1 round trips and of their
 * deliveries, beside each kind of bad neighbour, as a ratio to the same in peace, in one run of one
 * gateway. Then what 5,000 idle clients take. About two minutes.
 *
 *   npm run bench -- fairness
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Neighbour, neighbours, openClient } from './fairness-neighbours.ts';

type Print = (line: string) => void;

const honestClients = 20;
const everyMs = 50;
const warmMs = 2000;
const measureMs = 6000;
const idleClients = 5000;

interface Measured {
  readonly roundTrips: number[];
  readonly deliveries: number[];
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

/** The gateway as it is delivered, with a log on the disk. */
async function startGateway() {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-fairness-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  await writeFile(
    join(folder, 'tidegate.yaml'),
    `
gateway: { id: fairness }
data: { dir: data }
broker:
  listeners: [{ port: ${port}, host: 127.0.0.1 }]
  limits: { connections: ${idleClients + 1500}, messagesPerSecond: 0 }
admin: { listen: '127.0.0.1:${adminPort}' }
`,
  );
  const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, 'run'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) break;
    if (child.exitCode !== null) throw new Error('the gateway ended at once');
    await pause(20);
  }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  return { port, pid: child.pid!, stop };
}

/** Clients that publish a reading now and then, and one that hears all of them. */
async function openHonest(port: number) {
  let now: Measured = { roundTrips: [], deliveries: [] };
  const sentAt = new Map<string, number>();
  const listener = await openClient(port, 'honest-listener', (packet) => {
    if (packet.cmd !== 'publish') return;
    const { name, id } = JSON.parse(String(packet.payload));
    now.deliveries.push(performance.now() - sentAt.get(`${name} ${id}`)!);
  });
  await listener.subscribe(['honest/#']);
  const clients = await Promise.all(
    Array.from({ length: honestClients }, async (_, index) => {
      const name = `honest-${index}`;
      const client = await openClient(port, name, ({ cmd, messageId }) => {
        if (cmd === 'puback')
          now.roundTrips.push(performance.now() - sentAt.get(`${name} ${messageId}`)!);
      });
      return { name, client };
    }),
  );
  let id = 0;
  const timer = setInterval(() => {
    id = (id % 60_000) + 1;
    for (const { name, client } of clients) {
      sentAt.set(`${name} ${id}`, performance.now());
      client.publish(
        `honest/${name}/climate`,
        JSON.stringify({ name, id, temperature: 21.5 }),
        1,
        id,
      );
    }
  }, everyMs);
  return {
    async measure(): Promise<Measured> {
      await pause(warmMs);
      now = { roundTrips: [], deliveries: [] };
      await pause(measureMs);
      const measured = now;
      now = { roundTrips: [], deliveries: [] };
      return measured;
    },
    stop(): void {
      clearInterval(timer);
      for (const { client } of clients) client.socket.destroy();
      listener.socket.destroy();
    },
  };
}

function percentile99(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

async function startNeighbour(name: Neighbour, port: number): Promise<ChildProcess> {
  const path = fileURLToPath(new URL('./fairness-neighbours.js', import.meta.url));
  const child = spawn(process.execPath, [path, name, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve, reject) => {
    child.stdout!.once('data', resolve);
    child.once('exit', () => reject(new Error(`the neighbour ${name} ended early`)));
  });
  return child;
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** Prints the table, and resolves with the ratios. `only` picks neighbours by a part of their name. */
export async function run(print: Print = () => {}, only = '') {
  const gateway = await startGateway();
  const rows: { name: string; value: number; unit: string; note: string }[] = [];
  print(
    `${honestClients} honest clients, a message each ${everyMs} ms; ${cpus().length} processors, ` +
      `load ${loadavg()[0]!.toFixed(1)} at the start`,
  );
  print(
    `${'beside'.padEnd(40)}${'round trip p99'.padStart(16)}${'x'.padStart(7)}` +
      `${'delivery p99'.padStart(15)}${'x'.padStart(7)}${'RSS'.padStart(9)}`,
  );
  let peace: readonly [number, number] | undefined;
  try {
    const honest = await openHonest(gateway.port);
    // A gateway that has just started is slower than it will ever be.
    await honest.measure();
    const chosen = neighbours.filter(([name]) => name.includes(only));
    for (const [name, title] of [['none', 'nobody'] as const, ...chosen]) {
      const child = name === 'none' ? undefined : await startNeighbour(name, gateway.port);
      const { roundTrips, deliveries } = await honest.measure();
      const resident = await residentMiB(gateway.pid);
      child?.kill('SIGKILL');
      if (child !== undefined) await ended(child);
      const p99 = [percentile99(roundTrips), percentile99(deliveries)] as const;
      peace ??= p99;
      const ratios = [p99[0] / peace[0], p99[1] / peace[1]] as const;
      print(
        `${title.padEnd(40)}${`${p99[0].toFixed(1)} ms`.padStart(16)}${ratios[0].toFixed(1).padStart(7)}` +
          `${`${p99[1].toFixed(1)} ms`.padStart(15)}${ratios[1].toFixed(1).padStart(7)}` +
          `${`${resident.toFixed(0)} MiB`.padStart(9)}`,
      );
      const note = `round trip; delivery ${ratios[1].toFixed(1)}; ${roundTrips.length} messages`;
      rows.push({ name: title, value: ratios[0], unit: 'x', note });
    }
    honest.stop();
  } finally {
    await gateway.stop();
  }
  if ('idle'.includes(only)) rows.push(await measureIdle(print));
  return rows;
}

/** On a gateway that has seen nothing else. */
async function measureIdle(print: Print) {
  const gateway = await startGateway();
  try {
    const before = await residentMiB(gateway.pid);
    const child = await startNeighbour('idle', gateway.port);
    await pause(warmMs);
    const after = await residentMiB(gateway.pid);
    child.kill('SIGKILL');
    await ended(child);
    const note = `${before.toFixed(0)} MiB before`;
    print(`${idleClients} idle clients: ${after.toFixed(0)} MiB resident, ${note}`);
    return { name: `${idleClients} idle clients`, value: after, unit: 'MiB', note };
  } finally {
    await gateway.stop();
  }
}
