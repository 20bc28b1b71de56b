/**
 * A flood of packets that are wrong, beside a client that is right. Each counts once the broker has
 * refused it. In the long run ten million:
 *
 *   TIDEGATE_MALFORMED=10000000 npx vitest run test/broker/malformed.test.ts
 */
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { eventually } from '../services/child.ts';
import { connectRaw, publishPacket, stopAll } from './harness.ts';
import { openAttackedBroker } from './malformed-broker.ts';
import { type Defect, defects } from './malformed-defects.ts';
import { Malice } from './malformed-packets.ts';
import { connectBytes } from './packet-bytes.ts';

type Broker = Awaited<ReturnType<typeof openAttackedBroker>>;
type Level = 3 | 4 | 5;

const ending: (() => Promise<void>)[] = [];
afterEach(async () => {
  await stopAll();
  for (const end of ending.splice(0)) await end();
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const count = Number(process.env.TIDEGATE_MALFORMED ?? 200_000);
const isLongRun = count > 200_000;
const perHour = 3_600_000;
const attackers = 32;
/** One connection in so many comes over TCP, the others from memory. */
const overTcp = 25;
/** In the long run every round trip is faster, … */
const honestMaxMs = 100;
/** … as far as it can be judged: not where the client's own timers were so late. */
const lateMaxMs = 20;
const everyMs = 1000;
const reportEvery = 500_000;

async function openBroker(): Promise<Broker> {
  const broker = await openAttackedBroker();
  ending.push(() => broker.close());
  return broker;
}

/** Sends it over TCP, and resolves when the connection is closed. */
async function attackOverTcp(port: number, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => {});
    socket.end(bytes);
  });
}

/** A connection with that one thing wrong, behind what is right. */
function flawed({ isFirst, make }: Defect, level: Level, malice: Malice): Buffer {
  const wrong = make(level, malice);
  if (isFirst === true) return wrong;
  const flags = level === 5 ? { flags: 2 } : {};
  return Buffer.concat([connectBytes({ level, id: `evil-${malice.below(500)}`, ...flags }), wrong]);
}

/** Of two connections one has a packet with one defect, the other has packets with bytes changed. */
function hostileBytes(malice: Malice): Buffer {
  if (malice.below(2) === 0) {
    const defect = defects[malice.below(defects.length)]!;
    return flawed(defect, defect.levels[malice.below(defect.levels.length)]!, malice);
  }
  const level = ([3, 4, 5, 5] as const)[malice.below(4)]!;
  const id = `evil-${malice.below(500)}`;
  return Buffer.concat([malice.opening(level, id), malice.packets(level, 1 + malice.below(4))]);
}

interface Trips {
  readonly trips: number;
  /** Milliseconds. */
  readonly worst: number;
  /** The longest that the process of the client was itself late. */
  readonly late: number;
}

