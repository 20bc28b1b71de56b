import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { createAccess } from '../../src/broker/access.ts';
import { defaultBounds } from '../../src/broker/bounds.ts';
import { openBroker } from '../../src/broker/broker.ts';
import { brokerOptions } from '../../src/broker/options.ts';
import { Retained } from '../../src/broker/retained.ts';
import { Sessions } from '../../src/broker/sessions.ts';
import { Verifier } from '../../src/broker/verifier.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';

/** The far side of a connection without a network: what is fed arrives, what is written is gone. */
class MemorySocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  bytesRead = 0;
  bytesWritten = 0;

  constructor() {
    super({ allowHalfOpen: false });
  }

  /** Sends this, and nothing more. */
  feed(bytes: Buffer): void {
    this.bytesRead += bytes.length;
    this.push(bytes);
    this.push(null);
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.bytesWritten += bytes.length;
    done();
  }

  destroySoon(): void {
    this.end(() => this.destroy());
  }
}

/** A broker with the limits it has by default, that takes connections over TCP and from memory. */
export async function openAttackedBroker() {
  const clock = createSystemClock();
  const random = seededRandom(7);
  const metrics = createMetrics();
  const errors: unknown[] = [];
  const quiet = (): void => {};
  const logger: Logger = {
    error: (fields, message) => void errors.push([message, fields]),
    ...{ warn: quiet, info: quiet, debug: quiet },
  };
  const { limits } = brokerOptions.parse({});
  const bounds = defaultBounds;
  const dropped = (reason: string, messages = 1): void =>
    metrics.brokerDropped.inc({ reason }, messages);
  const sessions = new Sessions({
    ...{ ...limits, bounds, now: clock.monotonic, lost: dropped },
    rest: () => clock.sleep(0),
    failed: (error) => void errors.push(error),
  });
  const retained = new Retained(bounds, clock.monotonic, () => dropped('retained_full'));
  const verifier = new Verifier({ clock, random });
  const broker = await openBroker({
    ...{ limits, bounds, verifier, version: '1.2.3', sysIntervalMs: 0 },
    ...{ clock, random, logger, metrics, sessions, retained, ingest: async () => {} },
  });
  const { packetBytes } = limits;
  const door = { name: 'memory', access: createAccess({ anonymous: true }, verifier), packetBytes };
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', quiet);
    if (broker.admit(socket, door)) broker.connected(socket, door);
    else socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    errors,
    sessions,
    retained,
    port: (server.address() as { port: number }).port,
    get clients(): number {
      return broker.clients.count;
    },
    /** Resolves when the connection, on which this was sent, is closed. */
    async attack(bytes: Buffer): Promise<void> {
      const socket = new MemorySocket();
      const closed = new Promise<void>((resolve) => socket.once('close', resolve));
      socket.on('error', quiet);
      broker.connected(socket as unknown as Socket, door);
      // The stream begins to flow in a moment; who would end it before that would end it for good.
      process.nextTick(() => socket.feed(bytes));
      await closed;
    },
    /** Refusals so far, and the clauses they were for. */
    async refused(): Promise<{ readonly count: number; readonly clauses: number }> {
      const { values } = await metrics.brokerRefused.get();
      const count = values
        .filter(({ labels }) => labels.clause !== undefined)
        .reduce((sum, { value }) => sum + value, 0);
      return { count, clauses: new Set(values.map(({ labels }) => labels.clause)).size };
    },
    async close(): Promise<void> {
      server.close();
      await broker.close();
    },
  };
}
