/** An edge node as it is sold, on the gateway's own broker: asked for its birth, heard, gone. */
import { rm } from 'node:fs/promises';
import { connectAsync } from 'mqtt';
import { expect, test } from 'vitest';
import { brokerOptions } from '../../src/broker/options.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { startGateway } from '../../src/gateway.ts';
import type { Entry } from '../../src/log/log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createBrokerSource } from '../../src/source/mqtt-broker.ts';
import { libraryBytes, payloadType } from '../codec/sparkplug-schema.ts';
import { readAll } from '../log/opened.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

async function open(folder: string) {
  const doors = {
    ...{ clock: createSystemClock(), random: systemRandom, logger: silentLogger },
    ...{ metrics: createMetrics(), secrets: openSecrets(folder), version: '0' },
  };
  const listeners = [{ port: 0, host: '127.0.0.1' }];
  const broker = createBrokerSource(brokerOptions.parse({ listeners }), {
    ...doors,
    gateway: 'gw',
  });
  const codec = { kind: 'sparkplug', hostId: 'tidegate' };
  const gateway = await startGateway({
    ...{ ...doors, id: 'gw', disk: createFileDisk(folder) },
    log: { maxBytes: 64 * 2 ** 20, whenFull: 'dropOldest', commitDelayMs: 0 },
    mappings: [ingestMappingOptions.parse({ topic: 'spBv1.0/#', codec })],
    ...{ sources: [broker], rules: [], sinks: [], publish: () => {}, status: {} },
    ...{ heartbeatMs: 10_000, onBeat: () => {} },
  });
  await gateway.opened;
  return { gateway, url: `mqtt://127.0.0.1:${broker.addresses[0]!.port}` };
}

const facts = (entries: readonly Entry[]) =>
  entries.flatMap((entry) =>
    entry.type === 'reading' ? [[entry.subject, entry.data.fields]] : [],
  );

test('a node that was there before the gateway is asked for its birth, and hears who its host is', async () => {
  const folder = await temporaryFolder('sparkplug');
  const { gateway, url } = await open(folder);
  const time = Date.now();
  const metric = { name: 'speed', alias: 4, datatype: 3, int_value: 1480 };
  const bdSeq = { name: 'bdSeq', datatype: 8, long_value: 3 };
  const birth = libraryBytes({ timestamp: time, seq: 0, metrics: [bdSeq, metric] });
  const death = Buffer.from(libraryBytes({ metrics: [bdSeq] }));
  const will = { topic: 'spBv1.0/plant/NDEATH/press', payload: death, qos: 1 as const };
  const node = await connectAsync(url, { will: { ...will, retain: false } });
  const watcher = await connectAsync(url);
  try {
    const asked: unknown[] = [];
    const states: string[] = [];
    node.on('message', (topic, payload) => {
      if (topic.startsWith('spBv1.0/STATE/')) states.push(payload.toString());
      else {
        asked.push(payloadType.toObject(payloadType.decode(payload), { longs: Number }));
        node.publish('spBv1.0/plant/NBIRTH/press', Buffer.from(birth));
      }
    });
    watcher.on('message', (_, payload) => states.push(payload.toString()));
    await node.subscribeAsync(['spBv1.0/plant/NCMD/press', 'spBv1.0/STATE/tidegate'], { qos: 1 });
    await eventually(() => expect(states.map((text) => JSON.parse(text).online)).toEqual([true]));

    const data = libraryBytes({
      timestamp: time,
      seq: 9,
      metrics: [{ alias: 4, int_value: 1500 }],
    });
    await node.publishAsync('spBv1.0/plant/NDATA/press', Buffer.from(data), { qos: 1 });
    await eventually(async () => {
      expect(facts(await readAll(gateway.log))).toEqual([
        ['press', { online: true }],
        ['press', { speed: 1480 }],
      ]);
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      metrics: [{ name: 'Node Control/Rebirth', boolean_value: true }],
    });
    const kept = (await readAll(gateway.log)).find(({ type }) => type === 'undecodable');
    expect(kept?.data).toMatchObject({ codec: 'sparkplug', topic: 'spBv1.0/plant/NDATA/press' });

    node.stream.destroy();
    await eventually(async () => {
      expect(facts(await readAll(gateway.log)).at(-1)).toEqual(['press', { online: false }]);
    });
    await watcher.subscribeAsync('spBv1.0/STATE/tidegate', { qos: 1 });
    await gateway.stop(1_000);
    await eventually(() => expect(JSON.parse(states.at(-1)!).online).toBe(false));
  } finally {
    await node.endAsync(true);
    await watcher.endAsync(true);
    await gateway.stop(0);
    await rm(folder, { recursive: true });
  }
});
