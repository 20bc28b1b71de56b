import { networkTroubles, serviceTroubles } from './far-troubles.ts';
import { clockTrouble, diskTroubles, faultTrouble, gatewayTroubles } from './gateway-troubles.ts';
import type { Group } from './options.ts';
import type { Trouble } from './trouble.ts';
import type { World } from './world.ts';

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
