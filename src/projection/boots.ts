import type { CloudEvent, EventType } from '../event/event.ts';
import type { Projection, ProjectionState } from './projection.ts';

/** An event with the clocks as they stood when it was recorded. */
export type Stamped<T extends EventType = EventType> = CloudEvent<T> & {
  readonly position: number;
  readonly boot: string;
  readonly monotonic: number;
  readonly clock: string;
};

/** What is known of the wall clock of one boot of the machine. */
interface Boot {
  /** The wall clock was set right for the first time at this position; -1 when it has not been. */
  setAt: number;
  /** The wall time at which the boot began, by the clock as it was then, … */
  firstStart: number;
  /** … and as it was set last. */
  lastStart: number;
  /** By how much the clock was moved when it was set right for the first time. */
  offsetMs: number;
  /** Nobody waits for this clock any longer. */
  isGivenUp: boolean;
}

export interface Boots extends Projection {
  readonly accepts: (event: Stamped) => boolean;
  step(event: Stamped): void;
  /** When the event was recorded, by the clock as it was set later; undefined while it never was. */
  recordedTimeOf(event: Stamped): number | undefined;
  /** By how much the clock of that boot was moved when it was set right for the first time. */
  offsetMsOf(boot: string): number | undefined;
  /** Whether something was recorded in that boot of which the time is not known. */
  isUnknown(boot: string): boolean;
  isGivenUp(boot: string): boolean;
  /** Whether no clock was ever unset or stepped: then the log is in the order of time. */
  readonly isSteady: boolean;
}

/** Why a `clock` event is recorded. */
export const clockReasons = {
  set: 'the wall clock was set for the first time since the machine started',
  stepped: 'the wall clock was stepped',
  givenUp: 'the wall clock was not set in time: events are delivered with the times they have',
} as const;

/** Boots remembered, of those whose clock was not set from the beginning. */
const bootsMax = 64;

/**
 * The corrections of the wall clock, by boot. What is recorded while the clock is not set has its
 * place on the monotonic clock of its boot; a `clock` event, recorded later in the same boot under
 * a clock that can be believed, says by its own stamps when that boot began.
 */
export function createBoots(limit = bootsMax): Boots {
  const boots = new Map<string, Boot>();
  let stepped = false;

  const bootOf = (name: string): Boot => {
    let boot = boots.get(name);
    if (boot === undefined) {
      boot = { setAt: -1, firstStart: 0, lastStart: 0, offsetMs: 0, isGivenUp: false };
      boots.set(name, boot);
      if (boots.size > limit) boots.delete(boots.keys().next().value!);
    }
    return boot;
  };
  const learn = (event: Stamped<'clock'>): void => {
    stepped = true;
    const boot = bootOf(event.boot);
    if (event.data.reason === clockReasons.givenUp) boot.isGivenUp = true;
    if (event.clock === 'unsynchronised' || event.data.boot !== event.boot) return;
    boot.lastStart = event.recordedTime - event.monotonic;
    if (boot.setAt !== -1) return;
    boot.setAt = event.position;
    boot.firstStart = boot.lastStart;
    boot.offsetMs = event.data.offsetMs;
  };
  return {
    name: 'boots',
    accepts: (event) =>
      event.type === 'clock' || (event.clock === 'unsynchronised' && !boots.has(event.boot)),
    step(event) {
      if (event.clock === 'unsynchronised') bootOf(event.boot);
      if (event.type === 'clock') learn(event as Stamped<'clock'>);
    },
    recordedTimeOf(event) {
      const boot = boots.get(event.boot);
      if (boot === undefined || boot.setAt === -1) return undefined;
      return event.monotonic + (event.position < boot.setAt ? boot.firstStart : boot.lastStart);
    },
    offsetMsOf(name) {
      const boot = boots.get(name);
      return boot === undefined || boot.setAt === -1 ? undefined : boot.offsetMs;
    },
    isUnknown: (name) => boots.get(name)?.setAt === -1,
    isGivenUp: (name) => boots.get(name)?.isGivenUp === true,
    get isSteady() {
      return !stepped && boots.size === 0;
    },
    snapshot: () => ({
      version: 1,
      stepped,
      boots: [...boots].map(([name, boot]) => [
        name,
        boot.setAt,
        boot.firstStart,
        boot.lastStart,
        boot.offsetMs,
        boot.isGivenUp,
      ]),
    }),
    restore(state) {
      boots.clear();
      stepped = false;
      const saved = readState(state);
      for (const [name, boot] of saved.boots) boots.set(name, boot);
      stepped = saved.stepped;
    },
  };
}

function readState(state: ProjectionState): { stepped: boolean; boots: [string, Boot][] } {
  const none = { stepped: false, boots: [] };
  if (typeof state !== 'object' || state === null || Array.isArray(state)) return none;
  const { version, stepped, boots } = state as Record<string, unknown>;
  if (version !== 1 || typeof stepped !== 'boolean' || !Array.isArray(boots)) return none;
  const read: [string, Boot][] = [];
  for (const row of boots as unknown[]) {
    if (!Array.isArray(row)) return none;
    const [name, setAt, firstStart, lastStart, offsetMs, isGivenUp] = row as unknown[];
    const numbers = [setAt, firstStart, lastStart, offsetMs];
    if (typeof name !== 'string' || !numbers.every(Number.isFinite)) return none;
    const boot = { setAt, firstStart, lastStart, offsetMs, isGivenUp } as unknown as Boot;
    read.push([name, boot]);
  }
  return { stepped, boots: read };
}
