import { parseArgs } from 'node:util';
import type { FleetOptions } from './fleet.ts';
import { transportTo } from './link/index.ts';
import { codedNames } from './shape/coded.ts';
import { shapeNamed, shapeNames } from './shape/index.ts';

export const help = `Usage: tidegate-fleet [options]
       tidegate-fleet --scenario FILE [options]

Simulated devices that speak as real ones do. The same seed always sends the same.

Where to:
  --url URL         mqtt:// mqtts:// ws:// wss:// http:// https:// or serial:PATH;
                    mqtt://127.0.0.1:1883 by default
  --protocol V      4 (MQTT 3.1.1, the default) or 5
  --qos Q           0, 1 or 2; 1 by default
  --username NAME   with a password, each device's own name by default
  --password TEXT   of MQTT; of HTTP the token
  --ca FILE         certificates to trust; --cert FILE and --key FILE for the devices' own
  --insecure        trusts any certificate

What they are:
  --devices N       how many; 5 by default
  --rate HZ         messages a second from each device; 1 by default
  --shape NAME      what kind of device; greenhouse by default. --list names them
  --codec C         climate sensors that speak ${codedNames.join(', ')}
                    or sparkplug
  --seed N          1 by default

Scenarios:
  --scenario FILE   groups of devices, phases and expectations; see docs/fleet.md
  --admin URL       where GET /metrics is; http://127.0.0.1:8080 by default
  --to NAME=URL     where that group sends; as often as needed
  --without NAME    leaves that group out; as often as needed
  --url, --seed and the certificates stand before what the file says

How long, and what is said:
  --duration S      seconds; without it, until Ctrl-C or the end of the scenario
  --grace S         seconds to wait at the end for acknowledgements; 10 by default
  --ledger FILE     writes one line of JSON for each acknowledged message
  --json            the final table as one line of JSON
  --list            the kinds of devices, and what they can be made to do
  --help

On a terminal one line shows what happens; in a pipe there is only the final table.

Each MQTT device has a connection of its own, and so needs an open file: for 10,000 devices
raise the limit before, with ulimit -n 20000.

Exit status: 0 when every message was acknowledged and all was as expected, 1 when not, 2 wrong
usage.
`;

export class UsageError extends Error {}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const many = { type: 'string', multiple: true } as const;
const known = {
  ...{ url: text, devices: text, rate: text, duration: text, qos: text, protocol: text },
  ...{ seed: text, scenario: text, codec: text, shape: text, ledger: text, grace: text },
  ...{ username: text, password: text, ca: text, cert: text, key: text, insecure: flag },
  ...{ admin: text, to: many, without: many },
  ...{ json: flag, list: flag, help: flag },
} as const;

export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly insecure: boolean;
}

export interface Arguments {
  readonly options: Omit<FleetOptions, 'clock' | 'random'> & { readonly url: string };
  readonly tls: TlsFiles;
  readonly ledger: string | undefined;
  readonly json: boolean;
  /** What was said of a scenario; undefined without one. */
  readonly scenario:
    | {
        readonly file: string;
        readonly url: string | undefined;
        readonly admin: string | undefined;
        readonly seed: number | undefined;
        readonly durationMs: number | undefined;
        readonly to: ReadonlyMap<string, string>;
        readonly without: readonly string[];
      }
    | undefined;
}

/** Throws `UsageError`, or what `parseArgs` throws. */
export function argumentsOf(args: string[]): Arguments | 'help' | 'list' {
  const { values } = parseArgs({ args, options: known });
  if (values.help) return 'help';
  if (values.list) return 'list';
  const url = values.url ?? 'mqtt://127.0.0.1:1883';
  checkedUrl('--url', url);
  const duration = values.duration === undefined ? undefined : above0('duration', values.duration);
  const seed = oneOf('seed', values.seed ?? '1', 0, 2 ** 32 - 1);
  const durationMs = duration === undefined ? undefined : 1_000 * duration;
  const options = {
    url,
    devices: oneOf('devices', values.devices ?? '5', 1, 100_000),
    rateHz: above0('rate', values.rate ?? '1'),
    qos: oneOf('qos', values.qos ?? '1', 0, 2) as 0 | 1 | 2,
    protocol: oneOf('protocol', values.protocol ?? '4', 4, 5) as 4 | 5,
    shape: shapeNamed(shapeAsked(values.shape, values.codec)),
    seed,
    graceMs: 1_000 * above0('grace', values.grace ?? '10'),
    username: values.username,
    password: values.password,
    ...(durationMs === undefined ? {} : { durationMs }),
  };
  if (url.startsWith('serial:') && options.devices !== 1) {
    throw new UsageError('--devices: on a serial port there is one device; write --devices 1');
  }
  for (const name of ['admin', 'to', 'without'] as const) {
    if (values[name] !== undefined && values.scenario === undefined) {
      throw new UsageError(`--${name}: only a scenario has groups; add --scenario FILE`);
    }
  }
  const { ca, cert, key, insecure = false } = values;
  const own = { url: values.url, admin: values.admin, durationMs };
  return {
    options,
    tls: { ca, cert, key, insecure },
    ledger: values.ledger,
    json: values.json ?? false,
    scenario:
      values.scenario === undefined
        ? undefined
        : {
            ...{ file: values.scenario, ...own },
            seed: values.seed === undefined ? undefined : seed,
            to: new Map((values.to ?? []).map(placeOf)),
            without: values.without ?? [],
          },
  };
}

function checkedUrl(name: string, url: string): void {
  try {
    transportTo(url);
  } catch (error) {
    throw new UsageError(`${name}: ${(error as Error).message}`);
  }
}

function placeOf(given: string): [string, string] {
  const [, name, url] = /^([\w-]+)=(.+)$/.exec(given) ?? [];
  if (name === undefined || url === undefined) {
    throw new UsageError(`--to: ${given} is not NAME=URL, such as board=serial:/dev/ttyUSB0`);
  }
  checkedUrl('--to', url);
  return [name, url];
}

function shapeAsked(shape: string | undefined, codec: string | undefined): string {
  if (shape !== undefined && codec !== undefined) {
    throw new UsageError('--codec: a device has a shape or a codec, not both; leave one out');
  }
  if (shape !== undefined && !shapeNames.includes(shape)) {
    throw new UsageError(`--shape: there is no ${shape}; there are ${shapeNames.join(', ')}`);
  }
  const codecs = [...codedNames, 'sparkplug'];
  if (codec !== undefined && !codecs.includes(codec)) {
    throw new UsageError(`--codec: devices do not speak ${codec}; they speak ${codecs.join(', ')}`);
  }
  return shape ?? codec ?? 'greenhouse';
}

function above0(name: string, given: string): number {
  const value = Number(given);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`--${name}: ${given} is not a number above 0`);
}

function oneOf(name: string, given: string, from: number, to: number): number {
  const value = Number(given);
  if (given !== '' && Number.isInteger(value) && value >= from && value <= to) return value;
  throw new UsageError(`--${name}: ${given} is not a whole number from ${from} to ${to}`);
}
