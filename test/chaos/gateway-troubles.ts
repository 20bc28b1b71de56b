import { setTimeout as sleep } from 'node:timers/promises';
import { damageOldSegment, segmentsOf } from './damage.ts';
import type { FaultError, Operation } from './fault.ts';
import type { Group } from './options.ts';
import { between, oneOf, seconds, type Trouble } from './trouble.ts';
import type { World } from './world.ts';

const endingMaxMs = 1_500;

/** Ends the gateway, does something to what it left, notes what the log held, starts it again. */
async function whileDown(world: World, act: () => Promise<string>): Promise<string> {
  world.mayEnd = true;
  try {
    await world.gateway.kill();
    await world.books.close();
    const done = await act();
    await world.gateway.start();
    return done;
  } finally {
    world.mayEnd = false;
  }
}

/** How long a backlog of a few segments may take. */
const backlogMaxMs = 25_000;

const blockedMaxMs = 10_000;

/** Until the gateway says that it cannot write. */
async function untilBlocked({ gateway }: World): Promise<void> {
  const end = performance.now() + blockedMaxMs;
  while (performance.now() < end) {
    const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/healthz`).catch(
      () => undefined,
    );
    await answer?.body?.cancel();
    if (answer?.status === 503) return;
    await sleep(50);
  }
}

const readBooks = (world: World): Promise<void> => world.books.read(world.gateway.dataDir);

export function gatewayTroubles(): Trouble[] {
  const trouble = (group: Group, name: string, run: Trouble['run']): Trouble => ({
    group,
    name,
    target: 'gateway',
    run,
  });
  return [
    trouble('kill', 'gateway killed', (world) =>
      whileDown(world, async () => {
        await readBooks(world);
        return 'kill -9';
      }),
    ),
    trouble('kill', 'gateway stopped', async (world) => {
      world.mayEnd = true;
      const code = await world.gateway.stop();
      await readBooks(world);
      await world.gateway.start();
      world.mayEnd = false;
      if (code !== 0) world.crashes.push(`SIGTERM ended it with ${code}, not 0`);
      return 'SIGTERM';
    }),
    trouble('kill', 'gateway frozen', async (world, random) => {
      const ms = between(random, 500, 4_000);
      const { child } = world.gateway.program!;
      child.kill('SIGSTOP');
      await sleep(ms);
      child.kill('SIGCONT');
      return seconds(ms);
    }),
  ];
}

export function diskTroubles(world: World): Trouble[] {
  const target = 'gateway';
  const troubles: Trouble[] = [
    {
      group: 'flip',
      target,
      name: 'old segment damaged',
      run: (world, random) =>
        whileDown(world, async () => {
          await readBooks(world);
          return await damageOldSegment(world, random, 'any');
        }),
    },
  ];
  const wires = [world.wires.influx, world.wires.cloud].filter((wire) => wire !== undefined);
  if (wires.length > 0) {
    troubles.push({
      group: 'flip',
      target,
      name: 'segment damaged before a sink had it',
      async run(world, random) {
        const wire = oneOf(random, wires);
        wire.mood = 'refuses';
        const end = performance.now() + backlogMaxMs;
        const before = (await segmentsOf(world)).at(-1)!;
        // Until what was written last when the sink went away has two files behind it.
        while (performance.now() < end) {
          const behind = (await segmentsOf(world)).filter((name) => name > before);
          if (behind.length >= 2) break;
          await sleep(200);
        }
        return await whileDown(world, async () => {
          await readBooks(world);
          const done = await damageOldSegment(world, random, 'newest');
          wire.mood = 'works';
          return done;
        });
      },
    });
  }
  const { image } = world;
  if (image === undefined) return troubles;
  troubles.push(
    {
      group: 'cut',
      target,
      name: 'power cut',
      run: (world) =>
        whileDown(world, async () => {
          await image.cutPower();
          await readBooks(world);
          return 'what was only in memory is gone';
        }),
    },
    {
      group: 'fill',
      target,
      name: 'disk full',
      async run(world, random) {
        const ms = between(random, 1_000, 5_000);
        world.evicted = true;
        await image.fill();
        await sleep(ms);
        await image.free();
        return seconds(ms);
      },
    },
    {
      group: 'fill',
      target,
      name: 'killed and started on a full disk',
      async run(world, random) {
        const ms = between(random, 500, 2_000);
        world.evicted = true;
        await image.fill();
        try {
          await sleep(between(random, 200, 1_000));
          return await whileDown(world, async () => {
            await readBooks(world);
            return `freed ${seconds(ms)} later`;
          });
        } finally {
          await sleep(ms);
          await image.free();
        }
      },
    },
    {
      group: 'fill',
      target,
      name: 'disk remounted read-only and back',
      async run(world, random) {
        const ms = between(random, 500, 4_000);
        world.evicted = true;
        const program = world.gateway.program!;
        try {
          // Only a gateway that cannot write has no file open that keeps the disk from being remounted.
          for (let attempt = 1; ; attempt++) {
            await image.fill();
            await untilBlocked(world);
            await image.free();
            if (await image.remount('ro')) break;
            if (attempt === 10) return 'the disk was busy';
          }
          await sleep(ms);
        } finally {
          await image.remount('rw');
          await image.free();
        }
        if (program.child.exitCode !== null) world.crashes.push('a read-only disk ended it');
        return seconds(ms);
      },
    },
    {
      group: 'fill',
      target,
      name: 'disk read-only',
      async run(world, random) {
        const ms = between(random, 500, 3_000);
        if (!(await image.failReadOnly())) return 'cannot be provoked by this kernel';
        // Whatever it does, it does it without a disk.
        world.mayEnd = true;
        await sleep(ms);
        return await whileDown(world, async () => {
          await image.repair();
          await readBooks(world);
          return `${seconds(ms)}, then checked and mounted again`;
        });
      },
    },
  );
  return troubles;
}

const faultOperations: readonly (readonly Operation[])[] = [
  ['write'],
  ['fdatasync', 'fsync'],
  ['open'],
  ['rename'],
  ['ftruncate'],
  ['write', 'open', 'rename', 'ftruncate'],
];
const faultErrors: readonly FaultError[] = ['EIO', 'ENOSPC', 'EROFS', 'half'];

export function faultTrouble(): Trouble {
  return {
    group: 'fault',
    target: 'gateway',
    name: 'disk fault',
    async run(world, random) {
      const faults = world.faults!;
      const operations = oneOf(random, faultOperations);
      const error = oneOf(random, faultErrors);
      const once = random.next() < 0.5;
      const ms = between(random, 500, 3_000);
      world.evicted ||= error === 'ENOSPC';
      world.mayEnd = true;
      await faults.inject({ operations, error, ...(once && { times: 1 }) });
      const program = world.gateway.program!;
      const endsWithin = async (limitMs: number) => {
        const over = new AbortController();
        const { signal } = over;
        const ended = await Promise.race([program.ended, sleep(limitMs, undefined, { signal })]);
        over.abort();
        return ended;
      };
      let ended = await endsWithin(ms);
      const failed = await faults.failed();
      await faults.heal();
      // What failed in the last moment may be about to end it.
      if (ended === undefined && failed > 0) ended = await endsWithin(endingMaxMs);
      const how = `${error} from ${operations.join(', ')}, ${once ? 'once' : `${failed} times`}`;
      if (ended === undefined) {
        world.mayEnd = false;
        return `${how}; it went on`;
      }
      const explained = program.stderr.includes('The event log could not be written');
      if (ended.code !== 1 || !explained) {
        world.crashes.push(`${how} ended it with ${ended.code}: ${tailOf(program.stderr)}`);
      }
      return await whileDown(world, async () => {
        // A failed sync leaves in memory what is not on the disk: only a cut tells.
        await world.image?.cutPower();
        await readBooks(world);
        return `${how}; it ended and was started again`;
      });
    },
  };
}

export const tailOf = (text: string): string => text.trimEnd().split('\n').slice(-3).join(' / ');

export function clockTrouble(): Trouble {
  return {
    group: 'clock',
    target: 'gateway',
    name: 'clock jump',
    async run(world, random) {
      const offset = Math.round(between(random, -11, 11) * 3_600);
      const ms = between(random, 1_500, 5_000);
      await world.setClock!(offset);
      await sleep(ms);
      await world.setClock!(0);
      return `${offset > 0 ? '+' : ''}${offset} s for ${seconds(ms)}`;
    },
  };
}
