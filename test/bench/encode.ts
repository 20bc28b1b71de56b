/**
 * What an event costs on its way out: nanoseconds to write it as a line of InfluxDB or as JSON, and
 * how many points a real InfluxDB takes in a second.
 *
 *   npm run build && node dist/test/bench/encode.js
 */
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { InfluxDB } from 'influx';
import {
  toCloudEventsBatch,
  toCloudEventsJson,
  typeNameOf,
} from '../../src/event/cloudevents-json.ts';
import type { CloudEvent } from '../../src/event/event.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { influxdbKind } from '../../src/sink/influxdb.ts';
import { createLineEncoder } from '../../src/sink/line-protocol.ts';
import { available } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';

type Print = (line: string) => void;

const count = 5_000;
const rounds = 15;
const start = 1_795_000_000_000;

/** As the log hands them out: from 100 devices, a few in each millisecond. */
function readings(from: number): CloudEvent<'reading'>[] {
  return Array.from({ length: count }, (_, n) => ({
    type: 'reading' as const,
    id: `01jd000000000000000${from + n}`,
    source: '/gateways/greenhouse-pi/broker',
    subject: `gh-${n % 100}`,
    time: start + Math.floor((from + n) / 4),
    recordedTime: start + 3 + Math.floor((from + n) / 4),
    data: {
      measurement: 'climate',
      tags: { site: 'north' },
      fields: { temperature: 20 + (n % 200) / 10, humidity: 40 + (n % 50) },
    },
    position: from + n,
  }));
}

/** Nanoseconds per event, the best of some rounds: others share the machine. */
async function nsPerEvent(step: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    const made = step();
    if (made instanceof Promise) await made;
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / count);
  }
  return best;
}

export async function run(print: Print): Promise<void> {
  const events = readings(1);
  const pack = promisify(gzip);
  const encode = createLineEncoder({
    deviceTag: 'device',
    tags: {},
    alertMeasurement: 'alert',
    precision: 'ns',
  });
  const lines = (): Buffer => {
    let text = '';
    for (const event of events) text += `${encode(event).line}\n`;
    return Buffer.from(text);
  };
  // What one would write without a format of one's own; dates made by the calendar.
  const plain = () =>
    JSON.stringify(
      events.map(({ id, source, type, subject, time, recordedTime, data }) => ({
        ...{ specversion: '1.0', id, source, type: typeNameOf(type), subject },
        time: new Date(time).toISOString(),
        recordedtime: new Date(recordedTime).toISOString(),
        data,
      })),
    );
  const objects = events.map(toCloudEventsJson);
  const report = async (name: string, step: () => unknown) =>
    print(
      `${name.padEnd(52)} ${Math.round(await nsPerEvent(step))
        .toString()
        .padStart(6)} ns/event`,
    );
  await report('line protocol, as bytes', lines);
  await report('line protocol, as bytes, and gzip level 1', () => pack(lines(), { level: 1 }));
  await report('CloudEvents JSON batch, as bytes', () => Buffer.from(toCloudEventsBatch(events)));
  await report('the same by JSON.stringify of objects made for it', () => Buffer.from(plain()));
  await report('the same by JSON.stringify of objects that are there', () =>
    Buffer.from(JSON.stringify(objects)),
  );
  if (available('influxd')) await writing(print);
}

/** Batches of 5,000 points, one after the other, to the same server by both ways in turn. */
async function writing(print: Print): Promise<void> {
  const influx = await startInfluxDb();
  try {
    const signal = new AbortController().signal;
    const connection = await influxdbKind
      .create(influxdbKind.options.parse({ url: influx.url, database: 'ours' }), {
        name: 'bench',
        gateway: 'bench',
        version: '0',
        clock: createSystemClock(),
        random: systemRandom,
        logger: silentLogger,
        secrets: openSecrets('.'),
      })
      .connect(signal);
    const library = await libraryOf(influx);
    const seconds = { ours: 0, theirs: 0 };
    const batches = 20;
    for (let batch = 0; batch < batches; batch++) {
      const events = readings(batch * count);
      let begin = performance.now();
      await connection.deliver(events, signal);
      seconds.ours += (performance.now() - begin) / 1_000;
      begin = performance.now();
      await library(events);
      seconds.theirs += (performance.now() - begin) / 1_000;
    }
    await connection.close();
    const rate = (took: number) =>
      `${Math.round((batches * count) / took / 1_000)} thousand points/s`;
    print(`into InfluxDB 1.6: the sink ${rate(seconds.ours)}`);
    print(`into InfluxDB 1.6: writePoints of the package influx ${rate(seconds.theirs)}`);
  } finally {
    await influx.stop();
  }
}

async function libraryOf({ url }: InfluxDb) {
  const { hostname, port } = new URL(url);
  const client = new InfluxDB({ host: hostname, port: Number(port), database: 'theirs' });
  await client.createDatabase('theirs');
  return async (events: readonly CloudEvent<'reading'>[]) =>
    await client.writePoints(
      events.map(({ subject, time, data: { measurement, tags, fields } }) => ({
        measurement,
        tags: { ...tags, device: subject },
        fields: fields as Record<string, number>,
        timestamp: time,
      })),
      { precision: 'ms' },
    );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run((line) => process.stdout.write(`${line}\n`));
}
