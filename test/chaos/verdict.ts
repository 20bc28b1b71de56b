import { isWithin, type Span } from './books.ts';
import { type Arrived, archivedIn, storedIn } from './far-sides.ts';
import type { Sample } from './run.ts';
import type { World } from './world.ts';

/** One line of the report: what was looked for, and how much of it was there. */
export interface Count {
  readonly what: string;
  readonly count: number;
}

export interface Verdict {
  readonly counts: readonly Count[];
  /** Empty when nothing was lost. */
  readonly problems: readonly string[];
  /** Of `tidegate audit`, where there is such a command. */
  readonly audit: string | undefined;
}

export interface Evidence {
  readonly acknowledged: ReadonlySet<string>;
  readonly audit: { readonly code: number; readonly stdout: string; readonly stderr: string };
  readonly stopped: number | null;
  readonly fleetSaid: string | undefined;
  readonly samples: readonly Sample[];
}

/** Compares what was acknowledged with what is everywhere else. The gateway has been stopped. */
export async function judge(world: World, evidence: Evidence): Promise<Verdict> {
  const { acknowledged, stopped, fleetSaid } = evidence;
  const problems = [...world.crashes];
  const counts: Count[] = [{ what: 'messages acknowledged', count: acknowledged.size }];
  if (stopped !== 0) problems.push(`SIGTERM ended the gateway with ${stopped}, not 0`);
  if (fleetSaid !== undefined)
    problems.push(`the fleet was refused or lost something: ${fleetSaid}`);

  const archive = await archivedIn(world.archive);
  await judgeLog(world, evidence, archive, counts, problems);
  const sinks: [name: string, arrived: Arrived, once: boolean][] = [['archive', archive, false]];
  if (world.influx) sinks.push(['influx', await storedIn(world.influx), true]);
  if (world.listener) sinks.push(['cloud', world.listener.arrived, false]);
  for (const [name, arrived, once] of sinks) {
    judgeSink(world, acknowledged, { name, arrived, once }, counts, problems);
    judgeAlerts(world, name, arrived, problems);
  }
  counts.push({ what: 'alerts recorded', count: world.books.alerts.size });
  judgeGaps(world, counts, problems);
  judgeFootprint(evidence.samples, problems);
  return { counts, problems, audit: judgeAudit(evidence.audit, problems) };
}

function add(problems: string[], found: readonly string[], what: string): void {
  if (found.length > 0) problems.push(`${found.length} ${what}: ${found.slice(0, 3).join('; ')}`);
}

/** What is acknowledged is in the log once, unless it was damaged there or has made room since. */
async function judgeLog(
  world: World,
  { acknowledged }: Evidence,
  archive: Arrived,
  counts: Count[],
  problems: string[],
): Promise<void> {
  const { books, gateway, damaged } = world;
  const exported = await exportedKeys(world);
  const stat = JSON.parse((await gateway.command('log', 'stat', '--json')).stdout);
  const { reported, code } = await verified(world);
  const never: string[] = [];
  const gone: string[] = [];
  const twice: string[] = [];
  let expired = 0;
  let spoilt = 0;
  // A segment that was stripped since is whole again: what was damaged in it only its readers were told.
  const isTold = (position: number): boolean =>
    isWithin(position, reported) || (isWithin(position, damaged) && isWithin(position, books.gaps));
  for (const key of acknowledged) {
    const positions = books.positions.get(key);
    // Delivered and dropped before anybody looked: only a full disk is in such a hurry.
    const mayHaveGone = world.evicted && archive.readings.has(key);
    if (positions === undefined && !exported.has(key) && !mayHaveGone) never.push(key);
    if (exported.has(key) || positions === undefined) continue;
    // Readings leave a segment before its alerts do, and the log says of which.
    const stripped = (position: number): boolean =>
      archive.readings.has(key) && isWithin(position, stat.thinned);
    const hasExpired = (position: number) => position < stat.first || stripped(position);
    if (positions.every(hasExpired)) expired++;
    else if (positions.every(isTold)) spoilt++;
    else gone.push(`${key} at ${positions.join(', ')}`);
  }
  for (const [key, positions] of books.positions) {
    const whole = positions.filter((position) => !isWithin(position, damaged));
    if (whole.length > 1) twice.push(`${key} at ${whole.join(', ')}`);
  }
  counts.push({ what: 'of them in the log', count: acknowledged.size - expired - spoilt });
  counts.push({ what: '… no longer, delivered and removed by retention', count: expired });
  counts.push({ what: '… no longer, in bytes damaged on purpose', count: spoilt });
  add(problems, never, 'acknowledged and never in the log');
  add(problems, gone, 'acknowledged and gone from the log without a word');
  add(problems, twice, 'recorded twice');
  const strange = reported.filter(({ path }) => !damaged.some((each) => each.path === path));
  add(
    problems,
    strange.map(({ path }) => path),
    'damaged, says log verify, though nobody damaged it',
  );
  if (code !== (reported.length > 0 ? 1 : 0)) problems.push(`log verify ended with ${code}`);
}

async function exportedKeys({ gateway }: World): Promise<Set<string>> {
  const { code, stdout, stderr } = await gateway.command('log', 'export', '--type', 'reading');
  if (code !== 0) throw new Error(`tidegate log export ended with ${code}: ${stderr}`);
  const keys = new Set<string>();
  for (const line of stdout.split('\n')) {
    if (line === '') continue;
    const { subject, data } = JSON.parse(line);
    keys.add(`${subject} ${data.fields.boot} ${data.fields.seq}`);
  }
  return keys;
}

