/**
 * What a kept session costs on the disk: bytes and writes for each message that it wants, beside what
 * the reading alone takes.
 *
 *   npm run build && node dist/test/bench/sessions.js
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { connectAsync } from 'mqtt';
import { brokerOptions } from '../../src/broker/options.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { startGateway } from '../../src/gateway.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createBrokerSource } from '../../src/source/mqtt-broker.ts';

type Print = (line: string) => void;

const messages = 20_000;
const underWay = 200;
const modes = ['nobody', 'away', 'there'] as const;

export async function run(print: Print): Promise<void> {
  print(`QoS 1, 120 bytes of JSON, ${underWay} under way; load ${loadavg()[0]!.toFixed(1)}`);
  for (const mode of modes) {
    const { bytes, perSecond } = await measure(mode);
    print(
      `kept session ${mode.padEnd(7)} ${bytes.toFixed(1)} B/message  ${perSecond.toFixed(0)}/s`,
    );
  }
}

async function measure(mode: (typeof modes)[number]) {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-sessions-'));
  const metrics = createMetrics();
  const doors = {
    ...{ clock: createSystemClock(), random: systemRandom, logger: silentLogger, metrics },
    secrets: openSecrets('.'),
  };
  const limits = { messagesPerSecond: 0, queuedMessages: messages };
  const broker = createBrokerSource(brokerOptions.parse({ listeners: [{ port: 0 }], limits }), {
    ...{ ...doors, gateway: 'bench', version: '0' },
  });
  const gateway = await startGateway({
    ...{ ...doors, id: 'bench', disk: createFileDisk(folder), sources: [broker] },
    log: { maxBytes: 2 ** 30, whenFull: 'dropOldest', commitDelayMs: 0 },
    mappings: [ingestMappingOptions.parse({ topic: 'site/{device}', codec: 'json' })],
    ...{ rules: [], sinks: [], publish: () => {}, status: {} },
    ...{ heartbeatMs: 10_000, onBeat: () => {} },
  });
  await gateway.opened;
  const url = `mqtt://127.0.0.1:${broker.addresses[0]!.port}`;
  let got = 0;
  const subscriber = await connectAsync(url, { clientId: 'sub', clean: mode === 'nobody' });
  if (mode !== 'nobody') await subscriber.subscribeAsync('site/#', { qos: 1 });
  subscriber.on('message', () => {
    got += 1;
  });
  if (mode !== 'there') await subscriber.endAsync();
  const written = async () => (await metrics.writtenBytes.get()).values[0]!.value;
  const publisher = await connectAsync(url, { clientId: 'pub' });
  await sleep(1_500);
  const before = await written();
  const start = performance.now();
  let sent = 0;
  const text = JSON.stringify({
    temperature: 21.53,
    humidity: 40,
    pressure: 1013.25,
    status: 'ok',
  });
  const note = 'x'.repeat(120 - text.length - 10);
  const payload = `${text.slice(0, -1)},"note":"${note}"}`;
  const work = async () => {
    while (sent < messages)
      await publisher.publishAsync(`site/d${sent++ % 100}`, payload, { qos: 1 });
  };
  await Promise.all(Array.from({ length: underWay }, work));
  while (mode === 'there' && got < messages) await sleep(5);
  const seconds = (performance.now() - start) / 1_000;
  await publisher.endAsync();
  if (mode === 'there') await subscriber.endAsync();
  await sleep(1_500);
  const bytes = ((await written()) - before) / messages;
  await gateway.stop(0);
  await rm(folder, { recursive: true, force: true });
  return { bytes, perSecond: messages / seconds };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run((line) => process.stdout.write(`${line}\n`));
}
