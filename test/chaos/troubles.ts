import { setTimeout as sleep } from 'node:timers/promises';
import { damageOldSegment } from './damage.ts';
import type { FaultError, Operation } from './fault.ts';
import type { Group } from './options.ts';
import type { Mood, Wire } from './wire.ts';
import type { World } from './world.ts';

type Chance = World['random'];

/** Something that goes wrong and is mended again, with one party. */
export interface Trouble {
  readonly group: Group;
  readonly target: 'gateway' | 'influx' | 'cloud' | 'devices';
  readonly name: string;
  /** Does it, mends it, and says what it did. */
  run(world: World, random: Chance): Promise<string>;
}

const between = (random: Chance, from: number, to: number): number =>
  from + random.next() * (to - from);
const oneOf = <T>(random: Chance, all: readonly T[]): T =>
  all[Math.floor(random.next() * all.length)]!;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** Ends the gateway, does something to what it left, notes what the log held, starts it again. */
export async function whileDown(world: World, act: () => Promise<string>): Promise<string> {
  world.mayEnd = true;
  try {
    await world.gateway.kill();
    const done = await act();
    await world.gateway.start();
    return done;
  } finally {
    world.mayEnd = false;
  }
}

const readBooks = (world: World): Promise<void> => world.books.read(world.gateway.dataDir);

function gatewayTroubles(): Trouble[] {
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

function diskTroubles(world: World): Trouble[] {
  const target = 'gateway';
  const troubles: Trouble[] = [
    {
      group: 'flip',
      target,
      name: 'old segment damaged',
      run: (world, random) =>
        whileDown(world, async () => {
          await readBooks(world);
          return await damageOldSegment(world, random);
        }),
    },
  ];
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
      name: 'killed while the disk is full',
      async run(world, random) {
        world.evicted = true;
        await image.fill();
        await sleep(between(random, 200, 1_000));
        return await whileDown(world, async () => {
          await readBooks(world);
          await image.free();
          return 'freed before the start';
        });
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

function faultTrouble(): Trouble {
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
      const over = new AbortController();
      const ended = await Promise.race([
        program.ended,
        sleep(ms, undefined, { signal: over.signal }),
      ]);
      over.abort();
      const failed = await faults.failed();
      await faults.heal();
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

function clockTrouble(): Trouble {
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

function serviceTroubles(world: World): Trouble[] {
  const troubles: Trouble[] = [];
  const services = [
    // InfluxDB has on disk what it has taken; Mosquitto has not, and is asked to end.
    { target: 'influx', service: world.influx, end: 'kill' },
    { target: 'cloud', service: world.cloud, end: 'terminate' },
  ] as const;
  for (const { target, service, end } of services) {
    if (service === undefined) continue;
    troubles.push(
      {
        group: 'kill',
        target,
        name: `${target} down`,
        async run(_, random) {
          const ms = between(random, 500, 8_000);
          await service[end]();
          await sleep(ms);
          await service.restart();
          return `${seconds(ms)} after ${end === 'kill' ? 'kill -9' : 'SIGTERM'}`;
        },
      },
      {
        group: 'kill',
        target,
        name: `${target} frozen`,
        async run(_, random) {
          const ms = between(random, 500, 6_000);
          service.pause();
          await sleep(ms);
          service.resume();
          return seconds(ms);
        },
      },
    );
  }
  return troubles;
}

const moods: readonly Mood[] = ['stalls', 'refuses', 'swallows'];

function networkTroubles(world: World): Trouble[] {
  const troubles: Trouble[] = [];
  const wires: readonly (readonly [Trouble['target'], Wire | undefined])[] = [
    ['devices', world.wires.devices],
    ['influx', world.wires.influx],
    ['cloud', world.wires.cloud],
  ];
  for (const [target, wire] of wires) {
    if (wire === undefined) continue;
    troubles.push(
      {
        group: 'partition',
        target,
        name: `${target} cut off`,
        async run(_, random) {
          const ms = between(random, 500, 6_000);
          const mood = oneOf(random, moods);
          wire.mood = mood;
          await sleep(ms);
          wire.mood = 'works';
          return `the network ${mood} for ${seconds(ms)}`;
        },
      },
      {
        group: 'partition',
        target,
        name: `${target} connections broken`,
        async run(_, random) {
          const half = random.next() < 0.5;
          if (half) wire.halfClose();
          else wire.reset();
          return half ? 'half closed' : 'reset';
        },
      },
    );
  }
  return troubles;
}

/** Everything that can go wrong here, of the groups that are wanted. */
export function troublesOf(world: World, only: readonly Group[]): readonly Trouble[] {
  return [
    ...gatewayTroubles(),
    ...diskTroubles(world),
    ...(world.faults === undefined ? [] : [faultTrouble()]),
    ...(world.setClock === undefined ? [] : [clockTrouble()]),
    ...serviceTroubles(world),
    ...networkTroubles(world),
  ].filter(({ group }) => only.includes(group));
}
