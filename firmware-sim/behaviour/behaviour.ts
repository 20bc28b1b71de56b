/** The moment at which a device measures. Together with the seed it decides everything. */
export interface Moment {
  readonly seed: number;
  /** Which device, from 0. */
  readonly index: number;
  /** How often the device has started again by itself. */
  readonly life: number;
  /** 1 for the first moment since the device was switched on, then without holes. */
  readonly seq: number;
  /** Milliseconds since then. */
  readonly elapsedMs: number;
  /** The true time; milliseconds since the epoch. */
  readonly time: number;
  /** From one moment of the device to the next, and to its first. */
  readonly periodMs: number;
  readonly phaseMs: number;
}

export type Fields = Readonly<Record<string, number | boolean | string>>;

/** One message in the making: measured fields, or bytes that are sent instead of them. */
export interface Transmission {
  /** When it was measured: `life` and `seq` name it. */
  readonly at: Moment;
  /** What the clock of the device said then. */
  readonly time: number;
  /** From 0; counts what was measured at one moment. */
  readonly part: number;
  readonly fields: Fields;
  readonly garbage?: Uint8Array;
  /** The device gives it up when it was sent once. */
  readonly once?: true;
}

/** What a device sends at a moment: usually one message. Pure: the same moment, the same answer. */
export type Sending = (moment: Moment) => readonly Transmission[];

/**
 * What a device would send, made into what it does send: another value, nothing, the same twice,
 * what it should have sent earlier.
 */
export type Behaviour = (before: Sending) => Sending;

/** A device that is switched on and measures nothing. */
export const asleep: Sending = (moment) => [{ at: moment, time: moment.time, part: 0, fields: {} }];

/** One after the other, each handed what the one before would have sent. */
export function compose(...behaviours: readonly Behaviour[]): Behaviour {
  return (before) => behaviours.reduce((sending, behaviour) => behaviour(sending), before);
}

/** Changes what is sent at a moment, from that alone. */
export function change(
  by: (sent: readonly Transmission[], moment: Moment) => readonly Transmission[],
): Behaviour {
  return (before) => (moment) => by(before(moment), moment);
}

/** Changes one field of everything that is sent; a field that is missing counts as 0. */
export function adjust(field: string, by: (value: number, moment: Moment) => number): Behaviour {
  return change((sending, moment) =>
    sending.map((sent) => {
      const value = sent.fields[field];
      const adjusted = by(typeof value === 'number' ? value : 0, moment);
      return { ...sent, fields: { ...sent.fields, [field]: adjusted } };
    }),
  );
}

/** Another moment of the same life of the same device. */
export function momentAt(moment: Moment, seq: number): Moment {
  const dueMs = (each: number): number => Math.round((each - 1) * moment.periodMs + moment.phaseMs);
  const laterMs = dueMs(seq) - dueMs(moment.seq);
  return {
    ...moment,
    seq,
    elapsedMs: moment.elapsedMs + laterMs,
    time: moment.time + laterMs,
  };
}

/** Something that comes again and again. */
export interface Recurring {
  /** From one time to the next; without it, once. */
  readonly everyMs?: number | undefined;
  readonly lastsMs: number;
  /** When the first begins, after the device was switched on. */
  readonly afterMs: number;
}

/** Milliseconds since it last began, while it lasts. */
export function sinceBegun(
  { everyMs = Number.POSITIVE_INFINITY, lastsMs, afterMs }: Recurring,
  elapsedMs: number,
): number | undefined {
  if (elapsedMs < afterMs) return undefined;
  const at =
    everyMs === Number.POSITIVE_INFINITY ? elapsedMs - afterMs : (elapsedMs - afterMs) % everyMs;
  return at < lastsMs ? at : undefined;
}

/**
 * A number in [0, 1) that depends on the device, the moment and the salt, and on nothing that
 * happened before, so that any moment can be had without living through the earlier ones.
 */
export function chanceAt(moment: Moment, salt: number): number {
  const { seed, index, life, seq } = moment;
  return mixed(mixed(mixed(mixed(seed, index), seq), life), salt) / 2 ** 32;
}

/** As `chanceAt`, but the same at every moment: what tells one device from another. */
export function characterOf({ seed, index }: Pick<Moment, 'seed' | 'index'>, salt: number): number {
  return mixed(mixed(mixed(seed, index), 0x5bd1e995), salt) / 2 ** 32;
}

function mixed(state: number, value: number): number {
  let hash = Math.imul(state ^ value ^ ((value / 2 ** 32) | 0), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
