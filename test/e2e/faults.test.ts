/**
 * Every file operation fails with every error, once and from then on, under the real gateway at work.
 * It goes on or ends with a reason, as the design says; either way the power is cut afterwards and
 * nothing acknowledged may be missing.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import {
  type FaultError,
  type Faults,
  faultsImpossible,
  type Operation,
  openFaults,
} from '../chaos/fault.ts';
import { createGatewayProcess, type GatewayProcess } from '../chaos/gateway.ts';
import { type Image, imageImpossible, openImage } from '../chaos/image.ts';
import {
  createLedger,
  type Ledger,
  openPublisher,
  type Publisher,
  possible,
} from '../chaos/publisher.ts';
import { exportedBy, problemsOf } from '../chaos/recorded.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const waitMaxMs = 20_000;
const canFail = possible('Faults of the disk', faultsImpossible());
/** Without an image the gateway is only killed: what is in memory survives that. */
const canCut = canFail && possible('A power cut after each fault', imageImpossible());
/** Nobody answers at the sink, so that nothing may be dropped to make room. */
const settings = `log: { maxBytes: 32MiB, whenFull: refuseNew }
ingest: [{ topic: 'sensors/{device}/{measurement}', codec: json, identity: [seq] }]
sinks: { hook: { kind: http, url: 'http://127.0.0.1:9/' } }
`;

/** Small files; the log keeps what the sink has not had. */
const badSectorSettings = settings.replace('32MiB', '16MiB');

interface Target {
  readonly operation: Operation;
  /** What its path holds. */
  readonly part: string;
  /** Errors after which only reading the disk again can tell what it holds. */
  readonly fatal: readonly FaultError[];
  readonly errors?: readonly FaultError[];
  /** How long messages are: long ones where the log must soon need another file. */
  readonly textBytes: number;
}
const long = { textBytes: 4_000 };
const short = { textBytes: 100 };
const all: readonly FaultError[] = ['EIO', 'ENOSPC', 'EROFS'];
/** A sync that failed says nothing of what is on the disk, unless the disk was taken away: that is written anew. */
const failedSync: readonly FaultError[] = ['EIO', 'ENOSPC'];
const targets: readonly Target[] = [
  { operation: 'write', part: '/log/', fatal: ['EIO'], errors: [...all, 'half'], ...short },
  { operation: 'ftruncate', part: '/log/', fatal: ['EIO'], ...long },
  { operation: 'open', part: '/log/', fatal: ['EIO'], ...long },
  { operation: 'fdatasync', part: '/log/', fatal: failedSync, ...short },
  { operation: 'fsync', part: '/log', fatal: failedSync, ...long },
  { operation: 'open', part: '/cursors', fatal: [], ...short },
  { operation: 'write', part: '/cursors', fatal: [], ...short },
  { operation: 'fdatasync', part: '/cursors', fatal: [], ...short },
  { operation: 'rename', part: '/cursors', fatal: [], ...short },
];

