/** What the broker benchmark measures, each as a process of its own. Prints the port. */
import { closeSync, fdatasync, openSync, write } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Aedes } from 'aedes';
import { brokerOptions } from '../../src/broker/options.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createIngest } from '../../src/flow/ingest.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createBrokerSource } from '../../src/source/mqtt-broker.ts';
import type { Ingest } from '../../src/source/source.ts';

export const serverRoles = ['aedes', 'broker', 'gateway'] as const;
export type ServerRole = (typeof serverRoles)[number];

async function serveAedes(): Promise<number> {
  const broker = await Aedes.createBroker();
  const server = createServer({ noDelay: true }, (socket) => void broker.handle(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** The least that makes a message durable: one write and one sync for all that wait. */
function groupCommit(folder: string): Ingest {
  const file = openSync(join(folder, 'payloads'), 'a');
  process.once('exit', () => closeSync(file));
  const writeOut = promisify(write) as (file: number, bytes: Buffer) => Promise<unknown>;
  const sync = promisify(fdatasync);
  let waiting: Uint8Array[] = [];
  let next: Promise<void> | undefined;
  let under: Promise<void> = Promise.resolve();
  const commit = async (): Promise<void> => {
    await under;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    next = undefined;
    under = writeOut(file, bytes).then(() => sync(file));
    await under;
  };
  return async (messages) => {
    for (const { payload } of messages) waiting.push(payload);
    next ??= commit();
    await next;
  };
}

async function serveBroker(folder: string, withLog: boolean): Promise<number> {
  const parts = {
    gateway: 'bench',
    version: '0',
    clock: createSystemClock(),
    random: systemRandom,
    logger: silentLogger,
    metrics: createMetrics(),
    secrets: openSecrets(folder),
  };
  let ingest = groupCommit(folder);
  if (withLog) {
    const log = await openEventLog(
      { ...parts, disk: createFileDisk(folder), readers: () => [] },
      { maxBytes: 2 ** 28, whenFull: 'dropOldest', commitDelayMs: 0 },
    );
    const mappings = [
      ingestMappingOptions.parse({ topic: 'sensors/{device}/{measurement}', codec: 'json' }),
    ];
    ingest = createIngest({ ...parts, source: 'broker', mappings, log });
  }
  const source = createBrokerSource(
    brokerOptions.parse({ listeners: [{ port: 0 }], limits: { messagesPerSecond: 0 } }),
    parts,
  );
  await new Promise<void>((resolve, reject) => {
    source.run(ingest, new AbortController().signal, resolve).catch(reject);
  });
  return source.addresses[0]!.port;
}

async function serve(role: ServerRole, folder: string): Promise<void> {
  const port = await (role === 'aedes' ? serveAedes() : serveBroker(folder, role === 'gateway'));
  process.stdout.write(`${port}\n`);
  process.once('SIGTERM', () => process.exit(0));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await serve(process.argv[2] as ServerRole, process.argv[3]!);
}
