import { z } from 'zod';
import type { RuleState } from './rule.ts';

/** A device that has been heard. */
export interface Device {
  readonly name: string;
  /** Its last reading, by the reading's own time; milliseconds since the epoch. */
  since: number;
  /** The same in the log's time. */
  heardMs: number;
  /** Undefined while it is not silent. */
  incident: string | undefined;
  before: Device | undefined;
  behind: Device | undefined;
}

/** Devices known at once; beyond it the one that was longest not heard is forgotten. */
export const devicesMax = 100_000;

/** Who has been heard, and who not for `afterMs`. Hearing one again costs no memory. */
export interface Devices {
  find(name: string): Device | undefined;
  /**
   * `known` is what `find` says of the name. Ends its silence. Returns the device that had to be
   * forgotten for a new one, if it was silent: nobody else will tell the end of that.
   */
  hear(
    known: Device | undefined,
    name: string,
    since: number,
    elapsedMs: number,
  ): Device | undefined;
  someAreSilent(elapsedMs: number): boolean;
  /** Those that have newly become silent, the longest silent first; each must get an incident. */
  takeSilent(elapsedMs: number): readonly Device[];
  snapshot(): RuleState;
  restore(state: RuleState): void;
}

export function createDevices(afterMs: number, limit = devicesMax): Devices {
  const byName = new Map<string, Device>();
  const speaking = createChain();
  const silent = createChain();
  let forgotten = 0;

  const know = (device: Device): Device | undefined => {
    byName.set(device.name, device);
    (device.incident === undefined ? speaking : silent).append(device);
    if (byName.size <= limit) return undefined;
    forgotten++;
    // Whoever is silent has not been heard for longer than anybody who is not.
    const oldest = silent.first() ?? speaking.first()!;
    (oldest.incident === undefined ? speaking : silent).remove(oldest);
    byName.delete(oldest.name);
    return oldest.incident === undefined ? undefined : oldest;
  };
  return {
    find: (name) => byName.get(name),
    hear(known, name, since, elapsedMs) {
      if (known === undefined) {
        return know({
          name,
          since,
          heardMs: elapsedMs,
          incident: undefined,
          before: undefined,
          behind: undefined,
        });
      }
      (known.incident === undefined ? speaking : silent).remove(known);
      known.incident = undefined;
      known.since = since;
      known.heardMs = elapsedMs;
      speaking.append(known);
      return undefined;
    },
    someAreSilent(elapsedMs) {
      const oldest = speaking.first();
      return oldest !== undefined && elapsedMs - oldest.heardMs >= afterMs;
    },
    takeSilent(elapsedMs) {
      const taken: Device[] = [];
      for (
        let oldest = speaking.first();
        oldest !== undefined && elapsedMs - oldest.heardMs >= afterMs;
        oldest = speaking.first()
      ) {
        speaking.remove(oldest);
        silent.append(oldest);
        taken.push(oldest);
      }
      return taken;
    },
    snapshot: () => ({
      version: 1,
      forgotten,
      devices: [...silent.all(), ...speaking.all()].map(
        ({ name, since, heardMs, incident }): RuleState => [name, since, heardMs, incident ?? null],
      ),
    }),
    restore(state) {
      byName.clear();
      speaking.clear();
      silent.clear();
      const saved = readState(state);
      forgotten = saved.forgotten;
      for (const device of saved.devices) know(device);
    },
  };
}

/** In the order of being appended; taking one out of the middle costs nothing. */
function createChain() {
  let first: Device | undefined;
  let last: Device | undefined;
  return {
    first: () => first,
    append(device: Device): void {
      device.before = last;
      device.behind = undefined;
      if (last === undefined) first = device;
      else last.behind = device;
      last = device;
    },
    remove({ before, behind }: Device): void {
      if (before === undefined) first = behind;
      else before.behind = behind;
      if (behind === undefined) last = before;
      else behind.before = before;
    },
    clear(): void {
      first = undefined;
      last = undefined;
    },
    *all(): Generator<Device> {
      for (let device = first; device !== undefined; device = device.behind) yield device;
    },
  };
}

const savedState = z.object({
  version: z.literal(1),
  forgotten: z.number(),
  devices: z.array(z.tuple([z.string(), z.number(), z.number(), z.string().nullable()])),
});

function readState(state: RuleState): { forgotten: number; devices: Device[] } {
  const saved = savedState.safeParse(state);
  if (!saved.success) return { forgotten: 0, devices: [] };
  const devices = saved.data.devices.map(
    ([name, since, heardMs, incident]): Device => ({
      name,
      since,
      heardMs,
      incident: incident ?? undefined,
      before: undefined,
      behind: undefined,
    }),
  );
  return { forgotten: saved.data.forgotten, devices };
}
