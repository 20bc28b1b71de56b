/**
 * A flood of packets that are wrong, beside a client that is right. In the long run ten million:
 *
 *   TIDEGATE_MALFORMED=10000000 npx vitest run test/broker/malformed.test.ts
 */
import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { eventually } from '../services/child.ts';
import {
  connectRaw,
  openTestBroker,
  publishPacket,
  type RawClient,
  type Said,
  stopAll,
} from './harness.ts';
import { Malice } from './malformed-packets.ts';

afterEach(stopAll);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const count = Number(process.env.TIDEGATE_MALFORMED ?? 200_000);
const isLongRun = count > 200_000;
/** Packets on one connection; most connections end before they are all read. */
const perConnection = 32;
const attackers = 24;
const honestMaxMs = 100;
const perHour = 3_600_000;

/** Sends what it was given, and resolves when the broker has closed the connection. */
async function attack(port: number, opening: Buffer, packets: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => {});
    // What is not wrong enough to be refused ends like this.
    socket.end(Buffer.concat([opening, packets]));
  });
}

/** Round trips without a break, and the time of the longest. */
function startHonest(client: RawClient) {
  let worst = 0;
  let worstCpu = 0;
  let trips = 0;
  let isDisturbed = false;
  let over = false;
  const work = (async () => {
    for (let id = 1; !over; id = 1 + (id % 65_535)) {
      const start = performance.now();
      const cpu = process.cpuUsage();
      client.send(publishPacket('honest/a', `${id}`, 1, id));
      await client.next('puback');
      const { user, system } = process.cpuUsage(cpu);
      if (!isDisturbed) {
        worst = Math.max(worst, performance.now() - start);
        worstCpu = Math.max(worstCpu, (user + system) / 1000);
      }
      isDisturbed = false;
      trips += 1;
      client.received.length = 0;
      // An honest client leaves the attackers, which share its thread, room to attack.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  return {
    get worst() {
      return worst;
    },
    /** What the process worked meanwhile: of a busy machine, the part that is its own. */
    get worstCpu() {
      return worstCpu;
    },
    /** The test itself is about to hold up everything: the trip under way says nothing. */
    disturb(): void {
      isDisturbed = true;
    },
    get trips() {
      return trips;
    },
    async stop(): Promise<void> {
      over = true;
      await work;
    },
  };
}

function heapBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test(`an honest client works on beside ${count} packets that are wrong, and memory does not grow (seed ${seed})`, {
  timeout: isLongRun ? perHour : 120_000,
}, async () => {
  const broker = await openTestBroker({
    ingest: async () => {},
    // What may be kept of sessions, queues and retained messages is soon there.
    options: { limits: { connections: 30, queuedMessages: 20 } },
    bounds: { retainedMessages: 500 },
  });
  const honest = startHonest(await connectRaw(broker.port, 4, { id: 'honest' }));
  const malice = new Malice(seededRandom(seed));
  let sent = 0;
  let next = 0;
  const attackUpTo = async (goal: number): Promise<void> => {
    const one = async (): Promise<void> => {
      while (sent < goal) {
        sent += perConnection;
        const level = ([3, 4, 5, 5] as const)[malice.below(4)]!;
        next = (next + 1) % 500;
        const packets = malice.packets(level, perConnection - 1);
        await attack(broker.port, malice.opening(level, `evil-${next}`), packets);
      }
    };
    await Promise.all(Array.from({ length: attackers }, one));
  };
  // By then everything is compiled, every session, topic and label is there that will be.
  await attackUpTo(count / 4);
  broker.said.length = 0;
  honest.disturb();
  const before = heapBytes();
  const rssBefore = process.memoryUsage().rss;
  const start = performance.now();
  const heaps: string[] = [];
  const errors: Said[] = [];
  for (const part of [0.5, 0.75, 1]) {
    await attackUpTo(count * part);
    errors.push(...broker.said.filter(({ level }) => level === 'error'));
    broker.said.length = 0;
    honest.disturb();
    heaps.push(`${((heapBytes() - before) / 1e6).toFixed(1)}`);
  }
  const seconds = (performance.now() - start) / 1000;
  await honest.stop();
  await eventually(() => expect(broker.source.clients).toBe(1));
  const grown = heapBytes() - before;
  const resident = process.memoryUsage().rss - rssBefore;
  const { values } = await broker.metrics.brokerRefused.get();
  const refused = values.reduce((sum, { value }) => sum + value, 0);
  const clauses = new Set(values.map(({ labels }) => labels.clause));
  console.log(
    `${count} packets (seed ${seed}): ${((count * 0.75) / seconds).toFixed(0)}/s, ` +
      `${refused} connections refused for ${clauses.size} clauses, ${honest.trips} honest round trips, the longest ` +
      `${honest.worst.toFixed(1)} ms (${honest.worstCpu.toFixed(1)} ms of work), heap ${heaps.join(', ')} MB more after a half, three quarters, all; ` +
      `resident ${(resident / 1e6).toFixed(1)} MB more`,
  );
  expect(errors).toEqual([]);
  expect(honest.trips).toBeGreaterThan(count / 10_000);
  expect(clauses.size).toBeGreaterThan(40);
  expect(grown).toBeLessThan(16e6);
  expect(resident).toBeLessThan(200e6);
  if (isLongRun) expect(honest.worst).toBeLessThan(honestMaxMs);
  const late = await connectRaw(broker.port, 5, { id: 'late' });
  late.send(publishPacket('late/a', 'x', 1, 1));
  await late.next('puback');
});
