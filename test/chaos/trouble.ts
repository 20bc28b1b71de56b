import type { Group } from './options.ts';
import type { World } from './world.ts';

export type Chance = World['random'];

/** Something that goes wrong and is mended again, with one party. */
export interface Trouble {
  readonly group: Group;
  readonly target: 'gateway' | 'influx' | 'cloud' | 'devices';
  readonly name: string;
  /** Does it, mends it, and says what it did. */
  run(world: World, random: Chance): Promise<string>;
}

export const between = (random: Chance, from: number, to: number): number =>
  from + random.next() * (to - from);
export const oneOf = <T>(random: Chance, all: readonly T[]): T =>
  all[Math.floor(random.next() * all.length)]!;
export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