/** Round trips without a break, measured where nothing else is done. */
async function startHonest(port: number) {
  const path = fileURLToPath(new URL('./honest-client.mjs', import.meta.url));
  const child = spawn(process.execPath, [path, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  ending.push(async () => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (): Promise<Trips> => {
    child.stdin.write('\n');
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the honest client was thrown out');
    return JSON.parse(value);
  };
  await eventually(async () => expect((await ask()).trips).toBeGreaterThan(0), 10_000);
  return ask;
}

function heapBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test(`whatever one thing is wrong with a packet, it is refused (seed ${seed})`, async () => {
  const broker = await openBroker();
  const malice = new Malice(seededRandom(seed));
  const passed: string[] = [];
  let packets = 0;
  for (let round = 0; round < 5; round++) {
    for (const defect of defects) {
      for (const level of defect.levels) {
        const before = (await broker.refused()).count;
        await broker.attack(flawed(defect, level, malice));
        packets += 1;
        if ((await broker.refused()).count !== before + 1) passed.push(`${defect.name}, ${level}`);
      }
    }
  }
  expect(passed).toEqual([]);
  expect(packets).toBeGreaterThan(500);
  expect(broker.errors).toEqual([]);
});

test(`an honest client works on beside ${count} packets that are refused, and memory does not grow (seed ${seed})`, {
  timeout: isLongRun ? 4 * perHour : 600_000,
}, async () => {
  const broker = await openBroker();
  const honest = await startHonest(broker.port);
  const malice = new Malice(seededRandom(seed));
  let connections = 0;
  let isEnough = false;
  const attackUpTo = async (goal: number): Promise<void> => {
    isEnough = false;
    const one = async (): Promise<void> => {
      while (!isEnough) {
        connections += 1;
        const bytes = hostileBytes(malice);
        if (connections % overTcp === 0) await attackOverTcp(broker.port, bytes);
        else await broker.attack(bytes);
        if (connections % 256 === 0) isEnough = (await broker.refused()).count >= goal;
      }
    };
    await Promise.all(Array.from({ length: attackers }, one));
  };
  // By then everything is compiled, and every session, topic and label is there that will be.
  await attackUpTo(count / 4);
  const before = heapBytes();
  const rssBefore = process.memoryUsage().rss;
  await honest();
  const taken: Trips[] = [];
  let isOver = false;
  const sampling = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      taken.push(await honest());
    }
  })();
  const start = performance.now();
  const cpu = process.cpuUsage();
  for (let goal = count / 4; goal < count; ) {
    goal = Math.min(count, goal + reportEvery);
    await attackUpTo(goal);
    // Who waits for more than an hour is told how it goes.
    if (isLongRun) {
      // Without a collection, which an honest client would feel.
      const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
      const held = ((heapUsed + arrayBuffers) / 1e6).toFixed(0);
      const longest = Math.max(0, ...taken.map((each) => each.worst)).toFixed(1);
      process.stdout.write(
        `${goal} refused: heap ${held} MB, resident ${(rss / 1e6).toFixed(0)} MB, ${broker.retained.count} messages retained, ` +
          `${broker.sessions.count} sessions; the longest trip ${longest} ms\n`,
      );
    }
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  isOver = true;
  await sampling;
  await eventually(() => expect(broker.clients).toBe(1));
  const grown = heapBytes() - before;
  const resident = process.memoryUsage().rss - rssBefore;
  const { count: refused, clauses } = await broker.refused();
  const trips = taken.reduce((sum, each) => sum + each.trips, 0);
  const judged = taken.filter(({ late }) => late <= lateMaxMs);
  const worst = Math.max(...taken.map((each) => each.worst));
  const worstJudged = Math.max(0, ...judged.map((each) => each.worst));
  console.log(
    `${refused} packets refused for ${clauses} clauses (seed ${seed}), ${((count * 0.75) / seconds).toFixed(0)}/s ` +
      `and ${((count * 0.75e6) / (user + system)).toFixed(0)} for each second of work, ` +
      `on ${connections} connections; ${trips} honest round trips, the longest ${worst.toFixed(1)} ms, or ` +
      `${worstJudged.toFixed(1)} ms in the ${judged.length} of ${taken.length} seconds in which the client itself was ` +
      `late by at most ${lateMaxMs} ms; heap ${(grown / 1e6).toFixed(1)} MB more, resident ${(resident / 1e6).toFixed(1)} MB more`,
  );
  expect(broker.errors).toEqual([]);
  expect(refused).toBeGreaterThanOrEqual(count);
  expect(trips).toBeGreaterThan(seconds);
  expect(clauses).toBeGreaterThan(60);
  expect(grown).toBeLessThan(16e6);
  expect(resident).toBeLessThan(200e6);
  if (isLongRun && judged.length * 2 > taken.length) {
    expect(worstJudged).toBeLessThan(honestMaxMs);
  } else if (isLongRun) {
    console.log('The machine was too busy to judge the times.');
  }
  const late = await connectRaw(broker.port, 5, { id: 'late' });
  late.send(publishPacket('late/a', 'x', 1, 1));
  await late.next('puback');
});
