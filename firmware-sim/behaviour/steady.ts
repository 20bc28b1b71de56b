import { type Behaviour, chanceAt, type Fields, type Moment } from './behaviour.ts';

export interface SteadyOptions {
  /** Each field and the value it keeps to. */
  readonly fields: Readonly<Record<string, number>>;
  /** How far a value strays to either side, evenly. */
  readonly noise?: number;
  readonly decimals?: number;
}

/** Sends one message with every field near its value: where most devices begin. */
export function steady(options: SteadyOptions): Behaviour {
  const { noise = 0, decimals = 2 } = options;
  const entries = Object.entries(options.fields);
  const fieldsAt = (moment: Moment): Fields => {
    const fields: Record<string, number> = {};
    for (const [salt, [name, value]] of entries.entries()) {
      fields[name] = rounded(value + noise * (2 * chanceAt(moment, salt) - 1), decimals);
    }
    return fields;
  };
  return (_, moment) => [{ fields: fieldsAt(moment) }];
}

/** What a sensor with that many digits would show. */
export function rounded(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  return Math.round(value * scale) / scale;
}
