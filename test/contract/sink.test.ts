import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { describe } from 'vitest';
import { fromCloudEventsBatch, fromCloudEventsJson } from '../../src/event/cloudevents-json.ts';
import { createConsoleSink } from '../../src/sink/console.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { readingOf } from '../event/events.ts';
import { available, temporaryFolder } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { createSimSink, type SimSinkMood } from '../sim/sink.ts';
import { startHttpReceiver } from '../sink/http-receiver.ts';
import { sinkOf, sinkParts } from '../sink/parts.ts';
import { type FarSide, numberOf, sinkContract } from './sink.ts';

sinkContract(
  'sim',
  async () => {
    const sink = createSimSink('sim', { depth: 2 });
    const become = (mood: SimSinkMood) => async () => {
      sink.mood = mood;
    };
    return {
      sink,
      taken: async () => sink.taken.map(numberOf),
      gone: become('refuses'),
      back: become('works'),
      hang: become('hangs'),
      resume: become('works'),
      stop: async () => {},
    };
  },
  { refuses: 'its mood rejects-first is about places, not events' },
);

describe.skipIf(!available('influxd'))('with InfluxDB 1.6', () => {
  sinkContract('influxdb', async () => {
    const influx = await startInfluxDb();
    const options = { version: 1, url: influx.url, database: 'contract' };
    return {
      sink: sinkOf(sinkKinds.influxdb, options),
      taken: async () => {
        const rows = await influx.rows('contract', 'climate');
        return rows.map(({ n }) => Number(n));
      },
      refused: (n) =>
        readingOf({
          id: `bad-${n}`,
          data: { measurement: 'climate', tags: {}, fields: { n: 'a text' } },
        }),
      gone: async () => await influx.kill(),
      back: async () => await influx.restart(),
      hang: async () => influx.pause(),
      resume: async () => influx.resume(),
      stop: async () => await influx.stop(),
    };
  });
});

describe.skipIf(!available('mosquitto'))('with Mosquitto', () => {
  for (const version of [4, 5] as const) {
    sinkContract(`mqtt, version ${version}`, () => startBroker(version));
  }
});

async function startBroker(version: 4 | 5): Promise<FarSide> {
  const broker = await startMosquitto({
    lines: ['max_packet_size 20000', 'max_queued_messages 0'],
  });
  const taken: number[] = [];
  let subscriber: MqttClient | undefined;
  const subscribe = async (): Promise<void> => {
    subscriber = await connectAsync(broker.url, { reconnectPeriod: 0, protocolVersion: 5 });
    subscriber.on('message', (topic, payload) => {
      if (!topic.endsWith('/status')) taken.push(numberOf(fromCloudEventsJson(`${payload}`)));
    });
    subscriber.on('error', () => undefined);
    await subscriber.subscribeAsync('gateways/#', { qos: 1 });
  };
  await subscribe();
  // Version 3.1.1 has no way to tell us.
  const packetBytes = version === 4 ? 20_000 : undefined;
  return {
    sink: sinkOf(sinkKinds.mqtt, { url: broker.url, version, ...(packetBytes && { packetBytes }) }),
    taken: async () => taken,
    refused: (n) =>
      readingOf({
        id: `bad-${n}`,
        data: { measurement: 'climate', tags: {}, fields: { long: 'x'.repeat(20_000) } },
      }),
    gone: async () => {
      await subscriber?.endAsync(true);
      await broker.kill();
    },
    back: async () => {
      await broker.restart();
      await subscribe();
    },
    hang: async () => broker.pause(),
    resume: async () => broker.resume(),
    stop: async () => {
      await subscriber?.endAsync(true);
      await broker.stop();
    },
  };
}

sinkContract('http', async () => {
  const receiver = await startHttpReceiver();
  const hanging = (yes: boolean) => async () => {
    receiver.isHanging = yes;
  };
  const taken: number[] = [];
  receiver.answer = ({ text }) => {
    const events = fromCloudEventsBatch(text);
    if (events.some(({ id }) => id.startsWith('bad'))) return { status: 422, text: 'That is bad.' };
    taken.push(...events.map(numberOf));
    return { status: 202 };
  };
  return {
    sink: sinkOf(sinkKinds.http, { url: `${receiver.url}/hook` }),
    taken: async () => taken,
    refused: (n) => readingOf({ id: `bad-${n}` }),
    gone: async () => await receiver.gone(),
    back: async () => await receiver.back(),
    hang: hanging(true),
    resume: hanging(false),
    stop: async () => await receiver.gone(),
  };
});

sinkContract(
  'file',
  async () => {
    const folder = await temporaryFolder('archive');
    const path = join(folder, 'archive');
    const aside = join(folder, 'aside');
    return {
      // A file for each batch, so that a missing folder is noticed.
      sink: sinkOf(sinkKinds.file, { path, rotateSize: 1 }, sinkParts()),
      taken: async () => {
        const names = (await readdir(path)).sort();
        const texts = await Promise.all(names.map((name) => readFile(join(path, name), 'utf8')));
        const lines = texts.join('').split('\n').slice(0, -1);
        return lines.map((line) => numberOf(fromCloudEventsJson(line)));
      },
      gone: async () => {
        await rename(path, aside);
        await writeFile(path, 'not a folder');
      },
      back: async () => {
        await rm(path);
        await rename(aside, path);
      },
      stop: async () => await rm(folder, { recursive: true }),
    };
  },
  { refuses: 'a file takes every event', hangs: 'a local disk cannot be made to hang' },
);

sinkContract(
  'console',
  async () => {
    const lines: string[] = [];
    const write = async (text: string) => void lines.push(...text.split('\n').slice(0, -1));
    return {
      sink: createConsoleSink({ format: 'text' }, sinkParts(), write),
      taken: async () => lines.map((line) => Number(/ n=(\d+)/.exec(line)?.[1])),
      stop: async () => {},
    };
  },
  {
    refuses: 'a terminal takes every event',
    gone: 'see console.test.ts',
    hangs: 'see console.test.ts',
  },
);
