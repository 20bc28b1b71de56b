import { setTimeout as sleep } from 'node:timers/promises';
import { between, oneOf, seconds, type Trouble } from './trouble.ts';
import type { Mood, Wire } from './wire.ts';
import type { World } from './world.ts';

export function serviceTroubles(world: World): Trouble[] {
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
          await service.pause();
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

export function networkTroubles(world: World): Trouble[] {
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