/** What a bad sector does to whoever reads: nothing that is acknowledged is lost but what lies on it. */
test.runIf(canFail)(
  'a disk that cannot read its old segments costs their readers what is there, and the gateway nothing',
  { timeout: 300_000 },
  async () => {
    const folder = await temporaryFolder('bad-sectors');
    const subject = await openSubject(folder, long.textBytes, badSectorSettings);
    const { gateway, faults } = subject;
    try {
      const segments = async () => (await readdir(join(gateway.dataDir, 'log'))).sort();
      await eventually(async () => expect((await segments()).length).toBeGreaterThan(4), 60_000);
      const [, bad, next] = (await segments()) as [string, string, string];
      const gap = { from: Number.parseInt(bad, 10), to: Number.parseInt(next, 10) - 1 };
      await faults.inject({ operations: ['read'], part: `/log/${bad}`, error: 'EIO' });
      await gateway.kill();
      await subject.publisher.closed;
      // Started on it, and at work on it.
      await gateway.start();
      subject.publisher = await publish(gateway, subject.ledger, subject.textBytes, 5);
      await eventually(async () => expect(await gapsIn(gateway)).toContainEqual(gap), waitMaxMs);
      const before = subject.ledger.acknowledged.size;
      await eventually(
        () => expect(subject.ledger.acknowledged.size).toBeGreaterThan(before),
        waitMaxMs,
      );
      expect(gateway.program!.child.exitCode, gateway.program!.stderr).toBe(null);
      const told = gateway.program!.stderr.match(/A log segment is damaged/g) ?? [];
      expect(told.length).toBeLessThan(10);
      // Said once by each reader that had not seen it: nobody turns round and round.
      const gaps = await gapsIn(gateway);
      expect(gaps.filter((each) => each.from === gap.from).length).toBeLessThan(10);
      // An end of the newest cannot be read: the next start says so and goes on.
      const newest = (await segments()).at(-1)!;
      await gateway.kill();
      await subject.publisher.closed;
      await faults.inject({ operations: ['read'], part: `/log/${newest}`, error: 'EIO' });
      await gateway.start();
      await faults.heal();
      subject.publisher = await publish(gateway, subject.ledger, subject.textBytes, 5);
      expect(gateway.program!.stderr).toMatch(/segment is unreadable|cannot be read/);
    } finally {
      await gateway.kill();
      await faults.close();
      await subject.image?.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);

/** Stretches that were told to be damaged, to any reader. */
async function gapsIn(gateway: GatewayProcess): Promise<{ from: number; to: number }[]> {
  const { stdout } = await gateway.command('log', 'export', '--type', 'gap');
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => {
    const { from, to, reason } = JSON.parse(line).data;
    return reason === 'damaged' ? [{ from, to }] : [];
  });
}

interface Subject {
  readonly gateway: GatewayProcess;
  readonly faults: Faults;
  readonly image: Image | undefined;
  readonly ledger: Ledger;
  readonly random: { next(): number };
  readonly textBytes: number;
  publisher: Publisher;
}

async function openSubject(folder: string, textBytes: number, given = settings): Promise<Subject> {
  const image = canCut ? await openImage(folder, 128) : undefined;
  const dataDir = join(image?.folder ?? folder, 'data');
  await mkdir(dataDir);
  const faults = await openFaults(folder, dataDir);
  const { environment } = faults;
  const gateway = await createGatewayProcess({ folder, dataDir, settings: given, environment });
  await gateway.start();
  const ledger = createLedger();
  const publisher = await publish(gateway, ledger, textBytes, 5);
  const random = seededRandom(seed);
  return { gateway, faults, image, ledger, publisher, random, textBytes };
}

const publish = (
  gateway: GatewayProcess,
  ledger: Ledger,
  textBytes: number,
  protocol: 4 | 5,
): Promise<Publisher> =>
  openPublisher({
    port: gateway.port,
    ledger,
    protocol,
    textBytes,
    windowMessages: 20,
    pauseMs: 25,
  });

async function tryFault(
  subject: Subject,
  target: Target,
  error: FaultError,
  mode: 'once' | 'from then on',
): Promise<void> {
  const { gateway, faults, random } = subject;
  const { operation, part } = target;
  const pass = Math.floor(random.next() * 3);
  const times = mode === 'once' ? 1 : 0;
  await faults.inject({ operations: [operation], part, error, pass, times });
  await eventually(async () => expect(await faults.failed()).toBeGreaterThan(0), waitMaxMs);
  if (target.fatal.includes(error)) {
    await eventually(
      () => expect(gateway.program!.child.exitCode, gateway.program!.stderr).toBe(1),
      waitMaxMs,
    );
    const fatal = gateway.program!.stderr.split('\n').find((line) => line.includes('cannot go on'));
    expect(fatal).toContain('code=GW_LOG_WRITE_FAILED');
    expect(fatal).toContain('The event log could not be written');
    expect(fatal).toContain('check the disk and start again');
    await subject.publisher.closed;
    await faults.heal();
    await cutAndStart(subject);
    return;
  }
  // Long enough for it to be met again and again.
  if (mode === 'from then on') await sleep(200);
  const isAlive = gateway.program!.child.exitCode === null;
  expect(isAlive, gateway.program!.stderr).toBe(true);
  if (mode === 'from then on' && random.next() < 0.5) {
    await gateway.kill();
    await subject.publisher.closed;
    await faults.heal();
    await cutAndStart(subject);
    return;
  }
  await faults.heal();
  subject.publisher.stop();
  await eventually(() => expect(subject.publisher.unsettled).toBe(0), waitMaxMs);
  expect(subject.publisher.connected).toBe(true);
  await subject.publisher.end();
  subject.publisher = await publish(gateway, subject.ledger, subject.textBytes, 4);
}

async function cutAndStart(subject: Subject): Promise<void> {
  const { gateway, image, ledger, textBytes } = subject;
  await gateway.kill();
  await subject.publisher.closed;
  const acknowledged = new Set(ledger.acknowledged);
  await image?.cutPower();
  await gateway.start();
  const problems = problemsOf(acknowledged, ledger, await exportedBy(gateway), textBytes);
  expect(problems.slice(0, 5), `${problems.length} problems`).toEqual([]);
  subject.publisher = await publish(gateway, ledger, textBytes, 5);
}

test.runIf(canFail).concurrent.each(targets)(
  `a gateway whose $operation of $part fails never acknowledges what is not safe (TIDEGATE_SEED=${seed})`,
  { timeout: 300_000 },
  async (target) => {
    const folder = await temporaryFolder('faults');
    const subject = await openSubject(folder, target.textBytes);
    try {
      for (const error of target.errors ?? all) {
        for (const mode of ['once', 'from then on'] as const) {
          await tryFault(subject, target, error, mode).catch((problem: Error) => {
            problem.message = `${error}, ${mode}: ${problem.message}`;
            throw problem;
          });
        }
      }
      await cutAndStart(subject);
      const { code, stderr } = await subject.gateway.command('log', 'verify');
      expect(code, stderr).toBe(0);
    } finally {
      await subject.gateway.kill();
      await subject.faults.close();
      await subject.image?.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
