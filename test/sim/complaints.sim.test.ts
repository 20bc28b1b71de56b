/** What users of other gateways complain of, where no other test is about it; see docs/losses.md. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Disk } from '../../src/platform/disk.ts';
import { openLog, readingsOf } from '../log/opened.ts';
import { SimDisk } from './disk.ts';
import { World } from './life.ts';
import { expectPromisesKept } from './promises.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const hour = 3_600_000;

function send(world: World, count: number): void {
  for (; count > 0; count--) {
    const seq = world.sent.length;
    world.send(`gh-${seq % 3}`, JSON.stringify({ temperature: 20, seq }), seq);
  }
}
const sequenceOf = (world: World, index: number): unknown[] =>
  world.sinks[index]!.taken.flatMap((event) =>
    event.type === 'reading' ? [event.data.fields.seq] : [],
  );
const numbersBelow = (count: number): number[] => [...Array(count).keys()];

/** Lets the first sink alone have no place of its own beside live delivery. */
function inOrder(world: World): World {
  world.catchUp = { ...world.catchUp, order: 'oldestFirst' };
  return world;
}

test('a sink that is dead from the start on keeps neither devices nor other sinks waiting, and misses nothing', async () => {
  const world = inOrder(new World(1));
  world.sinks[0]!.mood = 'hangs';
  for (const end of ['stop', 'kill', 'cut'] as const) {
    await world.start();
    send(world, 20);
    await world.clock.advance(2_000);
    expect(world.sent.every(({ acknowledged }) => acknowledged)).toBe(true);
    expect(new Set(sequenceOf(world, 1)).size).toBe(world.sent.length);
    await world[end]();
  }
  expect(sequenceOf(world, 0)).toEqual([]);
  await world.heal();
  expect(sequenceOf(world, 0)).toEqual(numbersBelow(60));
  await expectPromisesKept(world);
  await world.stop();
});

test('a sink that is away for an hour is asked ever again, at intervals with a limit, and nothing is given up', async () => {
  const world = inOrder(new World(2));
  world.heartbeatMs = hour;
  await world.start();
  const sink = world.sinks[0]!;
  sink.mood = 'refuses';
  send(world, 30);
  await world.clock.advance(hour);
  sink.mood = 'works';
  // The longest pause between two attempts, and no more.
  await world.clock.advance(5_001);
  expect(sequenceOf(world, 0)).toEqual(numbersBelow(30));
  await world.stop();
});

test('attempts in vain leave nothing behind in memory', async () => {
  const world = inOrder(new World(3));
  world.heartbeatMs = 24 * hour;
  world.sinks[0]!.mood = 'refuses';
  await world.start();
  send(world, 30);
  const bytesAfter = async (ms: number): Promise<number> => {
    await world.clock.advance(ms);
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const early = await bytesAfter(hour / 2);
  const late = await bytesAfter(3 * hour);
  expect(world.sinks[0]!.open).toBe(0);
  // More than 2,000 attempts: of each not even 100 bytes.
  expect(late - early).toBeLessThan(200_000);
  await world.stop();
});

test('a sink that is configured anew goes on where it was', async () => {
  const world = inOrder(new World(4));
  await world.start();
  send(world, 10);
  await world.clock.advance(2_000);
  world.sinks[0]!.mood = 'refuses';
  send(world, 10);
  await world.clock.advance(2_000);
  await world.stop();
  // Left out of the configuration for a while, then back with another far side and other options.
  const [first] = world.sinks.splice(0, 1);
  await world.start();
  send(world, 10);
  await world.clock.advance(2_000);
  await world.stop();
  world.sinks.unshift(first!);
  world.catchUp = { ...world.catchUp, behindEvents: 1_000 };
  world.from = 'newest';
  await world.heal();
  expect(sequenceOf(world, 0)).toEqual(numbersBelow(30));
  await world.stop();
});

test('a log of a thousand files opens by their first bytes, and holds few of them open', async () => {
  const disk = new SimDisk();
  const before = await openLog(disk, { segmentBytes: 4_000 });
  for (let n = 0; n < 900; n++) await before.log.append(readingsOf(n * 100, 100));
  const { bytes } = before.log;
  await before.log.close();
  let readBytes = 0;
  let open = 0;
  let openMost = 0;
  const next = disk.restart();
  const counted: Disk = Object.create(next, {
    readPart: {
      value: async (path: string, offset: number, length: number) => {
        const part = await next.readPart(path, offset, length);
        readBytes += part?.length ?? 0;
        return part;
      },
    },
    read: {
      value: async (path: string) => {
        const all = await next.read(path);
        readBytes += all?.length ?? 0;
        return all;
      },
    },
    open: {
      value: async (path: string) => {
        const file = await next.open(path);
        openMost = Math.max(openMost, ++open);
        return Object.create(file, {
          read: {
            value: async (offset: number, length: number) => {
              const part = await file.read(offset, length);
              readBytes += part.length;
              return part;
            },
          },
          close: {
            value: async () => {
              open--;
              await file.close();
            },
          },
        });
      },
    },
  });
  const { log } = await openLog(counted, { segmentBytes: 4_000 });
  expect(log.last).toBe(90_000);
  expect(readBytes).toBeLessThan(bytes / 10);
  expect(openMost).toBeLessThan(10);
  await log.close();
});
