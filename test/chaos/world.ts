/**
 * Everything there is in a run:
 *
 *   fleet ─▶ wire ─▶ gateway ─▶ wire ─▶ InfluxDB
 *                        │    └─▶ wire ─▶ Mosquitto ─▶ listener
 *                        ├─▶ archive (files)
 *                        └─ its data, on a disk that can be cut, filled and damaged
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seededRandom } from '../../src/platform/random.ts';
import { available, temporaryFolder } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';
import { type Mosquitto, startMosquitto } from '../services/mosquitto.ts';
import { type Books, createBooks, type Span } from './books.ts';
import { type Listener, openListener } from './far-sides.ts';
import { type Faults, faultsImpossible, openFaults } from './fault.ts';
import { createGatewayProcess, type GatewayProcess } from './gateway.ts';
import { type Image, imageImpossible, openImage } from './image.ts';
import type { ChaosOptions } from './options.ts';
import { openWire, type Wire } from './wire.ts';

export interface World {
  readonly folder: string;
  readonly archive: string;
  readonly random: { next(): number };
  readonly gateway: GatewayProcess;
  readonly books: Books;
  readonly wires: { readonly devices: Wire; readonly influx?: Wire; readonly cloud?: Wire };
  readonly influx?: InfluxDb;
  readonly cloud?: Mosquitto;
  readonly listener?: Listener;
  readonly image?: Image;
  readonly faults?: Faults;
  /** Sets the wall clock of the gateway so many seconds off. */
  readonly setClock?: (offsetSeconds: number) => Promise<void>;
  /** What cannot be done on this machine, and why. */
  readonly impossible: readonly string[];
  /** Positions that were damaged on purpose, and the files they were in. */
  readonly damaged: (Span & { readonly path: string })[];
  /** Whether a full disk may have made the gateway give up what a reader had not seen. */
  evicted: boolean;
  /** While the gateway is meant to be down, or may end. */
  mayEnd: boolean;
  /** Ends of the gateway that nobody had asked for. */
  readonly crashes: string[];
  close(): Promise<void>;
}

const faketime = ['x86_64', 'aarch64', 'arm', 'i386']
  .map((machine) => (machine === 'arm' ? 'arm-linux-gnueabihf' : `${machine}-linux-gnu`))
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

