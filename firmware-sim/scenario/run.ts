import type { Clock } from '../../src/platform/clock.ts';
import type { Random } from '../../src/platform/random.ts';
import type { Ingest } from '../../src/source/source.ts';
import { type Observer, openObserver } from '../check/observer.ts';
import { metricsOf } from '../check/questions.ts';
import type { DeviceMessage } from '../device.ts';
import { type Fleet, type FleetReport, openFleet } from '../fleet.ts';
import { directTransport } from '../link/direct.ts';
import { transportTo } from '../link/index.ts';
import type { Transport } from '../link/link.ts';
import type { TlsOptions } from '../link/stream.ts';
import { shapeNamed } from '../shape/index.ts';
import { countsFound, type Evidence, type Finding, othersFound } from './expect.ts';
import { behaviourOf, linkOf, type Phase } from './phases.ts';
import type { Group, Scenario } from './schema.ts';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly random: Random;
  readonly tls?: TlsOptions;
  /** In-process, instead of every address: nobody can subscribe then. */
  readonly ingest?: Ingest;
  /** Which time the devices are switched on; without it, the second in which the scenario begins. */
  readonly boot?: number;
  readonly signal?: AbortSignal;
  readonly onAcknowledged?: (message: DeviceMessage) => void;
  /** Told once the devices are there, for progress. */
  readonly onStarted?: (running: RunningScenario) => void;
}

export interface RunningScenario {
  readonly fleets: ReadonlyMap<string, Fleet>;
  /** The name of the phase. */
  readonly phase: string;
}

export interface ScenarioReport {
  readonly groups: ReadonlyMap<string, FleetReport>;
  readonly findings: readonly Finding[];
  /** Messages that the subscriber saw, and how long they took; undefined without one. */
  readonly observer: Observer | undefined;
  /** Whether everything was as expected. */
  readonly holds: boolean;
}

const pollMs = 100;

/** Runs a scenario to its end. Rejects only when it could not begin: what fails then is reported. */
export async function runScenario(options: RunOptions): Promise<ScenarioReport> {
  const { scenario, clock } = options;
  const observer = await observerOf(options);
  const asks = Object.keys(scenario.expect?.metrics ?? {}).length > 0;
  const metricsBefore = asks ? await metricsOf(scenario.admin, clock) : undefined;
  const { fleets, startAt } = openFleets(options, observer);
  const phases = phasesOf(scenario);
  options.onStarted?.({
    fleets,
    get phase() {
      const elapsedMs = clock.monotonic() - startAt;
      return phases.find(({ endMs }) => elapsedMs < endMs)?.name ?? '';
    },
  });
  const reports = new Map<string, FleetReport>();
  for (const [name, fleet] of fleets) reports.set(name, await fleet.finished);
  const evidence: Evidence = { scenario, reports, observer, metricsBefore, clock };
  const findings = [...countsFound(evidence), ...(await settled(evidence, options.signal))];
  await observer?.close();
  return { groups: reports, findings, observer, holds: findings.every(({ holds }) => holds) };
}

/** Asks again until what is expected is true, or the grace is over. */
async function settled(evidence: Evidence, signal: AbortSignal | undefined): Promise<Finding[]> {
  const { clock, scenario } = evidence;
  const giveUpAt = clock.monotonic() + scenario.grace;
  for (;;) {
    const findings = await othersFound(evidence);
    const isOver = clock.monotonic() >= giveUpAt || signal?.aborted === true;
    if (isOver || findings.every(({ holds }) => holds)) return findings;
    await clock.sleep(pollMs);
  }
}

async function observerOf({
  scenario,
  clock,
  tls,
  ingest,
  boot,
}: RunOptions): Promise<Observer | undefined> {
  const { expect, url, observer } = scenario;
  if (expect === undefined || ingest !== undefined || !/^(mqtts?|wss?):/.test(url))
    return undefined;
  const { ca, rejectUnauthorized } = tls ?? {};
  return await openObserver({
    ...{ url, clock, clientId: `tidegate-fleet-${boot ?? Math.floor(clock.now())}` },
    ...observer,
    ...(ca === undefined ? {} : { ca }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  });
}

function phasesOf(scenario: Scenario): readonly Omit<Phase, 'asked'>[] {
  let startMs = 0;
  return scenario.phases.map(({ name, lasts }) => {
    const phase = { name, startMs, endMs: startMs + lasts };
    startMs = phase.endMs;
    return phase;
  });
}

function openFleets(options: RunOptions, observer: Observer | undefined) {
  const { scenario, clock } = options;
  const groups = Object.entries(scenario.groups);
  // All begin together, when the last device may have connected.
  const rampMs = Math.max(
    ...groups.map(([, { devices, connectRate }]) => (devices / connectRate) * 1_000),
  );
  const startAt = clock.monotonic() + rampMs;
  const fleets = new Map<string, Fleet>();
  for (const [at, [name, group]] of groups.entries()) {
    fleets.set(name, openGroup(options, { name, group, at, rampMs }, observer));
  }
  return { fleets, startAt };
}

interface Placed {
  readonly name: string;
  readonly group: Group;
  readonly at: number;
  readonly rampMs: number;
}

function openGroup(
  options: RunOptions,
  { name, group, at, rampMs }: Placed,
  observer: Observer | undefined,
): Fleet {
  const { scenario, clock, random, signal, boot } = options;
  const times = phasesOf(scenario);
  const phases = scenario.phases.map((phase, place) => ({
    ...times[place]!,
    asked: phase.groups[name] ?? {},
  }));
  const link = linkOf(group.behaviours, phases);
  const durationMs = times.at(-1)?.endMs ?? scenario.lasts;
  const transport = transportOf(options, group);
  // What others subscribe to, only MQTT can be seen on.
  const watched = transport.name === 'mqtt' && group.url === undefined ? observer : undefined;
  return openFleet({
    ...{ clock, random, transport, rampMs },
    shape: shapeNamed(group.shape),
    behaviour: behaviourOf(group.behaviours, phases),
    devices: group.devices,
    rateHz: 1_000 / group.every,
    // Groups of one kind of device are different devices.
    seed: (scenario.seed + at * 7_919) % 2 ** 32,
    prefix: group.prefix,
    connectRateHz: group.connectRate,
    graceMs: scenario.grace,
    onSent: (message) => watched?.sent(message),
    onAcknowledged: (message) => {
      watched?.acknowledged(message);
      options.onAcknowledged?.(message);
    },
    ...(link === undefined ? {} : { link }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(signal === undefined ? {} : { signal }),
    ...(boot === undefined ? {} : { boot }),
  });
}

function transportOf({ scenario, clock, tls, ingest }: RunOptions, group: Group): Transport {
  if (ingest !== undefined) return directTransport(ingest, clock);
  const { protocol, qos, username, password, keepaliveSeconds } = group;
  const how = { protocol, qos, username, password, keepaliveSeconds, ...tls };
  return transportTo(group.url ?? scenario.url, how);
}
