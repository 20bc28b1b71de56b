import { brokerOptions } from '../../src/broker/options.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { type BrokerSource, createBrokerSource } from '../../src/source/mqtt-broker.ts';
import type { Ingest, Message } from '../../src/source/source.ts';
import { authFiles } from '../broker/auth-files.ts';

export interface GatewayOptions {
  /** Of the broker, as in the configuration. */
  readonly options?: Record<string, unknown>;
  /** The file `users`, which the options may name. */
  readonly users?: string;
  /** The log takes nothing. */
  readonly isBroken?: boolean;
}

/** A gateway with nothing but its broker and its log on the disk. */
export interface BrokerGateway {
  readonly source: BrokerSource;
  readonly port: number;
  stop(): Promise<void>;
}

/** What was ingested goes to `messages`, whichever life of the gateway it came in. */
export async function startBrokerGateway(
  folder: string,
  clock: Clock,
  { options, users, isBroken }: GatewayOptions,
  messages: Message[],
): Promise<BrokerGateway> {
  const parts = {
    ...{ clock, random: seededRandom(7), logger: silentLogger, metrics: createMetrics() },
  };
  const source = createBrokerSource(brokerOptions.parse({ listeners: [{ port: 0 }], ...options }), {
    ...{ ...parts, gateway: 'conformance', version: '0', secrets: openSecrets(folder) },
    ...(users === undefined ? {} : { authFiles: authFiles({ users }) }),
  });
  const watched: Pick<BrokerSource, 'run'> = {
    run: async (ingest, signal, opened) =>
      await source.run(watching(ingest, messages, isBroken), signal, opened),
  };
  const gateway: Gateway = await startGateway({
    ...{ ...parts, id: 'conformance', disk: createFileDisk(folder), mappings: [] },
    log: { maxBytes: 2 ** 26, whenFull: 'dropOldest', commitDelayMs: 0 },
    sources: [Object.assign(Object.create(source), watched)],
    ...{ rules: [], sinks: [], status: {}, heartbeatMs: 10_000, waitForClockMs: 0 },
    ...{ publish: () => {}, onBeat: () => {} },
  });
  await gateway.opened;
  return { source, port: source.addresses[0]!.port, stop: async () => await gateway.stop(0) };
}

function watching(ingest: Ingest, messages: Message[], isBroken = false): Ingest {
  return async (batch) => {
    if (isBroken) throw new Error('the log has failed');
    for (const message of batch) {
      if (!message.recordOnly) messages.push({ ...message, payload: Buffer.from(message.payload) });
    }
    return await ingest(batch);
  };
}
