#!/usr/bin/env node
import { createWriteStream, type WriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Codec, CodecKind } from '../src/codec/codec.ts';
import { codecKinds, codecNames } from '../src/codec/index.ts';
import { messageOf } from '../src/platform/errors.ts';
import { systemRandom } from '../src/platform/random.ts';
import { createSystemClock } from '../src/platform/system-clock.ts';
import type { DeviceMessage } from './device.ts';
import { type Fleet, type FleetOptions, type FleetReport, openFleet } from './fleet.ts';
import { progressLine, reportJson, reportTable } from './report.ts';

const help = `Usage: tidegate-fleet [options]

Simulated devices that speak real MQTT. The same seed always sends the same.

  --url URL         where to; mqtt://127.0.0.1:1883 by default
  --devices N       how many; 5 by default
  --rate HZ         messages a second from each device; 1 by default
  --duration S      seconds; without it, until Ctrl-C
  --qos Q           0, 1 or 2; 1 by default
  --protocol V      4 (MQTT 3.1.1, the default) or 5
  --seed N          1 by default
  --codec C         how payloads are written; json by default
  --ledger FILE     writes one line of JSON for each acknowledged message
  --grace S         seconds to wait at the end for acknowledgements; 10 by default
  --json            the final table as one line of JSON
  --help

Exit status: 0 when every message was acknowledged, 1 when one was lost or refused, 2 wrong usage.
`;

class UsageError extends Error {}

const progressMs = 250;
/** How long a fleet that is interrupted waits for what is on its way. */
const interruptedGraceMs = 1_000;

interface Arguments {
  readonly options: Omit<FleetOptions, 'clock' | 'random'>;
  readonly ledger: string | undefined;
  readonly json: boolean;
}

function argumentsOf(args: string[]): Arguments | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ url: text, devices: text, rate: text, duration: text, qos: text, protocol: text },
      ...{ seed: text, scenario: text, codec: text, ledger: text, grace: text },
      ...{ json: flag, help: flag },
    },
  });
  if (values.help) return 'help';
  if (values.scenario !== undefined) {
    throw new UsageError('--scenario: scenarios are not there yet. Leave it out.');
  }
  const url = values.url ?? 'mqtt://127.0.0.1:1883';
  if (!/^(mqtts?|wss?|tcp):\/\/./.test(url) || !URL.canParse(url)) {
    throw new UsageError(`--url: ${url} is not an address such as mqtt://127.0.0.1:1883`);
  }
  const duration = values.duration === undefined ? undefined : above0('duration', values.duration);
  return {
    options: {
      url,
      devices: oneOf('devices', values.devices ?? '5', 1, 100_000),
      rateHz: above0('rate', values.rate ?? '1'),
      qos: oneOf('qos', values.qos ?? '1', 0, 2) as 0 | 1 | 2,
      protocol: oneOf('protocol', values.protocol ?? '4', 4, 5) as 4 | 5,
      codec: codecNamed(values.codec ?? 'json'),
      seed: oneOf('seed', values.seed ?? '1', 0, 2 ** 32 - 1),
      graceMs: 1_000 * above0('grace', values.grace ?? '10'),
      ...(duration === undefined ? {} : { durationMs: 1_000 * duration }),
    },
    ledger: values.ledger,
    json: values.json ?? false,
  };
}

/** Devices send several fields at once, which not every codec can carry. */
function codecNamed(name: string): Codec {
  const kinds: Readonly<Record<string, CodecKind>> = codecKinds;
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (kind === undefined) {
    throw new UsageError(`--codec: there is no codec ${name}; there are ${codecNames.join(', ')}`);
  }
  try {
    const codec = kind.create(kind.options.parse({}), new Map());
    if (name !== 'sparkplug') codec.encode({ ts: 0, temperature: 0 });
    return codec;
  } catch (error) {
    throw new UsageError(`--codec: devices cannot speak ${name}. ${messageOf(error)}`);
  }
}

function above0(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`--${name}: ${text} is not a number above 0`);
}

function oneOf(name: string, text: string, from: number, to: number): number {
  const value = Number(text);
  if (text !== '' && Number.isInteger(value) && value >= from && value <= to) return value;
  throw new UsageError(`--${name}: ${text} is not a whole number from ${from} to ${to}`);
}

/** Written as the acknowledgements arrive, so that it can be believed after any end of the fleet. */
function ledgerLine({ device, boot, seq, time, fields }: DeviceMessage): string {
  return `${JSON.stringify({ device, boot, seq, time, fields: fields ?? null })}\n`;
}

/** Refreshes one line of the terminal until it is stopped. */
function showProgress(fleet: Fleet): () => void {
  const out = process.stderr;
  if (!out.isTTY) return () => {};
  let before = 0;
  const timer = setInterval(() => {
    const { counts, latency, problem } = fleet;
    const perSecond = ((counts.acknowledged - before) * 1_000) / progressMs;
    before = counts.acknowledged;
    const line = progressLine(counts, perSecond, latency, problem);
    out.write(`\r\x1b[K${line.slice(0, out.columns - 1)}`);
  }, progressMs);
  return () => {
    clearInterval(timer);
    out.write('\r\x1b[K');
  };
}

function stopOnSignals(fleet: Fleet): void {
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (interrupted) process.exit(1);
      interrupted = true;
      void fleet.close(interruptedGraceMs);
    });
  }
}

async function closed(ledger: WriteStream | undefined): Promise<void> {
  if (ledger !== undefined) await new Promise<void>((resolve) => ledger.end(resolve));
}

async function run({ options, ledger: path, json }: Arguments): Promise<FleetReport> {
  const ledger = path === undefined ? undefined : createWriteStream(path, { flags: 'a' });
  const onAcknowledged = (message: DeviceMessage): void => void ledger?.write(ledgerLine(message));
  const fleet = openFleet({
    ...options,
    clock: createSystemClock(),
    random: systemRandom,
    ...(ledger === undefined ? {} : { onAcknowledged }),
  });
  const done = showProgress(fleet);
  stopOnSignals(fleet);
  const report = await fleet.finished;
  done();
  await closed(ledger);
  process.stdout.write(`${json ? JSON.stringify(reportJson(report)) : reportTable(report)}\n`);
  if (report.problem !== undefined) process.stderr.write(`Last trouble: ${report.problem}\n`);
  return report;
}

async function main(): Promise<number> {
  try {
    const given = argumentsOf(process.argv.slice(2));
    if (given === 'help') {
      process.stdout.write(help);
      return 0;
    }
    const { lost, refused } = await run(given);
    return lost + refused > 0 ? 1 : 0;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      (error instanceof Error &&
        'code' in error &&
        String(error.code).startsWith('ERR_PARSE_ARGS'));
    if (!isUsage) throw error;
    process.stderr.write(`tidegate-fleet: ${error.message}\nSee tidegate-fleet --help.\n`);
    return 2;
  }
}

process.exit(await main());
