/** The moment at which a device sends. Together with the seed it decides everything. */
export interface Moment {
  readonly seed: number;
  /** Which device, from 0. */
  readonly index: number;
  /** 1 for the first moment since the device was switched on, then without holes. */
  readonly seq: number;
  /** Milliseconds since the fleet was switched on. */
  readonly elapsedMs: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export type Fields = Readonly<Record<string, number | boolean | string>>;

/** One message in the making: measured fields, or bytes that are sent instead of them. */
export interface Transmission {
  readonly fields: Fields;
  readonly garbage?: Uint8Array;
}

/**
 * What a device would send at a moment, made into what it does send: another value, nothing, the
 * same twice. Pure: the same moment always gives the same answer.
 */
export type Behaviour = (
  sending: readonly Transmission[],
  moment: Moment,
) => readonly Transmission[];

/** One after the other, each handed what the one before would have sent. */
export function compose(...behaviours: readonly Behaviour[]): Behaviour {
  return (sending, moment) => {
    let result = sending;
    for (const behaviour of behaviours) result = behaviour(result, moment);
    return result;
  };
}

/** Changes one field of everything that is sent; a field that is missing counts as 0. */
export function adjust(field: string, by: (value: number, moment: Moment) => number): Behaviour {
  return (sending, moment) =>
    sending.map((sent) => {
      const value = sent.fields[field];
      const adjusted = by(typeof value === 'number' ? value : 0, moment);
      return { ...sent, fields: { ...sent.fields, [field]: adjusted } };
    });
}

/**
 * A number in [0, 1) that depends on the device, the moment and the salt, and on nothing that
 * happened before, so that any moment can be had without living through the earlier ones.
 */
export function chanceAt(moment: Moment, salt: number): number {
  return mixed(mixed(mixed(moment.seed, moment.index), moment.seq), salt) / 2 ** 32;
}

/** As `chanceAt`, but the same at every moment: what tells one device from another. */
export function characterOf(moment: Moment, salt: number): number {
  return mixed(mixed(mixed(moment.seed, moment.index), 0x5bd1e995), salt) / 2 ** 32;
}

function mixed(state: number, value: number): number {
  let hash = Math.imul(state ^ value ^ ((value / 2 ** 32) | 0), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
