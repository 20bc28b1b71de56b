/**
 * Other brokers under the same trial: so many QoS 1 messages are acknowledged, for a subscriber that
 * is away and wants them all; then kill -9, and the subscriber comes back. Beside them Tidegate,
 * whose log is asked.
 */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { available, eventually, type RunningService, temporaryFolder } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { createGatewayProcess } from './gateway.ts';

export interface Rival {
  readonly name: string;
  readonly acknowledged: number;
  /** Of those, how many there were after the restart. */
  readonly back: number;
  /** What the process had the disk write, by the kernel's count. */
  readonly writtenBytes: number;
  readonly payloadBytes: number;
}

const windowMessages = 20;
/** A subscriber that has heard nothing for so long has heard all. */
const quietMs = 1_500;

export async function tryRivals(messages: number): Promise<Rival[]> {
  const rivals = [await tryTidegate(messages)];
  if (!available('mosquitto')) return rivals;
  rivals.push(
    await tryMosquitto('Mosquitto, persistence as it comes', messages, ['autosave_interval 1800']),
    await tryMosquitto('Mosquitto, autosave on every change', messages, [
      'autosave_on_changes true',
      'autosave_interval 1',
    ]),
  );
  return rivals;
}

async function tryTidegate(messages: number): Promise<Rival> {
  const folder = await temporaryFolder('rival');
  const gateway = await createGatewayProcess({
    folder,
    dataDir: join(folder, 'data'),
    settings: '',
  });
  try {
    await gateway.start();
    const before = await writtenBy(gateway.pid);
    const sent = await publishAll(`mqtt://127.0.0.1:${gateway.port}`, messages);
    const writtenBytes = (await writtenBy(gateway.pid)) - before;
    await gateway.kill();
    await gateway.start();
    const { stdout } = await gateway.command('log', 'export', '--type', 'reading');
    const back = new Set<unknown>();
    for (const line of stdout.split('\n')) {
      if (line !== '') back.add(JSON.parse(line).data.fields.seq);
    }
    return { name: 'Tidegate', ...sent, back: back.size, writtenBytes };
  } finally {
    await gateway.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function tryMosquitto(name: string, messages: number, lines: string[]): Promise<Rival> {
  const server = await startMosquitto({ lines: [...lines, 'max_queued_messages 0'] });
  try {
    await subscribeAndLeave(server.url);
    await saveNow(server);
    const before = await writtenBy(server.pid);
    const sent = await publishAll(server.url, messages);
    const writtenBytes = (await writtenBy(server.pid)) - before;
    await server.kill();
    await server.restart();
    return { name, ...sent, back: await countBack(server.url), writtenBytes };
  } finally {
    await server.stop();
  }
}

const session = { clientId: 'away', clean: false, protocolVersion: 4, reconnectPeriod: 0 } as const;

async function subscribeAndLeave(url: string): Promise<void> {
  const client = await mqtt.connectAsync(url, session);
  await client.subscribeAsync('sensors/#', { qos: 1 });
  await client.endAsync();
}

/** That the session itself is not lost is no part of the trial: SIGUSR1 saves it. */
async function saveNow(server: RunningService): Promise<void> {
  process.kill(server.pid!, 'SIGUSR1');
  await eventually(() => stat(join(server.folder, 'data', 'mosquitto.db')));
}

async function countBack(url: string): Promise<number> {
  const client = mqtt.connect(url, session);
  const back = new Set<unknown>();
  let heardAt = performance.now();
  client.on('error', () => {});
  client.on('message', (_topic, payload) => {
    back.add(JSON.parse(payload.toString()).seq);
    heardAt = performance.now();
  });
  while (performance.now() - heardAt < quietMs) await sleep(100);
  await client.endAsync(true);
  return back.size;
}

async function publishAll(
  url: string,
  messages: number,
): Promise<{ acknowledged: number; payloadBytes: number }> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 });
  let acknowledged = 0;
  let payloadBytes = 0;
  let next = 1;
  const sendOn = async (): Promise<void> => {
    while (next <= messages) {
      const seq = next++;
      const reading = { seq, temperature: 20 + (seq % 100) / 10, humidity: 40 + (seq % 30) };
      const payload = JSON.stringify({ ...reading, note: 'x'.repeat(60) });
      payloadBytes += payload.length;
      await client.publishAsync(`sensors/d${seq % 10}/climate`, payload, { qos: 1 });
      acknowledged++;
    }
  };
  await Promise.all(Array.from({ length: windowMessages }, sendOn));
  await client.endAsync(true);
  return { acknowledged, payloadBytes };
}

/** `wchar` would count sockets too; `write_bytes` is what went towards the disk. */
async function writtenBy(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  return Number(/^write_bytes: (\d+)/m.exec(text)?.[1] ?? 0);
}
