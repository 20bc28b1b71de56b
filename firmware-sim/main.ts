#!/usr/bin/env node
import { createWriteStream, readFileSync, type WriteStream } from 'node:fs';
import { messageOf } from '../src/platform/errors.ts';
import { systemRandom } from '../src/platform/random.ts';
import { createSystemClock } from '../src/platform/system-clock.ts';
import { type Arguments, argumentsOf, help, type TlsFiles, UsageError } from './arguments.ts';
import { behaviours, linkBehaviours } from './behaviour/index.ts';
import type { DeviceMessage } from './device.ts';
import { type Fleet, openFleet } from './fleet.ts';
import type { TlsOptions } from './link/stream.ts';
import { progressLine, reportJson, reportTable } from './report.ts';
import { parseScenario, ScenarioError } from './scenario/load.ts';
import { type RunningScenario, runScenario } from './scenario/run.ts';
import type { Scenario } from './scenario/schema.ts';
import { scenarioJson, scenarioTable } from './scenario/table.ts';
import { shapeNames } from './shape/index.ts';

const progressMs = 250;
/** How long a fleet that is interrupted waits for what is on its way. */
const interruptedGraceMs = 1_000;

/** Written as the acknowledgements arrive, so that it can be believed after any end of the fleet. */
function ledgerLine({ device, boot, seq, time, fields }: DeviceMessage): string {
  return `${JSON.stringify({ device, boot, seq, time, fields: fields ?? null })}\n`;
}

/** Refreshes one line of the terminal until it is stopped. */
function showProgress(running: RunningScenario): () => void {
  const out = process.stderr;
  if (!out.isTTY) return () => {};
  const fleets = [...running.fleets.values()];
  let before = 0;
  const timer = setInterval(() => {
    const acknowledged = fleets.reduce((sum, { counts }) => sum + counts.acknowledged, 0);
    const perSecond = ((acknowledged - before) * 1_000) / progressMs;
    before = acknowledged;
    const name = running.phase === '' ? '' : `${running.phase} · `;
    out.write(`\r\x1b[K${`${name}${progressLine(fleets, perSecond)}`.slice(0, out.columns - 1)}`);
  }, progressMs);
  return () => {
    clearInterval(timer);
    out.write('\r\x1b[K');
  };
}

function stopOnSignals(fleets: Iterable<Fleet>): void {
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (interrupted) process.exit(1);
      interrupted = true;
      for (const fleet of fleets) void fleet.close(interruptedGraceMs);
    });
  }
}

/** Certificates are read before anything connects: a path that is wrong is wrong usage. */
function tlsOf({ ca, cert, key, insecure }: TlsFiles): TlsOptions {
  const read = (name: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new UsageError(`--${name}: ${messageOf(error)}`);
    }
  };
  return {
    ...(ca === undefined ? {} : { ca: read('ca', ca) }),
    ...(cert === undefined ? {} : { cert: read('cert', cert) }),
    ...(key === undefined ? {} : { key: read('key', key) }),
    ...(insecure ? { rejectUnauthorized: false } : {}),
  };
}

interface Doors {
  readonly clock: ReturnType<typeof createSystemClock>;
  readonly random: typeof systemRandom;
  readonly onAcknowledged?: (message: DeviceMessage) => void;
}

async function runFleet({ options, tls, json }: Arguments, doors: Doors): Promise<boolean> {
  const fleet = openFleet({ ...options, ...tlsOf(tls), ...doors });
  const done = showProgress({ fleets: new Map([['', fleet]]), phase: '' });
  stopOnSignals([fleet]);
  const report = await fleet.finished;
  done();
  process.stdout.write(`${json ? JSON.stringify(reportJson(report)) : reportTable(report)}\n`);
  if (report.problem !== undefined) process.stderr.write(`Last trouble: ${report.problem}\n`);
  return report.lost + report.refused === 0;
}

async function runFile(given: Arguments, doors: Doors): Promise<boolean> {
  const scenario = scenarioOf(given.scenario!);
  let done = (): void => {};
  const report = await runScenario({
    ...{ scenario, ...doors, tls: tlsOf(given.tls) },
    onStarted(running) {
      done = showProgress(running);
      stopOnSignals(running.fleets.values());
    },
  });
  done();
  const said = given.json ? JSON.stringify(scenarioJson(report)) : scenarioTable(report);
  process.stdout.write(`${said}\n`);
  return report.holds;
}

/** As the file says, and the command line after it. */
function scenarioOf(asked: NonNullable<Arguments['scenario']>): Scenario {
  let source: string;
  try {
    source = readFileSync(asked.file, 'utf8');
  } catch (error) {
    throw new UsageError(`--scenario: ${messageOf(error)}`);
  }
  const scenario = parseScenario(source, asked.file);
  const groups = { ...scenario.groups };
  for (const name of [...asked.without, ...asked.to.keys()]) {
    if (groups[name] !== undefined) continue;
    throw new UsageError(
      `${name} is no group of ${asked.file}; there are ${Object.keys(groups).join(', ')}`,
    );
  }
  for (const name of asked.without) delete groups[name];
  for (const [name, url] of asked.to) if (groups[name]) groups[name] = { ...groups[name], url };
  const { url = scenario.url, admin = scenario.admin, seed = scenario.seed } = asked;
  const { durationMs } = asked;
  const lasts = durationMs === undefined ? {} : { lasts: durationMs, phases: [] };
  return { ...scenario, url, admin, seed, groups, ...lasts };
}

function listText(): string {
  const kinds = Object.entries({ ...behaviours, ...linkBehaviours });
  const lines = kinds.map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`);
  return `Kinds of devices (--shape):\n  ${shapeNames.join('\n  ')}\n\nWhat they can be made to do, in this order (behaviours of a scenario):\n${lines.join('\n')}\n`;
}

async function main(): Promise<number> {
  try {
    const given = argumentsOf(process.argv.slice(2));
    if (typeof given === 'string') {
      process.stdout.write(given === 'help' ? help : listText());
      return 0;
    }
    const ledger = given.ledger === undefined ? undefined : openLedger(given.ledger);
    const onAcknowledged = (message: DeviceMessage) => void ledger?.write(ledgerLine(message));
    const doors = {
      ...{ clock: createSystemClock(), random: systemRandom },
      ...(ledger === undefined ? {} : { onAcknowledged }),
    };
    const isWell = await (given.scenario === undefined ? runFleet : runFile)(given, doors);
    if (ledger !== undefined) await new Promise<void>((resolve) => ledger.end(resolve));
    return isWell ? 0 : 1;
  } catch (error) {
    return complaint(error);
  }
}

const openLedger = (path: string): WriteStream => createWriteStream(path, { flags: 'a' });

function complaint(error: unknown): number {
  if (error instanceof ScenarioError) {
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS')) {
    process.stderr.write(`tidegate-fleet: ${messageOf(error)}\nSee tidegate-fleet --help.\n`);
    return 2;
  }
  process.stderr.write(`tidegate-fleet: ${messageOf(error)}\n`);
  return 1;
}

process.exit(await main());
