import type { EventType } from '../event/event.ts';

/**
 * What the gateway says itself, and what nobody would say again: it goes first when there is little
 * room on the disk, and is the last to be removed when there is none. A device whose message is not
 * acknowledged sends it again; and to record heartbeats while readings wait would let the rules take
 * devices for silent that are not.
 */
export const lastingTypes: ReadonlySet<EventType> = new Set<EventType>([
  'alert',
  'command',
  'rejected',
  'gap',
  'clock',
]);