/** What `tidegate log verify` reports as damaged, by file and position. */
async function verified({ gateway, damaged }: World) {
  const { code, stdout } = await gateway.command('log', 'verify', '--json');
  const reported: (Span & { readonly path: string })[] = [];
  for (const line of stdout.split('\n')) {
    if (line === '') continue;
    const { path, from, to } = JSON.parse(line);
    // Where it cannot tell which positions are gone, the whole file is.
    const whole = damaged.find((each) => each.path === path);
    reported.push({ path, from: from ?? whole?.from ?? 0, to: to ?? whole?.to ?? 0 });
  }
  return { code, reported };
}

interface SinkFinding {
  readonly name: string;
  readonly arrived: Arrived;
  /** Whether it keeps repeats apart, so that once is expected. */
  readonly once: boolean;
}

/** What is acknowledged has arrived under one id, unless a gap event says that this reader lost it. */
function judgeSink(
  { books }: World,
  acknowledged: ReadonlySet<string>,
  { name, arrived, once }: SinkFinding,
  counts: Count[],
  problems: string[],
): void {
  const gaps = books.gaps.filter(({ reader }) => reader === `${name}/readings`);
  const missing: string[] = [];
  const repeated: string[] = [];
  let there = 0;
  let lost = 0;
  for (const key of acknowledged) {
    const count = arrived.readings.get(key) ?? 0;
    const positions = books.positions.get(key) ?? [];
    if (count > 0) there++;
    else if (positions.some((position) => isWithin(position, gaps))) lost++;
    else missing.push(`${key} at ${positions.join(', ') || 'no known place'}`);
    if (once && count > 1) repeated.push(key);
  }
  counts.push({ what: `of them in ${name}`, count: there });
  if (lost > 0) counts.push({ what: `… not, and told by gap events of ${name}`, count: lost });
  add(problems, missing, `acknowledged and not in ${name}`);
  add(problems, repeated, `more than once in ${name}`);
  add(problems, [...arrived.renamed], `under more than one id in ${name}`);
}

/** Every alert that was recorded has arrived, and what fired has been resolved. */
function judgeAlerts({ books }: World, name: string, arrived: Arrived, problems: string[]): void {
  const gaps = books.gaps.filter(({ reader }) => reader === `${name}/alerts`);
  const excused = books.gaps.some(({ reader }) => reader === 'rules');
  const missing: string[] = [];
  const unpaired: string[] = [];
  for (const [alert, { position }] of books.alerts) {
    if (!arrived.alerts.has(alert) && !isWithin(position, gaps)) missing.push(alert);
  }
  for (const { incident } of books.alerts.values()) {
    const states = ['firing', 'resolved'].filter((state) =>
      books.alerts.has(`${incident} ${state}`),
    );
    const known = ['firing', 'resolved'].filter((state) =>
      arrived.alerts.has(`${incident} ${state}`),
    );
    if (states.length < 2 && known.length < 2 && !excused) unpaired.push(incident);
  }
  add(problems, missing, `alerts not in ${name}`);
  add(problems, [...new Set(unpaired)], `incidents without a beginning or an end in ${name}`);
}

/** A gap has a cause: damage, or a disk without room. */
function judgeGaps({ books, damaged, evicted }: World, counts: Count[], problems: string[]): void {
  let lost = 0;
  const unexplained: string[] = [];
  for (const { reader, from, to } of books.gaps) {
    lost += to - from + 1;
    let at = from;
    for (const span of [...damaged].sort((a, b) => a.from - b.from)) {
      if (span.from <= at && span.to >= at) at = span.to + 1;
    }
    if (at <= to && !evicted) unexplained.push(`${reader} ${from} to ${to}`);
  }
  counts.push({ what: 'gap events', count: books.gaps.length });
  counts.push({ what: 'events they name, over all readers', count: lost });
  add(problems, unexplained, 'gaps without a cause');
}

function judgeFootprint(samples: readonly Sample[], problems: string[]): void {
  const third = Math.floor(samples.length / 3);
  // A shorter run says nothing about a trend.
  if (third < 30) return;
  const early = samples.slice(0, third);
  const late = samples.slice(-third);
  const memory = [medianOf(early, 'rssMib'), medianOf(late, 'rssMib')] as const;
  const descriptors = [medianOf(early, 'descriptors'), medianOf(late, 'descriptors')] as const;
  if (memory[1] > memory[0] * 1.5) {
    problems.push(`memory grew from ${memory[0].toFixed(0)} to ${memory[1].toFixed(0)} MiB`);
  }
  if (descriptors[1] > descriptors[0] + 20) {
    problems.push(`open files grew from ${descriptors[0]} to ${descriptors[1]}`);
  }
}

export function medianOf(samples: readonly Sample[], of: keyof Sample): number {
  const sorted = samples.map((each) => each[of]).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function judgeAudit(audit: Evidence['audit'], problems: string[]): string | undefined {
  // Wrong usage: this version has no such command.
  if (audit.code === 2) return undefined;
  const said = (audit.stdout || audit.stderr).trim();
  if (audit.code !== 0) problems.push(`tidegate audit ended with ${audit.code}: ${said}`);
  return said;
}