export async function openWorld(options: ChaosOptions): Promise<World> {
  const folder = await temporaryFolder('chaos');
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const closing = <T>(opened: T, close: (it: T) => Promise<unknown>): T => {
    closers.push(() => close(opened));
    return opened;
  };
  const close = async (): Promise<void> => {
    for (const each of closers.reverse()) await each().catch(() => {});
  };
  try {
    const impossible: string[] = [];
    const noImage = imageImpossible();
    if (noImage !== undefined) impossible.push(`power cuts and full disks: ${noImage}`);
    const image =
      noImage === undefined ? closing(await openImage(folder, 96), (it) => it.close()) : undefined;
    const dataDir = join(image?.folder ?? folder, 'data');
    await mkdir(dataDir, { recursive: true });
    const noFaults = faultsImpossible();
    if (noFaults !== undefined) impossible.push(`faults of the disk: ${noFaults}`);
    const faults =
      noFaults === undefined
        ? closing(await openFaults(folder, dataDir), (it) => it.close())
        : undefined;
    if (faketime === undefined) impossible.push('clock jumps: libfaketime is not installed');
    const clockFile = join(folder, 'clock');
    await writeFile(clockFile, '+0\n');

    const influx = available('influxd')
      ? closing(await startInfluxDb(), (it) => it.stop())
      : undefined;
    const cloud = available('mosquitto')
      ? closing(await startMosquitto({ lines: ['max_queued_messages 0'] }), (it) => it.stop())
      : undefined;
    const listener = cloud && closing(await openListener(cloud), (it) => it.close());
    const proxied = async (port: number): Promise<Wire> =>
      closing(await openWire(port), (it) => it.close());
    const influxWire = influx && (await proxied(Number(new URL(influx.url).port)));
    const cloudWire = cloud && (await proxied(cloud.port));
    if (influx === undefined) impossible.push('InfluxDB: influxd is not installed');
    if (cloud === undefined) impossible.push('an upstream broker: mosquitto is not installed');

    const archive = join(folder, 'archive');
    const gateway = closing(
      await createGatewayProcess({
        folder,
        dataDir,
        settings: settingsOf(archive, influxWire, cloudWire),
        environment: environmentOf(faults, options.only.includes('clock') ? clockFile : undefined),
        readyMaxMs: 60_000,
      }),
      async (it) => {
        await it.kill();
        await removeClockLeftovers();
      },
    );
    const devices = await proxied(gateway.port);
    const mayJump = faketime !== undefined && options.only.includes('clock');
    return {
      folder,
      archive,
      random: seededRandom(options.seed),
      gateway,
      books: closing(createBooks(), (it) => it.close()),
      wires: {
        devices,
        ...(influxWire && { influx: influxWire }),
        ...(cloudWire && { cloud: cloudWire }),
      },
      ...(influx && { influx }),
      ...(cloud && { cloud }),
      ...(listener && { listener }),
      ...(image && { image }),
      ...(faults && { faults }),
      ...(mayJump && {
        setClock: (seconds: number) =>
          writeFile(clockFile, `${seconds < 0 ? '' : '+'}${seconds}\n`),
      }),
      impossible,
      damaged: [],
      evicted: false,
      mayEnd: false,
      crashes: [],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** As little log as there can be, so that retention has something to do. */
function settingsOf(archive: string, influx?: Wire, cloud?: Wire): string {
  const retry = 'retry: { minMs: 100, maxMs: 1000 }';
  const sinks = [`  archive: { kind: file, path: '${archive}', ${retry} }`];
  if (influx !== undefined) {
    const url = `http://127.0.0.1:${influx.port}`;
    sinks.push(`  influx: { kind: influxdb, url: '${url}', database: sensors, ${retry} }`);
  }
  if (cloud !== undefined) {
    const topic = 'gateways/{gateway}/{type}/{device}';
    const url = `mqtt://127.0.0.1:${cloud.port}`;
    sinks.push(`  cloud: { kind: mqtt, url: '${url}', topic: '${topic}', ${retry} }`);
  }
  return `log: { maxBytes: 16MiB, whenFull: dropOldest }
ingest:
  - topic: 'sensors/{device}/{measurement}'
    codec: json
    time: { path: ts, unit: ms }
    identity: [boot, seq]
rules:
  overheat: { kind: threshold, field: temperature, above: 30, clearBelow: 28, severity: warning }
sinks:
${sinks.join('\n')}
`;
}

function environmentOf(faults: Faults | undefined, clockFile: string | undefined) {
  const preloads: string[] = [];
  if (faults !== undefined) preloads.push(faults.environment.LD_PRELOAD!);
  if (faketime !== undefined && clockFile !== undefined) preloads.push(faketime);
  return {
    ...faults?.environment,
    ...(preloads.length > 0 && { LD_PRELOAD: preloads.join(':') }),
    ...(clockFile !== undefined && {
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    }),
  };
}

/** A killed process leaves the shared memory of libfaketime behind. */
async function removeClockLeftovers(): Promise<void> {
  for (const name of await readdir('/dev/shm').catch(() => [])) {
    const pid = /^(?:sem\.)?faketime_(?:shm|sem)_(\d+)$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    await rm(join('/dev/shm', name), { force: true });
  }
}

/** What the gateway takes of the machine; undefined while it is not there. */
export async function footprintOf(
  pid: number | undefined,
): Promise<{ readonly rssMib: number; readonly descriptors: number } | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const rssMib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
    return { rssMib, descriptors: (await readdir(`/proc/${pid}/fd`)).length };
  } catch {
    return undefined;
  }
}
