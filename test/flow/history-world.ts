import type { CloudEvent } from '../../src/event/event.ts';
import { World } from '../sim/life.ts';

/** Lets time pass until the promise settles. */
export async function during<T>(world: World, promise: Promise<T>): Promise<T> {
  let settled = false;
  const over = (): void => {
    settled = true;
  };
  promise.then(over, over);
  for (let turn = 0; turn < 2_000 && !settled; turn++) await world.clock.advance(10);
  return await promise;
}

export async function startWorld(): Promise<World> {
  const world = new World(1);
  await world.start();
  return world;
}

/** One reading of a device, acknowledged. */
export async function send(world: World, device: string, temperature: number): Promise<void> {
  const seq = world.sent.length;
  const sent = world.send(device, JSON.stringify({ temperature, seq }), seq);
  for (let turn = 0; turn < 100 && !sent.acknowledged; turn++) await world.clock.advance(1);
  if (!sent.acknowledged) throw new Error('The reading was not acknowledged.');
}

export const readings = (events: readonly CloudEvent[]): CloudEvent<'reading'>[] =>
  events.filter((event) => event.type === 'reading') as CloudEvent<'reading'>[];
