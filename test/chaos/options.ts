import { parseArgs } from 'node:util';

/** What can be made to happen; `--only` chooses among them. */
export const groups = ['kill', 'cut', 'fill', 'flip', 'partition', 'fault', 'clock'] as const;
export type Group = (typeof groups)[number];

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly only: readonly Group[];
  readonly devices: number;
  /** Messages a second from each device. */
  readonly rateHz: number;
  /** Where the report goes besides standard output. */
  readonly report?: string;
  /** Whether other brokers are put through the same. */
  readonly rivals: boolean;
  /** The disk says that it has synced and has not: to see whether the run would tell. */
  readonly lies?: boolean;
}

export const help = `Usage: npm run chaos -- [options]

Runs the gateway, a simulated fleet and real servers on this machine, and kills, cuts, fills, flips
and partitions for a set time. Then everything heals and what was acknowledged is looked for.

  --minutes N     how long; 1 by default
  --seed N        the same seed draws the same troubles; drawn by default
  --only LIST     of ${groups.join(',')}
  --devices N     20 by default
  --rate HZ       messages a second from each device; 5 by default
  --report FILE   also write the report there
  --rivals        also put Mosquitto through kill -9 and count what it loses
  --help

As root it also cuts the power of a disk of its own and fills it. Uses InfluxDB (influxd), Mosquitto,
a C compiler (cc) and libfaketime where they are installed.

Exit status: 0 nothing was lost, 1 something was, 2 wrong usage.
`;

export class UsageError extends Error {}

/** Undefined when only help is wanted. Throws `UsageError`. */
export function chaosOptionsOf(args: readonly string[]): ChaosOptions | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ minutes: text, seed: text, only: text, devices: text, rate: text, report: text },
      ...{ rivals: flag, help: flag },
    },
  });
  if (values.help) return undefined;
  const seed = values.seed ?? `${Math.floor(Math.random() * 2 ** 31)}`;
  return {
    seconds: 60 * numberOf('minutes', values.minutes ?? '1'),
    seed: Math.floor(numberOf('seed', seed)),
    only: (values.only ?? groups.join(',')).split(',').map(groupOf),
    devices: Math.ceil(numberOf('devices', values.devices ?? '20')),
    rateHz: numberOf('rate', values.rate ?? '5'),
    rivals: values.rivals ?? false,
    ...(values.report === undefined ? {} : { report: values.report }),
  };
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (text !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`--${name} takes a number above 0; not ${text}.`);
}

function groupOf(text: string): Group {
  const found = groups.find((group) => group === text);
  if (found !== undefined) return found;
  throw new UsageError(`--only takes ${groups.join(', ')}; not ${text}.`);
}
