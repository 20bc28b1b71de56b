import { type Behaviour, chanceAt, change, type Fields, type Moment } from './behaviour.ts';

export interface SteadyOptions {
  /** Each field and the value it keeps to. */
  readonly fields: Fields;
  /** How far a number strays to either side, evenly. */
  readonly noise?: number;
  readonly decimals?: number;
}

/** Every field near its value: where most devices begin. */
export function steady({ fields, noise = 0, decimals = 2 }: SteadyOptions): Behaviour {
  const entries = Object.entries(fields);
  const fieldsAt = (moment: Moment): Fields => {
    const found: Record<string, Fields[string]> = {};
    for (const [salt, [name, value]] of entries.entries()) {
      found[name] =
        typeof value === 'number'
          ? rounded(value + noise * (2 * chanceAt(moment, salt) - 1), decimals)
          : value;
    }
    return found;
  };
  return change((sending, moment) =>
    sending.map((sent) => ({ ...sent, fields: { ...sent.fields, ...fieldsAt(moment) } })),
  );
}

/** What a sensor with that many digits would show. */
export function rounded(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  return Math.round(value * scale) / scale;
}
